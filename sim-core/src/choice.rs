//! Choices: every decision of a run passes through this module.

use std::fmt;

use crate::cpu_state::CpuState;
use crate::id::{CpuId, TaskId, Vector};
use crate::op::Op;
use crate::ready::Ready;

/// One thing that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The CPU performs its announced access.
    Step(CpuId),
    /// The CPU leaves its task for another.
    Switch(CpuId, TaskId),
    /// The CPU takes a pending interrupt.
    Interrupt(CpuId, Vector),
    /// The CPU's oldest buffered store reaches memory.
    Drain(CpuId),
}

impl Transition {
    /// The CPU that it happens on.
    #[inline]
    pub fn cpu(self) -> CpuId {
        match self {
            Transition::Step(cpu)
            | Transition::Switch(cpu, _)
            | Transition::Interrupt(cpu, _)
            | Transition::Drain(cpu) => cpu,
        }
    }

    /// The number of the actor: the CPU's code, its interrupts, its store buffer, or a task to which its scheduler
    /// could switch. A strategy with priorities gives each actor a rank of its own.
    #[inline]
    pub(crate) fn actor(self, cpus: usize) -> usize {
        match self {
            Transition::Step(cpu) => cpu.index(),
            Transition::Interrupt(cpu, _) => cpus + cpu.index(),
            Transition::Drain(cpu) => 2 * cpus + cpu.index(),
            Transition::Switch(_, task) => 3 * cpus + usize::from(task.0),
        }
    }
}

/// The transitions among which a scheduler chooses, the simplest first. First comes the CPU that ran last, if it can go
/// on. Then come the accesses of the other CPUs, and then switches, interrupts and drains.
pub struct Enabled<'a> {
    /// The CPUs whose announced access can happen.
    pub(crate) ready: &'a Ready,
    /// Everything but accesses.
    pub(crate) others: &'a [Transition],
    pub(crate) cpus: &'a [CpuState],
}

impl Enabled<'_> {
    /// How many there are.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a choice among nothing is never offered")]
    pub fn len(&self) -> usize {
        self.ready.len() + self.others.len()
    }

    /// Whether the first transition goes on with the CPU that ran last.
    #[inline]
    pub fn stays(&self) -> bool {
        self.ready.has_last()
    }

    /// Transition `i`.
    #[inline]
    pub fn get(&self, i: usize) -> Transition {
        match i.checked_sub(self.ready.len()) {
            None => Transition::Step(self.ready.get(i)),
            Some(i) => self.others[i],
        }
    }

    /// Number of CPUs of the machine.
    pub fn cpus(&self) -> usize {
        self.cpus.len()
    }

    /// The time at which transition `i` can happen. It is the clock of its CPU. Under a cost model an interrupt must
    /// also have arrived.
    pub fn time(&self, i: usize) -> u64 {
        let transition = self.get(i);
        let cpu = &self.cpus[transition.cpu().index()];
        match transition {
            Transition::Interrupt(_, vector) => cpu.cycles.get().max(cpu.arrival(vector)),
            _ => cpu.cycles.get(),
        }
    }

    /// Whether transition `i` leaves a task that could go on.
    pub(crate) fn preempts(&self, i: usize) -> bool {
        matches!(self.get(i), Transition::Switch(cpu, _) if self.ready.contains(cpu))
    }

    /// Whether a store buffer can be drained.
    pub(crate) fn drains(&self) -> bool {
        // Drains come last.
        matches!(self.others.last(), Some(Transition::Drain(_)))
    }

    /// Whether transition `i` drains a store buffer.
    pub(crate) fn is_drain(&self, i: usize) -> bool {
        matches!(self.get(i), Transition::Drain(_))
    }

    /// How many transitions drain no store buffer. They come first.
    pub(crate) fn without_drains(&self) -> usize {
        let drains = self.others.iter().rev().take_while(|other| matches!(other, Transition::Drain(_)));
        self.len() - drains.count()
    }

    /// The announced operation behind transition `i`, if it is an access.
    pub fn op(&self, i: usize) -> Option<Op> {
        match self.get(i) {
            Transition::Step(cpu) => self.cpus[cpu.index()].op(),
            _ => None,
        }
    }

    /// The CPU whose access transition `i` is, if it is one.
    #[inline]
    pub(crate) fn accesses(&self, i: usize) -> Option<&CpuState> {
        (i < self.ready.len()).then(|| &self.cpus[self.ready.get(i).index()])
    }

    /// The CPUs that can step, if nothing else can happen.
    #[inline]
    pub(crate) fn only_steps(&self) -> Option<u64> {
        self.others.is_empty().then(|| self.ready.cpus())
    }

    /// The number of the actor of transition `i`: see [`Transition::actor`].
    #[inline]
    pub(crate) fn actor(&self, i: usize) -> usize {
        self.get(i).actor(self.cpus.len())
    }
}

/// A question to a [`Chooser`].
pub enum Choice<'a> {
    /// What happens next?
    Transition(Enabled<'a>),
    /// Which of several values that the machine allows?
    Value {
        /// What is chosen: `"free frame"`.
        what: &'static str,
        /// The number of values.
        of: usize,
    },
}

impl Choice<'_> {
    /// The number of answers.
    #[inline]
    pub fn of(&self) -> usize {
        match self {
            Choice::Transition(enabled) => enabled.len(),
            Choice::Value { of, .. } => *of,
        }
    }
}

/// A source of decisions.
pub trait Chooser {
    /// An answer below [`Choice::of`]. This is asked only if there are at least two answers.
    fn choose(&mut self, choice: &Choice<'_>) -> usize;
}

/// What a decision was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// What happened next.
    Transition(Transition),
    /// Which value was taken.
    Value(&'static str),
}

/// One decision of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The number of steps before it.
    pub step: u64,
    /// What it was about.
    pub decided: Decided,
    /// The answer.
    pub chosen: u32,
    /// The number of answers there were.
    pub of: u32,
}

impl fmt::Display for Decision {
    /// `1/3 cpu2`: the second of three answers, a step of CPU 2.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ", self.chosen, self.of)?;
        match self.decided {
            Decided::Value(what) => f.write_str(what),
            Decided::Transition(Transition::Step(cpu)) => write!(f, "{cpu}"),
            Decided::Transition(Transition::Switch(cpu, task)) => write!(f, "{cpu} to task {}", task.0),
            Decided::Transition(Transition::Interrupt(cpu, vector)) => write!(f, "{cpu} interrupt {}", vector.0),
            Decided::Transition(Transition::Drain(cpu)) => write!(f, "{cpu} drain"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transition::{Drain, Interrupt, Step, Switch};

    const CPU: CpuId = CpuId(2);

    #[test]
    fn a_decision_in_words() {
        for (decided, text) in [
            (Decided::Transition(Step(CPU)), "1/3 cpu2"),
            (Decided::Transition(Switch(CPU, TaskId(4))), "1/3 cpu2 to task 4"),
            (Decided::Transition(Interrupt(CPU, Vector(7))), "1/3 cpu2 interrupt 7"),
            (Decided::Transition(Drain(CPU)), "1/3 cpu2 drain"),
            (Decided::Value("free frame"), "1/3 free frame"),
        ] {
            assert_eq!(Decision { step: 0, decided, chosen: 1, of: 3 }.to_string(), text);
        }
    }

    /// What acts on a CPU has ranks of its own.
    #[test]
    fn actors_differ() {
        let of_cpu = |cpu: CpuId| [Step(cpu), Switch(cpu, TaskId(cpu.0)), Interrupt(cpu, Vector(0)), Drain(cpu)];
        let mut actors: Vec<_> = CpuId::all(3).flat_map(of_cpu).map(|transition| transition.actor(3)).collect();
        actors.sort_unstable();
        assert_eq!(actors, (0..12).collect::<Vec<_>>());
    }
}
