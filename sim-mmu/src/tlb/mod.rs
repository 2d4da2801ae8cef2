//! The translation caches of a CPU: the TLB and the paging-structure caches (SDM 4.10).
//!
//! The architecture lets a processor keep many translations. Four policies say which of them it keeps, and which
//! of those it uses.

mod caches;
mod fill;
mod look_up;
mod partial;
mod speculate;
mod translation;

pub(crate) use caches::Caches;
pub(crate) use look_up::{Lookup, Seek};
pub use partial::Partial;
pub(crate) use translation::Through;
pub use translation::Translation;

/// What a processor keeps in its translation caches, and what it uses of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: every access walks, and uses what the structures say when it touches memory.
    Coherent,
    /// Finite caches with a geometry and a replacement policy; see `timing`.
    Profile,
    /// All that it may keep, and of that the oldest that serves. Nothing on speculation.
    Laziest,
    /// All that it may keep is *possibly* there. Which of it an access uses, or that none of it is
    /// there any more (an entry may vanish at any time, SDM 4.10.4.1), is a choice.
    Adversarial {
        /// Whether two translations of one page, size and tag may be cached side by side, as in a
        /// first and a second level, or in TLBs for loads and for stores. The SDM does not say.
        duplicates: bool,
    },
}

impl Policy {
    /// The least that software may rely on.
    pub const ADVERSARIAL: Policy = Policy::Adversarial { duplicates: true };
}
