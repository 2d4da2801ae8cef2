//! Courses: a run as the steps of each CPU, in an order, and not as answers to questions.
//!
//! An answer means nothing without its question, and a kernel or a scenario that was changed asks other
//! questions. A course has no such problem. It can be cut ([`Past`]), it can be put into another order
//! ([`Past::in_fewest_turns`]), and a run of another kernel can follow it as far as that kernel does the same
//! ([`Follow`]).

mod fewest;
mod follow;
mod past;

pub use follow::{Ending, Follow};
pub use past::Past;

use std::collections::BTreeMap;
use std::panic::Location;

use sim_core::{CpuId, Decided, Event, Loc, TaskId, Transition, Vector};

use crate::explore::Trace;
use crate::oracle::{Logged, What};

/// What a CPU does in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The access that a line of simulated code makes to a word.
    Access(&'static Location<'static>, Loc),
    /// It takes a step of its code that no log shows.
    Unseen,
    /// It takes an interrupt.
    Interrupt(Vector),
    /// It goes over to another task.
    Switch(TaskId),
    /// Its oldest buffered store reaches memory.
    Drain,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doing {
    /// The number of the step in the run that the course was taken from.
    pub step: u64,
    /// The CPU that takes it.
    pub cpu: CpuId,
    /// What the CPU does.
    pub act: Act,
    /// The values that were chosen in the step, if the machine allowed several: the name of each choice, and the answer.
    pub values: Vec<(&'static str, u32)>,
}

/// The steps of a run, in order. A step that no log shows and that nobody decided on is not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// The steps.
    pub doings: Vec<Doing>,
}

impl Course {
    /// The course of a run.
    pub fn of(trace: &Trace) -> Course {
        let mut values: BTreeMap<u64, Vec<(&'static str, u32)>> = BTreeMap::new();
        let mut done: BTreeMap<u64, (CpuId, Act)> = BTreeMap::new();
        for decision in &trace.decisions {
            match decision.decided {
                Decided::Value(what) => values.entry(decision.step).or_default().push((what, decision.chosen)),
                Decided::Transition(Transition::Step(cpu)) => {
                    done.insert(decision.step + 1, (cpu, Act::Unseen));
                }
                Decided::Transition(_) => {}
            }
        }
        for entry in trace.log.iter().rev().filter(|entry| entry.step > 0) {
            if let Some(act) = act(entry) {
                done.insert(entry.step, (entry.cpu, act));
            }
        }
        let doings = done.into_iter().map(|(step, (cpu, act))| {
            // The values of a step that the course does not have go with the next step.
            let later = values.split_off(&(step + 1));
            let values = std::mem::replace(&mut values, later).into_values().flatten().collect();
            Doing { step, cpu, act, values }
        });
        Course { doings: doings.collect() }
    }

    /// How often a step belongs to another CPU than the step before.
    pub fn switches(&self) -> usize {
        self.doings.windows(2).filter(|pair| pair[0].cpu != pair[1].cpu).count()
    }

    /// Where each turn begins. A turn is all that a CPU does until another CPU does something.
    pub fn turns(&self) -> Vec<std::ops::Range<usize>> {
        let mut at = 0;
        let turns = self.doings.chunk_by(|a, b| a.cpu == b.cpu).map(|turn| {
            at += turn.len();
            at - turn.len()..at
        });
        turns.collect()
    }
}

/// What the CPU did in its step, as an entry of the log shows it.
fn act(entry: &Logged) -> Option<Act> {
    match entry.what {
        What::Core(Event::Access { place, loc, .. }) => Some(Act::Access(place, loc)),
        What::Core(Event::Interrupt(vector)) => Some(Act::Interrupt(vector)),
        What::Core(Event::Switch(task)) => Some(Act::Switch(task)),
        What::Core(Event::Drain { .. }) => Some(Act::Drain),
        _ => None,
    }
}
