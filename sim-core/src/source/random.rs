//! The seeded random walk, and the generator that every seeded source draws from.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::choice::{Choice, Chooser};

/// ChaCha8 with a seed as its key. The stream is a part of the record format. So no distribution of the `rand` crate is
/// used, because the values of those change between releases.
pub(super) struct Stream {
    rng: ChaCha8Rng,
    /// The next draw. It is made one draw ahead, so that code which depends on a draw need not wait for it.
    next: u64,
}

impl Stream {
    #[inline]
    pub(super) fn new(seed: u64) -> Stream {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        let next = rng.next_u64();
        Stream { rng, next }
    }

    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        std::mem::replace(&mut self.next, self.rng.next_u64())
    }

    /// A number below `n`, from one draw by multiply-high.
    #[inline]
    pub(super) fn below(&mut self, n: usize) -> usize {
        scale(self.next(), n)
    }
}

/// A draw as a number below `n`: the high word of the product.
#[inline]
pub(super) fn scale(draw: u64, n: usize) -> usize {
    ((u128::from(draw) * n as u128) >> 64) as usize
}

/// Each decision is uniform, and takes exactly one draw. Store buffers are the exception.
///
/// If each buffered store were as likely to reach memory as anything else is to happen, it would be there after a few
/// steps. Then no run would hold a store back over a whole system call. So each run has a patience. If the draw decides
/// on a drain, a second draw confirms it with a probability of one in 2 to the power of the patience. Otherwise something
/// else happens that is no drain.
pub struct Random {
    stream: Stream,
    patience: u32,
}

/// The patience of runs. Each value is that of a quarter of all runs. With the last, a store drains only if nothing else
/// can happen.
const PATIENCE: [u32; 4] = [0, 3, 6, 63];

impl Random {
    /// The walk of a seed.
    #[inline]
    pub fn new(seed: u64) -> Random {
        Random { stream: Stream::new(seed), patience: PATIENCE[seed as usize % PATIENCE.len()] }
    }

    /// The drain, or something else that happens instead of it.
    #[cold]
    fn in_place_of_a_drain(&mut self, drain: usize, others: usize) -> usize {
        let draw = self.stream.next();
        if others == 0 || draw >> (63 - self.patience) >> 1 == 0 {
            drain
        } else {
            scale(draw << self.patience, others)
        }
    }
}

impl Chooser for Random {
    #[inline(always)]
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let chosen = self.stream.below(choice.of());
        match choice {
            Choice::Transition(enabled) if self.patience > 0 && enabled.drains() && enabled.is_drain(chosen) => {
                self.in_place_of_a_drain(chosen, enabled.without_drains())
            }
            _ => chosen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::{Enabled, Transition};
    use crate::id::CpuId;
    use crate::ready::Ready;

    /// How often a drain is taken among two steps and two drains, in 10,000 decisions of a run.
    fn drains(seed: u64) -> usize {
        let mut random = Random::new(seed);
        let mut ready = Ready::default();
        ready.set(0b11, CpuId(0));
        let others = [Transition::Drain(CpuId(0)), Transition::Drain(CpuId(1))];
        let choose = |_: &usize| {
            let enabled = Enabled { ready: &ready, others: &others, cpus: &[] };
            random.choose(&Choice::Transition(enabled)) >= 2
        };
        (0..10_000).filter(choose).count()
    }

    #[test]
    fn runs_differ_in_their_patience() {
        let [eager, slow, slower, last] = [0, 1, 2, 3].map(drains);
        assert!((4_800..5_200).contains(&eager), "half of what can happen are drains: {eager}");
        assert!((500..750).contains(&slow), "one drain in 8: {slow}");
        assert!((40..130).contains(&slower), "one drain in 64: {slower}");
        assert_eq!(last, 0);
        // If nothing else can happen, a store drains even with the last patience.
        let (ready, others) = (Ready::default(), [Transition::Drain(CpuId(0)), Transition::Drain(CpuId(1))]);
        let enabled = Enabled { ready: &ready, others: &others, cpus: &[] };
        assert!(Random::new(3).choose(&Choice::Transition(enabled)) < 2);
    }
}
