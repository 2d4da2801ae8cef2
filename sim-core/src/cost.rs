//! Simulated time: what operations cost under a cost model, and which CPU has to wait for which.
//!
//! Without a model every operation costs a fixed number of cycles ([`Config::cycles`](crate::Config)), and the
//! clock of a CPU knows nothing of the other clocks. With a model, the model says by how much a clock advances,
//! and a CPU that waits takes over a clock. For example, a CPU that takes a lock is not earlier than the CPU that
//! released it, and a CPU takes an interrupt only after the interrupt has arrived. Runs that explore have no
//! model. They pay one branch for it, which the processor predicts.

use std::rc::Rc;

use crate::core::{Core, Costs};
use crate::cpu::Cpu;
use crate::gate::Gate;
use crate::id::{CpuId, Vector};
use crate::op::{Op, OpKind};
use crate::source::Source;
use crate::timeline::Timeline;

/// The cycles until the tick in which a CPU finds that a grace period is over: 1 ms, at 4 GHz.
const TICK: u64 = 4_000_000;

impl Core {
    /// Installs a cost model, or takes it away. It is called between runs.
    pub fn set_costs(&self, costs: Option<Rc<dyn Costs>>) {
        self.costed.set(costs.is_some());
        self.timeline.replace(costs.as_ref().map(|_| Timeline::new(self.memory.len())));
        self.costs.replace(costs);
        self.update_watched();
        for cpu in &self.cpus {
            cpu.cycles.set(0);
        }
        self.restart_time();
    }

    /// Whether a cost model is installed.
    #[inline]
    pub fn is_costed(&self) -> bool {
        self.costed.get()
    }

    fn with_timeline<R>(&self, tell: impl FnOnce(&Timeline) -> R) -> Option<R> {
        self.timeline.borrow().as_ref().map(tell)
    }

    fn with_costs<R>(&self, ask: impl FnOnce(&dyn Costs) -> R) -> Option<R> {
        self.costs.borrow().as_deref().map(ask)
    }

    /// A run begins. This is called before memory goes back to the checkpoint.
    #[cold]
    pub(crate) fn restart_time(&self) {
        self.forget_changes();
        for cpu in &self.cpus {
            cpu.arrivals.borrow_mut().fill(0);
        }
        self.with_costs(|costs| costs.reset());
    }

    /// Each clock starts at the time that the source says. This is called when the clocks are at zero.
    #[cold]
    pub(crate) fn start_clocks(&self) {
        for cpu in CpuId::all(self.cpus.len()) {
            let start = self.with_source(Source::draw_start);
            self.advance_to(cpu, start);
        }
    }

    /// All changes so far count as made before any run. This is called while the journal still has them.
    #[cold]
    pub(crate) fn forget_changes(&self) {
        self.with_timeline(|timeline| {
            let mut changed = timeline.changed.borrow_mut();
            self.memory.changed_since(0, |loc| changed[loc.0 as usize] = 0);
            timeline.drained.set(0);
            timeline.noted.set(0);
        });
    }

    /// The words that changed in this step changed at the present time of the CPU whose step it was.
    pub(crate) fn note_changes(&self, cpu: CpuId) {
        let now = self.cycles(cpu);
        self.with_timeline(|timeline| {
            let mut changed = timeline.changed.borrow_mut();
            let noted = self.memory.changed_since(timeline.noted.get(), |loc| changed[loc.0 as usize] = now);
            timeline.noted.set(noted);
        });
    }

    /// A CPU has found the gate of what it announced open.
    #[cold]
    pub(crate) fn pass_gate(&self, cpu: CpuId) {
        let gate = self.cpus[cpu.index()].op().map_or(Gate::Open, |op| op.gate);
        self.wait_for(cpu, gate);
    }

    /// A CPU goes on because a gate is open. Its clock is then not behind the clock of the CPU that opened it.
    #[cold]
    pub(crate) fn wait_for(&self, cpu: CpuId, gate: Gate) {
        let opened = self.with_timeline(|timeline| match gate {
            Gate::Open => 0,
            Gate::Zero(loc) | Gate::NonZero(loc) | Gate::Is(loc, ..) | Gate::IsNot(loc, ..) => {
                timeline.changed_at(loc)
            }
            Gate::AllDrained | Gate::OneSource(..) => timeline.drained.get(),
        });
        self.advance_to(cpu, opened.unwrap_or_default());
    }

    /// A pending interrupt can be taken from `time` on.
    fn set_arrival(&self, cpu: CpuId, vector: Vector, time: u64) {
        self.cpus[cpu.index()].arrivals.borrow_mut()[usize::from(vector.0)] = time;
    }

    /// The CPU waits until `time`, if that is still to come.
    fn advance_to(&self, cpu: CpuId, time: u64) {
        let waits = time.saturating_sub(self.cycles(cpu));
        if waits > 0 {
            Cpu { core: self, id: cpu }.spend(waits);
            self.with_costs(|costs| costs.waited(cpu, waits));
        }
    }
}

impl Cpu<'_> {
    #[cold]
    pub(crate) fn charge_by_model(self, op: &Op) {
        // A semaphore is taken without a gate, but not before its last holder has released it.
        if op.kind == OpKind::Acquire {
            let released = self.core.with_timeline(|timeline| timeline.changed_at(op.loc));
            self.core.advance_to(self.id, released.unwrap_or_default());
        }
        let cycles = self.core.with_costs(|costs| costs.operation(self.core, self.id, op));
        self.spend(cycles.unwrap_or_default());
    }

    /// An interrupt is under way to `target`.
    #[cold]
    pub(crate) fn note_raised(self, target: CpuId, vector: Vector) {
        let flight = self.core.with_costs(|costs| costs.flight()).unwrap_or_default();
        let arrival = self.core.cycles(self.id) + if target == self.id { 0 } else { flight };
        self.core.set_arrival(target, vector, arrival);
    }

    /// A grace period has ended with a step of `last`, and its callbacks wait for an interrupt on this CPU. The
    /// interrupt comes with the next tick, because nothing else looks for callbacks.
    #[cold]
    pub(crate) fn note_grace_over(self, last: CpuId, vector: Vector) {
        let now = self.core.cycles(self.id).max(self.core.cycles(last));
        self.core.set_arrival(self.id, vector, now + TICK);
    }

    /// Takes an interrupt, once it has arrived.
    #[cold]
    pub(crate) fn charge_interrupt(self, vector: Vector) {
        self.core.advance_to(self.id, self.state().arrival(vector));
        let cycles = self.core.with_costs(|costs| costs.interrupt(self.id));
        self.spend(cycles.unwrap_or_default());
    }

    #[cold]
    pub(crate) fn charge_return(self) {
        let cycles = self.core.with_costs(|costs| costs.interrupt_return(self.id));
        self.spend(cycles.unwrap_or_default());
    }

    #[cold]
    pub(crate) fn note_drained(self) {
        let now = self.core.cycles(self.id);
        self.core.with_timeline(|timeline| timeline.drained.set(timeline.drained.get().max(now)));
    }
}
