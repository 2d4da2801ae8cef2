//! Findings that are judged on a whole run: which part of the run is told, and what is told beside its steps.

use std::ops::RangeInclusive;
use std::panic::Location;

use sim_core::{CpuId, Event as Core, Loc, Routine};

use super::called::operation;
use super::fact::Fact;
use super::line::Line;
use crate::explore::Trace;
use crate::oracle::{Finding, OracleId, Violation, What, returned_value};
use crate::world::World;

/// The longest cycle that is looked for, in accesses.
const LONGEST_CYCLE: usize = 2_000;

/// The steps that are told. Of a livelock this is one cycle, and nothing if it has no cycle. For a check on the return value
/// of an operation, these are the steps of the operation. Otherwise, all steps are told.
pub(super) fn span(world: &World<'_>, trace: &Trace, finding: &Finding) -> Option<RangeInclusive<u64>> {
    let steps = match finding.oracle() {
        OracleId::Livelock => return cycle(trace),
        OracleId::Check => call(world, trace, finding).map(|(_, _, steps)| steps),
        _ => None,
    };
    Some(steps.unwrap_or(0..=u64::MAX))
}

/// The steps of the last cycle, if a run repeats the same accesses again and again.
fn cycle(trace: &Trace) -> Option<RangeInclusive<u64>> {
    let accesses: Vec<(u64, (CpuId, Loc, &Location<'_>))> = trace
        .log
        .iter()
        .filter_map(|entry| match entry.what {
            What::Core(Core::Access { loc, place, .. }) => Some((entry.step, (entry.cpu, loc, place))),
            _ => None,
        })
        .collect();
    let did = |i: usize| accesses[i].1;
    let n = accesses.len();
    let repeats = |&period: &usize| (n - 2 * period..n - period).all(|i| did(i) == did(i + period));
    let period = (1..=LONGEST_CYCLE.min(n / 3)).find(repeats)?;
    Some(accesses[n - period].0..=accesses[n - 1].0)
}

/// The call whose return value a check is about: its CPU, and its last step. An access of user code makes no call, so only that of
/// a thread's last operation is found: by the last step of its CPU.
fn last_step(world: &World<'_>, trace: &Trace, finding: &Finding) -> Option<(CpuId, u64)> {
    let Violation::Returned { thread, op, .. } = &finding.violation else { return None };
    let thread = world.scenario.threads.iter().find(|t| t.name == *thread)?;
    let is_last = thread.run.len() == op + 1;
    let entry = trace.log.iter().rfind(|entry| entry.cpu.0 == thread.cpu).filter(|_| is_last)?;
    Some((entry.cpu, entry.step))
}

/// The call whose return value a check is about: the routine, its CPU, its steps.
fn call(
    world: &World<'_>,
    trace: &Trace,
    finding: &Finding,
) -> Option<(&'static str, CpuId, RangeInclusive<u64>)> {
    let Violation::Returned { thread, op, .. } = &finding.violation else { return None };
    let routine = operation(world, thread, *op)?.routine()?;
    let thread = world.scenario.threads.iter().find(|t| t.name == *thread)?;
    let before = thread.run[..*op].iter().filter(|op| op.routine() == Some(routine)).count();
    let calls = trace.log.iter().enumerate().filter(|(_, entry)| {
        entry.cpu.0 == thread.cpu
            && entry.stack.len() == 1
            && matches!(entry.what, What::Core(Core::Enter(name)) if name == routine)
    });
    let (at, call) = calls.clone().nth(before)?;
    let end = trace.log[at..].iter().find(|entry| entry.cpu == call.cpu && entry.stack.is_empty());
    Some((routine, call.cpu, call.step..=end.map_or(u64::MAX, |end| end.step)))
}

/// The line at which a check fails: the last read of a value, or the end of the operation.
pub(super) fn bad_line(lines: &[Line], finding: &Finding) -> Option<usize> {
    match finding.violation {
        Violation::Value { is, .. } => lines
            .iter()
            .rposition(|line| matches!(line.fact, Fact::Touched { value: read, write: false, .. } if read == is)),
        // Of the values that come together, the one that is read last.
        Violation::Together { .. } | Violation::NotImplied { .. } => lines
            .iter()
            .rposition(|line| matches!(line.fact, Fact::Touched { write: false, .. }))
            .or_else(|| lines.len().checked_sub(1)),
        _ => lines.len().checked_sub(1),
    }
}

/// The end of the call whose return value a check does not allow.
pub(super) fn returned(world: &World<'_>, trace: &Trace, finding: &Finding) -> Option<Line> {
    let Violation::Returned { value, .. } = finding.violation else { return None };
    let value = returned_value(value);
    if let Some((call, cpu, steps)) = call(world, trace, finding) {
        return Some(Line::new(*steps.end(), cpu, &[Routine::system_call(call)], Fact::Returned { value }));
    }
    let (cpu, step) = last_step(world, trace, finding)?;
    Some(Line::new(step, cpu, &[], Fact::Returned { value }))
}

/// Lines that say what each task of a deadlock waits for.
pub(super) fn waits(finding: &Finding) -> Vec<Line> {
    let (Violation::Deadlock { waits } | Violation::LostWait { waits }) = &finding.violation else {
        return Vec::new();
    };
    let sites = std::iter::once(&finding.site).chain(&finding.other);
    let lines = sites
        .zip(waits)
        .map(|(site, wait)| Line::new(site.step, site.cpu, &site.stack, Fact::Waits { what: wait.what.clone() }));
    lines.collect()
}
