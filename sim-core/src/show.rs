//! How an executor shows each step that it takes: to a search, or to code that keeps footprints.

use crate::choice::{Choice, Enabled, Transition};
use crate::context::TaskState;
use crate::executor::{Executor, Platform};
use crate::footprint::{Sees, Step};
use crate::gate::Gate;
use crate::id::{CpuId, TaskId};
use crate::outcome::Outcome;

impl<'m, P: Platform<'m>> Executor<'m, P> {
    /// Asks what comes next, and watches that step.
    ///
    /// # Errors
    /// How the run ends, if nothing comes next.
    #[cold]
    pub(crate) fn decide_closely(&mut self, bound: u64) -> Result<usize, Outcome> {
        let core = self.core;
        if core.steps.get() >= bound {
            return Err(Outcome::StepBound);
        }
        core.set_searched(true);
        let enabled = Enabled { ready: &self.ready, others: &self.others, cpus: &core.cpus };
        let of = enabled.len();
        let searched = core.with_search(|search| search.decide(core, &enabled));
        let (is_search, chosen) = match searched {
            Some(decided) => (true, decided.ok_or(Outcome::Pruned)?),
            None if of > 1 => (false, core.choose_transition(&self.ready, &self.others)),
            None => (false, 0),
        };
        let transition = enabled.get(chosen);
        if is_search && of > 1 {
            core.note_decision(&Choice::Transition(enabled), chosen);
        }
        let cpu = transition.cpu();
        let state = &core.cpus[cpu.index()];
        let op = state.op();
        let sees = core.with_search(|search| search.sees()).unwrap_or(Sees::ALL);
        let is_drain = matches!(transition, Transition::Drain(_));
        // Only a search wants to know what the CPU could have done instead.
        let irq_on = is_search && state.mode.get().irq_on;
        let shares = is_search && self.sharing & 1 << cpu.0 != 0;
        let or_else = !is_drain && (shares || (sees.interrupts && irq_on));
        let drains = op.is_some_and(|op| op.kind.drains() || matches!(op.gate, Gate::OneSource(..)));
        self.shown = Some(Step {
            cpu,
            is_drain,
            irq_on,
            drains: matches!(transition, Transition::Step(_)) && drains,
            or_else,
            may_drain: or_else && (shares || drains),
        });
        let gate = match transition {
            Transition::Step(_) => op.map(|op| op.gate),
            Transition::Switch(_, to) => self.parked(cpu).find(|(task, _)| *task == to).map(|(_, gate)| gate),
            Transition::Interrupt(..) | Transition::Drain(_) => None,
        };
        let others = self.gates_of(cpu).filter(|_| or_else).map(|gate| (gate, self.is_open(cpu, gate)));
        core.tracker.borrow_mut().open(core, sees, gate, others, |i| self.is_quiescent(i));
        Ok(chosen)
    }

    /// Whether a CPU finds a gate open.
    fn is_open(&self, cpu: CpuId, gate: Gate) -> bool {
        self.core.cpus[cpu.index()].finds_open(gate, self.core)
    }

    /// What the parked tasks of a CPU wait for.
    fn parked(&self, cpu: CpuId) -> impl Iterator<Item = (TaskId, Gate)> {
        self.stacks[cpu.index()].tasks.iter().filter_map(|task| match &task.state {
            TaskState::Parked(saved) => Some((task.id, saved.op?.gate)),
            _ => None,
        })
    }

    /// What the contexts of a CPU wait for.
    fn gates_of(&self, cpu: CpuId) -> impl Iterator<Item = Gate> {
        let own = self.core.cpus[cpu.index()].op().map(|op| op.gate);
        self.parked(cpu).map(|(_, gate)| gate).chain(own)
    }

    /// The step that was watched is over, with all its effects.
    #[cold]
    pub(crate) fn close_step(&mut self) {
        let (core, Some(step)) = (self.core, self.shown.take()) else { return };
        let mut tracker = core.tracker.borrow_mut();
        let is_search = core.with_search(|search| {
            let shown = tracker.close(core, search.sees(), step, |i| self.is_quiescent(i));
            search.note(core, &tracker, shown);
        });
        if is_search.is_none() {
            tracker.close(core, Sees::ALL, step, |i| self.is_quiescent(i));
            core.keep_footprint(&tracker);
        }
    }

    /// The run is over. This tells of the last step, and tells a search of the CPUs that cannot go on.
    pub(crate) fn close_run(&mut self, outcome: &Outcome) {
        self.close_step();
        self.core.set_searched(false);
        if matches!(outcome, Outcome::Completed) {
            return;
        }
        // This is done for a run that was given up as well. What could still follow the run was covered elsewhere. But a
        // lane that waits here could have come before the step that closed its gate, and that order was not covered.
        for cpu in CpuId::all(self.core.cpus.len()) {
            let gates: Vec<Gate> = self.gates_of(cpu).filter(|gate| *gate != Gate::Open).collect();
            if !gates.is_empty() {
                self.core.with_search(|search| search.note_blocked(cpu, &gates));
            }
        }
    }
}
