//! Random priorities of actors.

use crate::choice::Enabled;

/// A priority for each actor, drawn when the actor is first seen. Zero is none.
#[derive(Default)]
pub(super) struct Priorities(Vec<u64>);

impl Priorities {
    /// The transition whose actor ranks highest. `draw` gives a rank to an actor that is new.
    pub(super) fn highest(&mut self, enabled: &Enabled<'_>, mut draw: impl FnMut() -> u64) -> usize {
        let mut best = (0, 0);
        for i in 0..enabled.len() {
            let actor = enabled.actor(i);
            let rank = match self.0.get(actor) {
                Some(&rank) if rank != 0 => rank,
                _ => self.meet(actor, draw()),
            };
            if rank > best.0 {
                best = (rank, i);
            }
        }
        best.1
    }

    /// Ranks an actor that is new.
    #[cold]
    fn meet(&mut self, actor: usize, drawn: u64) -> u64 {
        if actor >= self.0.len() {
            self.0.resize(actor + 1, 0);
        }
        self.0[actor] = drawn.max(1);
        self.0[actor]
    }

    /// Ranks an actor anew.
    pub(super) fn set(&mut self, actor: usize, priority: u64) {
        self.0[actor] = priority;
    }
}
