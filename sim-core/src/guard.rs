//! The guards that change a CPU's mode, and put back what was there when they are dropped.

use crate::cpu::Cpu;
use crate::cpu_state::Mode;

impl<'m> Cpu<'m> {
    fn change(self, change: impl FnOnce(&mut Mode)) {
        let cell = &self.state().mode;
        let mut mode = cell.get();
        change(&mut mode);
        cell.set(mode);
    }

    /// Whether interrupts are taken here.
    pub fn irqs_enabled(self) -> bool {
        self.state().mode.get().irq_on
    }

    /// `local_irq_save()`: this CPU takes no interrupt until the guard is dropped. The guard then puts the old state
    /// back.
    pub fn irq_save(self) -> IrqGuard<'m> {
        let was_on = self.irqs_enabled();
        self.change(|mode| mode.irq_on = false);
        IrqGuard { cpu: self, was_on }
    }

    /// `preempt_disable()` until the guard is dropped.
    pub fn preempt_disable(self) -> PreemptGuard<'m> {
        self.change(|mode| mode.preempt += 1);
        PreemptGuard { cpu: self }
    }

    /// `rcu_read_lock()` until the guard is dropped.
    pub fn rcu_read_lock(self) -> RcuReadGuard<'m> {
        self.change(|mode| mode.rcu += 1);
        RcuReadGuard { cpu: self }
    }

    /// From user mode into the kernel (a system call, a fault) until the guard is dropped.
    pub fn enter_kernel(self) -> KernelEntry<'m> {
        let from_user = self.state().mode.get().user;
        self.change(|mode| mode.user = false);
        KernelEntry { cpu: self, from_user }
    }
}

/// Interrupts are off while this lives.
#[must_use]
pub struct IrqGuard<'m> {
    cpu: Cpu<'m>,
    was_on: bool,
}

impl Drop for IrqGuard<'_> {
    fn drop(&mut self) {
        self.cpu.change(|mode| mode.irq_on = self.was_on);
    }
}

/// Preemption is off while this lives.
#[must_use]
pub struct PreemptGuard<'m> {
    cpu: Cpu<'m>,
}

impl Drop for PreemptGuard<'_> {
    fn drop(&mut self) {
        self.cpu.change(|mode| mode.preempt = mode.preempt.saturating_sub(1));
    }
}

/// An RCU read-side critical section while this lives.
#[must_use]
pub struct RcuReadGuard<'m> {
    cpu: Cpu<'m>,
}

impl Drop for RcuReadGuard<'_> {
    fn drop(&mut self) {
        self.cpu.change(|mode| mode.rcu = mode.rcu.saturating_sub(1));
    }
}

/// The CPU is in the kernel while this lives.
#[must_use]
pub struct KernelEntry<'m> {
    cpu: Cpu<'m>,
    from_user: bool,
}

impl Drop for KernelEntry<'_> {
    fn drop(&mut self) {
        self.cpu.change(|mode| mode.user = self.from_user);
    }
}
