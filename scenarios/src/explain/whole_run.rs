//! Findings that are judged on a whole run: which part of the run is told, and what is told beside its steps.

use std::ops::RangeInclusive;
use std::panic::Location;

use sim_core::{CpuId, Event as Core, Loc};

use super::act::Act;
use super::fact::Fact;
use super::line::Line;
use crate::explore::Trace;
use crate::oracle::{Finding, Violation, What};

/// The longest cycle that is looked for, in accesses.
const LONGEST_CYCLE: usize = 2_000;

/// The steps that are told. Of a livelock this is one cycle, and nothing if it has no cycle. For a check on the return value
/// of an operation, these are the steps of the operation. Otherwise, all steps are told.
pub(super) fn span(trace: &Trace, finding: &Finding, act: Option<&Act>) -> Option<RangeInclusive<u64>> {
    match &finding.violation {
        Violation::Livelock { .. } => cycle(trace),
        Violation::Returned { .. } => Some(act.and_then(|act| act.call.clone()).unwrap_or(0..=u64::MAX)),
        _ => Some(0..=u64::MAX),
    }
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

/// The line at which a check fails: the last read of a value, or the end of the operation.
pub(super) fn bad_line(lines: &[Line], finding: &Finding) -> Option<usize> {
    match finding.violation {
        Violation::Value { is, .. } => read_of(lines, is),
        // Of the values that come together, the one that is read last.
        Violation::Together { .. } | Violation::NotImplied { .. } => lines
            .iter()
            .rposition(|line| matches!(line.fact, Fact::Touched { write: false, .. }))
            .or_else(|| lines.len().checked_sub(1)),
        _ => lines.len().checked_sub(1),
    }
}

/// The line that reads the value of a check. None does if a call answers the value.
pub(super) fn read_of(lines: &[Line], is: u64) -> Option<usize> {
    lines.iter().rposition(|line| matches!(line.fact, Fact::Touched { value, write: false, .. } if value == is))
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
