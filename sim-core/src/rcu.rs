//! RCU-sched: callbacks that run after every CPU has been seen outside its read-side sections.

use std::cell::{Cell, RefCell};

use crate::cpu_state::{CpuState, Mode};
use crate::id::CpuId;

/// What counts as a read-side critical section of the grace periods here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RcuRules {
    /// Whether `rcu_read_lock()` holds up a grace period. It does since v4.20, which merged the flavours of RCU.
    /// Before, only disabled preemption or disabled interrupts did.
    pub read_lock_counts: bool,
    /// Whether kernel code can be preempted. If not, all of it is a read-side section.
    pub preempt: bool,
}

impl Default for RcuRules {
    fn default() -> Self {
        RcuRules { read_lock_counts: true, preempt: false }
    }
}

impl RcuRules {
    /// Whether a CPU in this mode, outside any handler, holds up no grace period.
    fn is_quiescent(self, mode: Mode) -> bool {
        mode.user || (self.preempt && mode.irq_on && mode.preempt == 0 && !(self.read_lock_counts && mode.rcu > 0))
    }
}

/// What the executor sees of a CPU.
pub(crate) struct Seen {
    /// It is in an interrupt handler.
    pub(crate) handling: bool,
    /// Its task sleeps. That is a context switch, so the CPU is quiescent.
    pub(crate) asleep: bool,
    /// A task that was preempted inside `rcu_read_lock()` waits there.
    pub(crate) preempted_reader: bool,
}

/// A callback: what the caller gave, and the CPU on which it was queued and will run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Where it runs.
    pub cpu: CpuId,
    /// A number by which the caller knows what is to be done.
    pub token: u64,
}

/// The callbacks of one machine. One grace period is under way at a time. Callbacks that are queued meanwhile wait for
/// the next.
#[derive(Debug)]
pub struct Rcu {
    rules: RcuRules,
    everyone: u64,
    /// CPUs that the present grace period still waits for; zero if none is under way.
    holdouts: Cell<u64>,
    /// Whether anything was queued since the last reset.
    used: Cell<bool>,
    waiting: RefCell<Vec<Callback>>,
    queued: RefCell<Vec<Callback>>,
    done: RefCell<Vec<Callback>>,
    /// Counts the changes of callbacks and grace periods.
    changes: Cell<u64>,
}

impl Rcu {
    pub(crate) fn new(rules: RcuRules, cpus: usize) -> Rcu {
        Rcu {
            rules,
            everyone: u64::MAX >> (64 - cpus),
            holdouts: Cell::new(0),
            used: Cell::new(false),
            waiting: RefCell::default(),
            queued: RefCell::default(),
            done: RefCell::default(),
            changes: Cell::new(0),
        }
    }

    pub(crate) fn reset(&self) {
        if !self.used.replace(false) {
            return;
        }
        self.holdouts.set(0);
        self.waiting.borrow_mut().clear();
        self.queued.borrow_mut().clear();
        self.done.borrow_mut().clear();
    }

    fn note_change(&self) {
        self.changes.set(self.changes.get() + 1);
    }

    /// The number of changes so far. If it is the same as before, nothing here has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// `call_rcu_sched()`: after a grace period, `token` comes back through [`take_done`](Rcu::take_done) on `cpu`, in
    /// the RCU interrupt. The callback is queued in the step of the caller.
    pub fn call(&self, cpu: CpuId, token: u64) {
        self.used.set(true);
        self.note_change();
        self.queued.borrow_mut().push(Callback { cpu, token });
        self.start();
    }

    fn start(&self) {
        if self.holdouts.get() == 0 && self.waiting.borrow().is_empty() && !self.queued.borrow().is_empty() {
            self.waiting.borrow_mut().append(&mut self.queued.borrow_mut());
            self.holdouts.set(self.everyone);
        }
    }

    /// Callbacks of `cpu` whose grace period has ended.
    pub fn take_done(&self, cpu: CpuId) -> Vec<Callback> {
        self.note_change();
        let mut mine = Vec::new();
        self.done.borrow_mut().retain(|callback| {
            let keep = callback.cpu != cpu;
            if !keep {
                mine.push(*callback);
            }
            keep
        });
        mine
    }

    /// Tells every callback that has not come back yet. This is for code that only looks.
    pub fn each_pending(&self, mut hear: impl FnMut(&Callback)) {
        for list in [&self.waiting, &self.queued, &self.done] {
            list.borrow().iter().for_each(&mut hear);
        }
    }

    /// Whether a grace period is under way.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.holdouts.get() != 0
    }

    /// Whether a CPU holds up no grace period. A grace period is a full barrier on every CPU, so a CPU with buffered
    /// stores still holds it up.
    pub(crate) fn is_quiescent(&self, cpu: &CpuState, seen: &Seen) -> bool {
        let reads = seen.preempted_reader && self.rules.read_lock_counts;
        let quiescent = cpu.is_idle() || seen.asleep || self.rules.is_quiescent(cpu.mode.get());
        quiescent && !reads && !seen.handling && cpu.buffer.is_empty()
    }

    /// Notes the CPUs that are quiescent now. If the grace period ends with that, the answer is the set of CPUs on
    /// which callbacks became ready. `look` tells what the executor sees of a CPU.
    pub(crate) fn note(&self, cpus: &[CpuState], look: impl Fn(usize) -> Seen) -> u64 {
        let mut holdouts = self.holdouts.get();
        for (i, cpu) in cpus.iter().enumerate().filter(|(i, _)| self.holdouts.get() & 1 << i != 0) {
            if self.is_quiescent(cpu, &look(i)) {
                holdouts &= !(1 << i);
            }
        }
        if holdouts != self.holdouts.replace(holdouts) {
            self.note_change();
        }
        if holdouts != 0 {
            return 0;
        }
        let ready = self.waiting.borrow().iter().fold(0, |set, callback| set | 1 << callback.cpu.0);
        self.done.borrow_mut().append(&mut self.waiting.borrow_mut());
        self.start();
        ready
    }
}
