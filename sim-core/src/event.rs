//! The event log as typed data.

use std::panic::Location;

use crate::core::Core;
use crate::cpu::{CpuId, TaskId, Vector};
use crate::memory::Loc;
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
        /// What was there before.
        old: u64,
        /// What is there now (under TSO, what the CPU's store buffer will put there).
        new: u64,
        /// The line of simulated code.
        place: &'static Location<'static>,
    },
    /// A buffered store reached memory.
    Drain {
        /// Where.
        loc: Loc,
        /// What was there before.
        old: u64,
        /// What is there now.
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

/// Whoever keeps the event log.
pub trait Observer {
    /// An event, at the moment it happens.
    fn observe(&self, core: &Core, cpu: CpuId, event: Event);

    /// Code on `cpu` used a record whose life has ended ([`Slab`](crate::Slab)), at this word or at its first.
    /// Told in every run, with and without the event log.
    fn touched_dead(&self, core: &Core, cpu: CpuId, loc: Loc) {
        let _ = (core, cpu, loc);
    }
}
