//! Spinlocks. Nothing spins: a lock that is held disables the acquirer's transition.

use crate::cpu::Cpu;
use crate::event::Event;
use crate::gate::Gate;
use crate::guard::PreemptGuard;
use crate::loc::Loc;
use crate::op::{Op, OpKind};
use crate::record::Field;
use crate::step::Step;

/// `spinlock_t`. The word is zero if the lock is free. Otherwise it is one more than the number of the CPU that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpinLock(pub Loc);

impl Field for SpinLock {
    #[inline]
    fn at(loc: Loc) -> Self {
        SpinLock(loc)
    }
}

impl<'m> Cpu<'m> {
    /// `spin_lock()`: takes the lock, with preemption off until it is released.
    #[inline]
    #[track_caller]
    pub fn lock(self, lock: SpinLock) -> Step<'m, impl FnMut(Cpu<'m>) -> Held<'m> + Unpin> {
        let op = Op::new(OpKind::Acquire, lock.0).behind(Gate::Zero(lock.0));
        self.step(op, move |cpu| cpu.hold(lock, op))
    }

    /// `spin_trylock()`.
    #[inline]
    #[track_caller]
    pub fn try_lock(self, lock: SpinLock) -> Step<'m, impl FnMut(Cpu<'m>) -> Option<Held<'m>> + Unpin> {
        let op = Op::new(OpKind::Rmw, lock.0);
        self.step(op, move |cpu| {
            let held = cpu.core.memory.get(lock.0);
            if held == 0 {
                return Some(cpu.hold(lock, op));
            }
            cpu.perform_rmw(&op, held, held);
            None
        })
    }

    fn hold(self, lock: SpinLock, op: Op) -> Held<'m> {
        self.perform_rmw(&op, 0, u64::from(self.id.0) + 1);
        Held { cpu: self, lock, _preempt: self.preempt_disable() }
    }
}

/// A held spinlock. To drop it is `spin_unlock()`: a plain store, which TSO buffers.
#[must_use]
pub struct Held<'m> {
    cpu: Cpu<'m>,
    lock: SpinLock,
    _preempt: PreemptGuard<'m>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.cpu.put(self.lock.0, 0);
        let loc = self.lock.0;
        self.cpu.core.emit(self.cpu.id, || Event::Release { loc });
    }
}
