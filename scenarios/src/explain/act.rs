//! The act by which a run goes wrong, where no event of the log shows it: a `BUG_ON()`, what a call returns, the use of a freed
//! object.

use std::ops::RangeInclusive;

use sim_core::{CpuId, Event as Core, Routine};

use super::called::operation;
use super::fact::Fact;
use super::line::Line;
use crate::explore::Trace;
use crate::operation::{Noun, Statement};
use crate::oracle::{Finding, Site, Violation, What, returned_value};
use crate::world::World;

/// Something that was done, and that is a line of its own.
pub(super) struct Act {
    pub(super) cpu: CpuId,
    pub(super) step: u64,
    /// The steps of the call that did it, if this is about a call as a whole.
    pub(super) call: Option<RangeInclusive<u64>>,
    stack: Vec<Routine>,
    what: String,
}

impl Act {
    /// The act that a finding is about, if the log does not have it.
    pub(super) fn of(world: &World<'_>, trace: &Trace, finding: &Finding) -> Option<Act> {
        let what = match &finding.violation {
            Violation::ObjectUsed { word, .. } => format!("uses {word}"),
            Violation::KernelStops { what } => (*what).to_owned(),
            Violation::GupToldOtherwise { told: Some(told), .. } => format!("returns {told}"),
            Violation::GupToldOtherwise { told: None, .. } => "returns an error".to_owned(),
            Violation::NotSynced { .. } => "says that all is on the disk".to_owned(),
            Violation::LockedTwice { pfn } => format!("locks {pfn} once more"),
            Violation::NotLocked { pfn } => format!("unlocks {pfn}"),
            Violation::SleptInAtomic { .. } => "may sleep".to_owned(),
            Violation::Returned { thread, op, value, .. } => {
                let what = format!("returns {}", returned_value(*value));
                return end_of_call(world, trace, (thread, *op), what.clone())
                    .or_else(|| end_of_thread(world, trace, (thread, *op), what));
            }
            Violation::Value { of, is, .. } => {
                return end_of_call(world, trace, namer(world, of)?, format!("`{of}` is {is}"));
            }
            _ => return None,
        };
        let Site { cpu, step, stack } = finding.site.clone();
        Some(Act { cpu, step, call: None, stack, what })
    }

    /// The line that tells it.
    pub(super) fn line(&self) -> Line {
        Line::new(self.step, self.cpu, &self.stack, Fact::Act { what: self.what.clone() })
    }
}

/// The operation that names a value: its thread, and its number there.
fn namer<'w>(world: &World<'w>, value: &str) -> Option<(&'w str, usize)> {
    world.scenario.threads.iter().find_map(|thread| {
        let names = |op: &Statement| op.defines(Noun::Value).is_some_and(|(_, name)| name == value);
        Some((thread.name.as_str(), thread.run.iter().position(names)?))
    })
}

/// The end of a system call of a thread.
fn end_of_call(world: &World<'_>, trace: &Trace, (thread, op): (&str, usize), what: String) -> Option<Act> {
    let routine = operation(world, thread, op)?.routine()?;
    let thread = world.scenario.threads.iter().find(|t| t.name == thread)?;
    let before = thread.run[..op].iter().filter(|op| op.routine() == Some(routine)).count();
    let calls = trace.log.iter().enumerate().filter(|(_, entry)| {
        entry.cpu.0 == thread.cpu
            && entry.stack.len() == 1
            && matches!(entry.what, What::Core(Core::Enter(name)) if name == routine)
    });
    let (at, call) = calls.clone().nth(before)?;
    let end = trace.log[at..].iter().find(|entry| entry.cpu == call.cpu && entry.stack.is_empty());
    let step = end.map_or(u64::MAX, |end| end.step);
    Some(Act {
        cpu: call.cpu,
        step,
        call: Some(call.step..=step),
        stack: vec![Routine::system_call(routine)],
        what,
    })
}

/// The end of a thread, if this is its last operation. An access of user code makes no call, so it is found by the last step of its CPU.
fn end_of_thread(world: &World<'_>, trace: &Trace, (thread, op): (&str, usize), what: String) -> Option<Act> {
    let thread = world.scenario.threads.iter().find(|t| t.name == thread)?;
    let is_last = thread.run.len() == op + 1;
    let entry = trace.log.iter().rfind(|entry| entry.cpu.0 == thread.cpu).filter(|_| is_last)?;
    Some(Act { cpu: entry.cpu, step: entry.step, call: None, stack: Vec::new(), what })
}
