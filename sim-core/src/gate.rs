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
    /// These bytes of the word hold this number.
    Is(Loc, Bytes, u64),
    /// These bytes of the word hold another number.
    IsNot(Loc, Bytes, u64),
    /// Every CPU's store buffer is empty.
    AllDrained,
    /// A load of these bytes of a word needs only one source: a store in the buffer of its CPU, or memory.
    OneSource(Loc, Bytes),
}

impl Gate {
    /// The word whose value opens and closes it.
    #[inline]
    pub(crate) fn word(self) -> Option<Loc> {
        match self {
            Gate::Zero(loc) | Gate::NonZero(loc) | Gate::Is(loc, ..) | Gate::IsNot(loc, ..) => Some(loc),
            Gate::Open | Gate::AllDrained | Gate::OneSource(..) => None,
        }
    }

    /// Whether the gate is open. `see` reads a word as the waiting CPU sees it, with its own buffered stores.
    /// `all_drained` tells whether the store buffers are empty. A gate that depends on the contents of the CPU's own
    /// buffer counts as open here.
    #[inline]
    pub(crate) fn is_open(self, see: impl Fn(Loc) -> u64, all_drained: impl Fn() -> bool) -> bool {
        match self {
            Gate::Open | Gate::OneSource(..) => true,
            Gate::Zero(loc) => see(loc) == 0,
            Gate::NonZero(loc) => see(loc) != 0,
            Gate::Is(loc, bytes, number) => bytes.take(see(loc)) == number,
            Gate::IsNot(loc, bytes, number) => bytes.take(see(loc)) != number,
            Gate::AllDrained => all_drained(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_opens_by_the_bytes_that_it_names() {
        let loc = Loc(7);
        let (low, high) = (Bytes::of(0, 1), Bytes::of(4, 4));
        for (gate, open, closed) in [
            (Gate::Zero(loc), 0, 1),
            (Gate::NonZero(loc), 1 << 40, 0),
            (Gate::Is(loc, low, 2), 0xff02, 0xff03),
            (Gate::IsNot(loc, low, 2), 0x0203, 0x0302),
            (Gate::Is(loc, high, 1), 0x1_dead_beef, 0x1),
        ] {
            assert!(gate.is_open(|_| open, || false) && !gate.is_open(|_| closed, || false), "{gate:?}");
            assert_eq!(gate.word(), Some(loc), "{gate:?}");
        }
        assert_eq!([Gate::Open, Gate::AllDrained].map(Gate::word), [None, None]);
    }
}
