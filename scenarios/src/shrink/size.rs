//! Sizes, by which one failing run is simpler than another.

use std::fmt;

use sim_core::Decided;

use crate::course::Course;
use crate::explore::Trace;
use crate::operation::Statement;
use crate::scenario::{MachineSpec, Scenario};

/// The size of a schedule. The number that weighs most comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Schedule {
    /// How often a step belongs to another CPU than the step before.
    pub switches: usize,
    /// Choices of a value that are not the simplest.
    pub choices: usize,
    /// Steps.
    pub steps: u64,
}

impl Schedule {
    /// The size of a run.
    pub fn of(trace: &Trace) -> Schedule {
        let chosen =
            |decision: &&sim_core::Decision| matches!(decision.decided, Decided::Value(_)) && decision.chosen != 0;
        Schedule {
            switches: Course::of(trace).switches(),
            choices: trace.decisions.iter().filter(chosen).count(),
            steps: trace.steps,
        }
    }

    /// Whether none of its numbers is larger than in another.
    pub fn is_within(self, other: Schedule) -> bool {
        self.switches <= other.switches && self.choices <= other.choices && self.steps <= other.steps
    }
}

/// The size of a failing run with its scenario. The number that weighs most comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Threads.
    pub threads: usize,
    /// Operations of threads and of set-up, and processes.
    pub operations: usize,
    /// Pages that operations name: the sum of lengths and of distances from the start of a mapping.
    pub pages: u64,
    /// CPUs of the machine.
    pub cpus: usize,
    /// The schedule.
    pub schedule: Schedule,
}

impl Size {
    /// The size of a scenario and a run of it.
    pub fn of(scenario: &Scenario, machine: MachineSpec, trace: &Trace) -> Size {
        let weight = |statement: &Statement| -> u64 {
            statement.mentions().into_iter().map(|(_, mention)| mention.weight()).sum()
        };
        Size {
            threads: scenario.threads.len(),
            operations: scenario.processes.len() + scenario.statements().count(),
            pages: scenario.statements().map(weight).sum(),
            cpus: machine.cpus,
            schedule: Schedule::of(trace),
        }
    }

    /// Whether none of its numbers is larger than in another.
    pub fn is_within(self, other: Size) -> bool {
        let mut pairs = self.numbers().into_iter().zip(other.numbers());
        pairs.all(|((_, one), (_, other))| one <= other) && self.schedule.is_within(other.schedule)
    }

    /// Each of its numbers with its name.
    fn numbers(self) -> [(&'static str, u64); 6] {
        [
            ("threads", self.threads as u64),
            ("operations", self.operations as u64),
            ("pages", self.pages),
            ("cpus", self.cpus as u64),
            ("switches", self.schedule.switches as u64),
            ("steps", self.schedule.steps),
        ]
    }

    /// `threads 3 -> 2, operations 7, steps 120 -> 61`.
    pub fn to(self, after: Size) -> String {
        let change = |((name, before), (_, after)): ((&str, u64), (&str, u64))| {
            if before == after { format!("{name} {before}") } else { format!("{name} {before} -> {after}") }
        };
        self.numbers().into_iter().zip(after.numbers()).map(change).collect::<Vec<_>>().join(", ")
    }

    /// The same for programs.
    pub fn json(self) -> serde_json::Value {
        self.numbers()
            .into_iter()
            .map(|(name, number)| (name.to_owned(), serde_json::Value::from(number)))
            .collect()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to(*self))
    }
}
