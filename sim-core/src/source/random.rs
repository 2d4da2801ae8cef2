//! The seeded random walk, and the generator that every seeded source draws from.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::choice::{Choice, Chooser};

/// ChaCha8 keyed with a seed. The stream is part of the record format: no distribution of the
/// `rand` crate is used, since their values change between releases.
pub(super) struct Stream {
    rng: ChaCha8Rng,
    /// The next draw, made one ahead: what hangs on a draw need not wait for it.
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

/// Each decision is uniform, and takes exactly one draw.
pub struct Random(Stream);

impl Random {
    /// The walk of a seed.
    #[inline]
    pub fn new(seed: u64) -> Random {
        Random(Stream::new(seed))
    }
}

impl Chooser for Random {
    #[inline(always)]
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        self.0.below(choice.of())
    }
}
