//! Sequence counts: a reader that overlaps a writer learns of it and retries or gives up.

use crate::cpu::Cpu;
use crate::loc::Loc;
use crate::record::Field;
use crate::step::{Perform, Step};
use crate::word::Shared;

/// `seqcount_t`: odd while a writer is inside. Writers exclude each other by other means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeqCount(pub Shared<u64>);

impl Field for SeqCount {
    #[inline]
    fn at(loc: Loc) -> Self {
        SeqCount(Shared::at(loc))
    }
}

impl<'m> Cpu<'m> {
    /// `raw_write_seqcount_begin()`.
    #[inline]
    #[track_caller]
    pub fn write_begin(self, seq: SeqCount) -> Step<'m, impl Perform<'m, Output = u64>> {
        self.rmw(seq.0, |s| s + 1)
    }

    /// `raw_write_seqcount_end()`.
    #[inline]
    #[track_caller]
    pub fn write_end(self, seq: SeqCount) -> Step<'m, impl Perform<'m, Output = u64>> {
        self.rmw(seq.0, |s| s + 1)
    }

    /// `raw_read_seqcount()`: an odd value says that a writer is inside.
    #[inline]
    #[track_caller]
    pub fn read_seq(self, seq: SeqCount) -> Step<'m, impl Perform<'m, Output = u64>> {
        self.load(seq.0)
    }
}
