//! Findings that are judged on a whole run: which part of it to tell, and what there is beside its steps.

use std::ops::RangeInclusive;
use std::panic::Location;

use sim_core::{CpuId, Event as Core, Loc, Routine};
use sim_mm::Errno;

use super::fact::Fact;
use super::story::Line;
use crate::explore::Trace;
use crate::oracle::{Finding, OracleId, What};
use crate::scenario::Check;
use crate::world::World;

/// The longest cycle that is looked for, in accesses.
const LONGEST_CYCLE: usize = 2_000;

/// The steps to tell of: one cycle of a livelock, and none if it has no cycle; the operation whose return value a
/// check is about; else all.
pub(super) fn span(world: &World<'_>, trace: &Trace, finding: &Finding) -> Option<RangeInclusive<u64>> {
    let steps = match finding.oracle {
        OracleId::Livelock => return cycle(trace),
        OracleId::Check => operation(world, trace, finding).map(|(_, _, steps)| steps),
        _ => None,
    };
    Some(steps.unwrap_or(0..=u64::MAX))
}

/// The steps of the last cycle of a run that goes round in circles.
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

/// The operation that a check is about: the routine that it calls, its CPU, its steps.
fn operation(
    world: &World<'_>,
    trace: &Trace,
    finding: &Finding,
) -> Option<(&'static str, CpuId, RangeInclusive<u64>)> {
    let Check::Returned { thread, op, .. } = check(world, finding)? else { return None };
    let thread = world.scenario.threads.iter().find(|t| t.name == *thread)?;
    let routine = thread.run.get(*op)?.routine()?;
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

/// The check that failed.
fn check<'w>(world: &World<'w>, finding: &Finding) -> Option<&'w Check> {
    let number = finding.message.strip_prefix("checks[")?.split(']').next()?;
    world.scenario.checks.get(number.parse::<usize>().ok()?)
}

/// Where a check fails: the last read of the value, or the end of the operation.
pub(super) fn bad_line(lines: &[Line], finding: &Finding) -> Option<usize> {
    let value =
        finding.message.split_once("` is ").and_then(|(_, rest)| rest.split(',').next()?.parse::<u64>().ok());
    match value {
        Some(value) => lines.iter().rposition(
            |line| matches!(line.fact, Fact::Touched { value: read, write: false, .. } if read == value),
        ),
        None => lines.len().checked_sub(1),
    }
}

/// What a failed check says: what was returned or read, and what is allowed.
pub(super) fn consequence(world: &World<'_>, finding: &Finding) -> Option<String> {
    let either = |values: &mut dyn Iterator<Item = String>| values.collect::<Vec<_>>().join(" or ");
    match check(world, finding)? {
        Check::Returned { thread, op, one_of } => {
            let (_, rest) = finding.message.split_once(" returned ")?;
            let value: i64 = rest.split(',').next()?.parse().ok()?;
            let operation = world.scenario.threads.iter().find(|t| t.name == *thread)?.run.get(*op)?;
            let call = operation.routine().map_or_else(|| format!("run[{op}]"), |routine| format!("{routine}()"));
            let allowed = either(&mut one_of.iter().map(|value| returned_value(*value)));
            Some(format!("{call} of {thread} returned {}, not {allowed}.", returned_value(value)))
        }
        Check::Value { of, one_of } => {
            let (_, rest) = finding.message.split_once("` is ")?;
            let value = rest.split(',').next()?;
            Some(format!("The value `{of}` is {value}, not {}.", either(&mut one_of.iter().map(u64::to_string))))
        }
    }
}

/// A count, or the name of an error.
fn returned_value(value: i64) -> String {
    let errors = [Errno::Enomem, Errno::Efault, Errno::Einval];
    let error = errors.into_iter().find(|errno| errno.code() == value);
    error.map_or_else(|| value.to_string(), |errno| format!("-{errno}"))
}

/// The end of the call whose return value a check does not allow.
pub(super) fn returned(world: &World<'_>, trace: &Trace, finding: &Finding) -> Option<Line> {
    let (_, rest) = finding.message.split_once(" returned ").filter(|_| finding.oracle == OracleId::Check)?;
    let (call, cpu, steps) = operation(world, trace, finding)?;
    let value = returned_value(rest.split(',').next()?.parse().ok()?);
    Some(Line::new(*steps.end(), cpu, &[Routine::system_call(call)], Fact::Returned { value }))
}

/// What each task of a deadlock waits for, as lines.
pub(super) fn waits(finding: &Finding) -> Vec<Line> {
    let sites = std::iter::once(&finding.site).chain(&finding.other);
    let waits = finding.message.split("; ").filter_map(|part| part.split_once(" waits for "));
    let lines = sites.zip(waits).map(|(site, (_, what))| {
        Line::new(site.step, site.cpu, &site.stack, Fact::Waits { what: what.to_owned() })
    });
    lines.filter(|_| finding.oracle == OracleId::Deadlock).collect()
}
