//! Which safeguards a run consulted, and which of them decided.
//!
//! This is kept beside the state of the machine. No simulated code reads it, and no schedule depends on it.

use std::cell::Cell;

use crate::registry::safeguard::{Safeguard, SafeguardSet};

/// What became of the safeguards in the present run.
#[derive(Debug, Default)]
pub struct SafeguardUse {
    consulted: Cell<SafeguardSet>,
    decided: Cell<SafeguardSet>,
}

impl SafeguardUse {
    /// Safeguards that the code asked for, whether the kernel has them or not.
    pub fn consulted(&self) -> SafeguardSet {
        self.consulted.get()
    }

    /// Checks that took effect.
    pub fn decided(&self) -> SafeguardSet {
        self.decided.get()
    }

    #[inline]
    pub(crate) fn note_consulted(&self, safeguard: Safeguard) {
        note(&self.consulted, safeguard);
    }

    #[inline]
    pub(crate) fn note_decided(&self, safeguard: Safeguard) {
        note(&self.decided, safeguard);
    }

    /// A run begins.
    pub(crate) fn forget(&self) {
        self.consulted.set(SafeguardSet::default());
        self.decided.set(SafeguardSet::default());
    }
}

#[inline]
fn note(set: &Cell<SafeguardSet>, safeguard: Safeguard) {
    let mut safeguards = set.get();
    safeguards.insert(safeguard);
    set.set(safeguards);
}
