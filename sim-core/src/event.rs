//! The event log as typed data.

use std::panic::Location;

use crate::id::{CpuId, TaskId, Vector};
use crate::loc::Loc;
use crate::op::OpKind;
use crate::routine::Routine;

/// Something that happened on a CPU.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// An access was performed.
    Access {
        /// What it was.
        kind: OpKind,
        /// Where.
        loc: Loc,
        /// The value before.
        old: u64,
        /// The value now. Under TSO, the value that the store buffer of the CPU will put there.
        new: u64,
        /// The line of simulated code.
        place: &'static Location<'static>,
    },
    /// A buffered store reached memory.
    Drain {
        /// Where.
        loc: Loc,
        /// The value before.
        old: u64,
        /// The value now.
        new: u64,
    },
    /// A lock was released.
    Release {
        /// Its word.
        loc: Loc,
    },
    /// A routine began.
    Enter(Routine),
    /// The innermost routine ended.
    Exit,
    /// An interrupt became pending on `target`.
    Raise {
        /// Where.
        target: CpuId,
        /// Which.
        vector: Vector,
    },
    /// An interrupt was taken.
    Interrupt(Vector),
    /// The handler on top returned.
    Return,
    /// Another task runs.
    Switch(TaskId),
}
