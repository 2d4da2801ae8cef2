//! The code that the tests share: a machine that does one act after the other, a search through all of its choices, and the
//! rules of the SDM.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of this")]

mod choices;
mod machine;
pub(crate) mod manual;
pub(crate) mod programs;
pub(crate) mod random;
pub(crate) mod world;

use std::fmt::Debug;

use proptest::test_runner::{Config as Cases, RngSeed};
use sim_mmu::Entry;

pub(crate) use choices::{Reached, assert_exactly, over_all_choices};
pub(crate) use machine::{Accessed, Machine, hardware, index_bits, step};

/// Flags of an entry that allows user code everything.
pub(crate) const OPEN: u64 = Entry::PRESENT | Entry::RW | Entry::USER;

/// The cases are the same each time. There is no file of failures, because the seed finds them again.
pub(crate) fn cases(cases: u32) -> Cases {
    Cases { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Cases::default() }
}

/// Each on a line of its own.
pub(crate) fn lines<T: Debug>(things: &[T]) -> String {
    things.iter().map(|thing| format!("\n  {thing:?}")).collect()
}
