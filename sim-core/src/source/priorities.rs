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
            if actor >= self.0.len() {
                self.0.resize(actor + 1, 0);
            }
            if self.0[actor] == 0 {
                self.0[actor] = draw().max(1);
            }
            if self.0[actor] > best.0 {
                best = (self.0[actor], i);
            }
        }
        best.1
    }

    /// Ranks an actor anew.
    pub(super) fn set(&mut self, actor: usize, priority: u64) {
        self.0[actor] = priority;
    }
}
