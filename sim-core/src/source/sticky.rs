//! A random walk that mostly stays on the CPU that it is on.

use super::random::{Stream, scale};
use crate::choice::{Choice, Chooser};

/// Goes on with the CPU that ran last seven times out of eight, and otherwise goes anywhere else. A decision takes one
/// draw.
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
            Choice::Transition(enabled) if enabled.stays() => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Enabled;
    use crate::id::CpuId;
    use crate::ready::Ready;

    /// If the first of the transitions stays, the top three bits of the draw decide on that, and the
    /// others on where to go; if not, all bits do.
    #[test]
    fn one_draw_a_decision() {
        let (mut sticky, mut stream) = (Sticky::new(5), Stream::new(5));
        for n in 0..10_000 {
            let of = 2 + n % 5;
            let stays = n % 3 != 0;
            // The CPU that ran last can go on, or it cannot.
            let last = if stays { CpuId(0) } else { CpuId(63) };
            let mut ready = Ready::default();
            ready.set((1 << of) - 1, last);
            let draw = stream.next();
            let expected = match (stays, draw >> 61) {
                (false, _) => scale(draw, of),
                (true, 0) => 1 + scale(draw << 3, of - 1),
                (true, _) => 0,
            };
            let enabled = Enabled { ready: &ready, others: &[], cpus: &[] };
            assert_eq!(sticky.choose(&Choice::Transition(enabled)), expected, "of {of}, stays: {stays}");
        }
    }
}
