//! A simulated CPU, as the code that runs on it sees it.

use crate::core::Core;
use crate::cpu_state::CpuState;
use crate::event::Event;
use crate::id::{CpuId, TaskId, Vector};
use crate::op::Op;

/// A CPU as the code that runs on it sees it.
#[derive(Clone, Copy)]
pub struct Cpu<'m> {
    /// The machine.
    pub core: &'m Core,
    /// The number of this CPU.
    pub id: CpuId,
}

impl<'m> Cpu<'m> {
    #[inline]
    pub(crate) fn state(self) -> &'m CpuState {
        &self.core.cpus[self.id.index()]
    }

    /// `might_sleep()`: what comes next may leave the CPU to another task. The observer is told if that is not allowed here, whether the task
    /// has to wait this time or not.
    pub(crate) fn might_sleep(self) {
        if let Some(why) = self.state().mode.get().atomic() {
            self.core.note_atomic_sleep(self.id, why);
        }
    }

    #[inline]
    pub(crate) fn announce(self, op: &Op) {
        if op.sleeps {
            self.might_sleep();
        }
        self.core.announce(self.id, op);
    }

    #[inline]
    pub(crate) fn charge(self, op: &Op) {
        if self.core.is_watched() && self.core.is_costed() {
            self.charge_by_model(op);
        } else {
            self.spend(u64::from(self.core.config.cycles[op.kind as usize]));
        }
    }

    /// Adds to the clock of the CPU what an operation costs beyond the cost of its kind. Under a cost model the caller
    /// adds these cycles to the account.
    #[inline]
    pub fn spend(self, cycles: u64) {
        let clock = &self.state().cycles;
        clock.set(clock.get() + cycles);
    }

    /// The task that runs here.
    pub fn task(self) -> Option<TaskId> {
        self.state().task.get()
    }

    /// Makes an interrupt pending on another CPU (or on this one). It belongs to the step of the caller.
    pub fn raise(self, target: CpuId, vector: Vector) {
        // If the interrupt is pending already, nothing changes. But the step depends on whether it is still pending.
        self.core.touch(self.core.places().pending(target), true);
        let pending = &self.core.cpus[target.index()].pending;
        pending.set(pending.get() | 1 << vector.0);
        self.core.interrupted.set(self.core.interrupted.get() | 1 << target.0);
        if self.core.is_costed() {
            self.note_raised(target, vector);
        }
        self.core.emit(self.id, || Event::Raise { target, vector });
    }
}
