//! Conditions that hold an operation back. Nothing spins: a closed gate disables the transition.

use crate::bytes::Bytes;
use crate::loc::Loc;

/// What must hold before an announced operation can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// The word is zero: a lock is free, acknowledgements are in.
    Zero(Loc),
    /// The word is not zero: a wake-up, a completion, a queue with something in it.
    NonZero(Loc),
    /// Every CPU's store buffer is empty.
    AllDrained,
    /// A load of these bytes of a word needs not more than one source: a store in the CPU's own buffer, or memory.
    OneSource(Loc, Bytes),
}

impl Gate {
    /// Whether the gate is open. `see` reads a word as the waiting CPU sees it, its own buffered stores
    /// included; `all_drained` tells about the store buffers. What only that buffer knows counts as open.
    #[inline]
    pub(crate) fn is_open(self, see: impl Fn(Loc) -> u64, all_drained: impl Fn() -> bool) -> bool {
        match self {
            Gate::Open | Gate::OneSource(..) => true,
            Gate::Zero(loc) => see(loc) == 0,
            Gate::NonZero(loc) => see(loc) != 0,
            Gate::AllDrained => all_drained(),
        }
    }
}
