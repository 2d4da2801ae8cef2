//! A random walk that likes to stay.

use super::random::{Stream, scale};
use crate::choice::{Choice, Chooser};

/// Goes on with what ran last seven times out of eight, else anywhere else. One draw a decision.
pub struct Sticky(Stream);

impl Sticky {
    /// The walk of a seed.
    pub fn new(seed: u64) -> Sticky {
        Sticky(Stream::new(seed))
    }
}

impl Chooser for Sticky {
    #[inline]
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let draw = self.0.next();
        match choice {
            Choice::Transition(enabled) if enabled.stays => {
                if draw >> 61 == 0 {
                    1 + scale(draw << 3, choice.of() - 1)
                } else {
                    0
                }
            }
            _ => scale(draw, choice.of()),
        }
    }
}
