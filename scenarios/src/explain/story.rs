//! What happened, line by line, and where it went wrong.

use std::collections::BTreeMap;

use sim_core::CpuId;
use sim_mm::Miscount;
use sim_mmu::Entry;

use super::act::Act;
use super::called::Called;
use super::fact::{Count, Fact};
use super::line::Line;
use super::narrator::Narrator;
use super::relevance::relevant;
use super::remark::remark;
use super::whole_run;
use crate::explore::Trace;
use crate::oracle::{Finding, OracleId, Violation};
use crate::world::World;

/// The steps that matter, and what they led to.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) lines: Vec<Line>,
    /// The name of each CPU's first thread, for the heads of the columns.
    pub(super) heads: BTreeMap<CpuId, String>,
    pub(super) consequence: String,
}

impl Story {
    /// The story of a run. `matters` has the steps that the finding needs, as ranges from first to last.
    pub(super) fn of(world: &World<'_>, trace: &Trace, finding: &Finding, matters: &[(u64, u64)]) -> Story {
        let act = Act::of(world, trace, finding);
        let narrator = Narrator::new(world, trace, finding, act.as_ref());
        let last = trace.log.last().map_or(0, |entry| entry.step);
        let span = whole_run::span(trace, finding, act.as_ref());
        let told = |step: u64| {
            span.as_ref().is_some_and(|span| span.contains(&step))
                && (step == last || matters.iter().any(|(a, b)| (*a..=*b).contains(&step)))
        };
        let mut lines = Vec::new();
        for step in trace.log.chunk_by(|a, b| a.step == b.step && a.cpu == b.cpu).filter(|step| told(step[0].step))
        {
            let facts = narrator.tell(step).into_iter();
            lines.extend(facts.map(|(entry, fact)| Line {
                space: narrator.spaces.at(entry.cpu, entry.step),
                ..Line::new(entry.step, entry.cpu, &entry.stack, fact)
            }));
        }
        let mut lines = relevant(lines, finding, last);
        lines.extend(whole_run::waits(finding));
        let is_told =
            matches!(finding.violation, Violation::Value { is, .. } if whole_run::read_of(&lines, is).is_some());
        lines.extend(act.filter(|_| !is_told).map(|act| act.line()));
        if let Some(bad) = bad_line(&lines, finding, last, &narrator) {
            lines[bad].bad = true;
            if finding.oracle() == OracleId::Check {
                // The read did not see a store, because the store left its buffer later.
                let after = lines.split_off(bad + 1);
                lines.extend(after.into_iter().filter(|line| matches!(line.fact, Fact::Drained { .. })));
            }
        }
        remark(&mut lines, &narrator);
        let mut consequence = finding.violation.sentence(&Called::of(world, Some(steps(&lines))));
        if let (OracleId::Livelock, Some(cycle)) = (finding.oracle(), span) {
            let steps = cycle.end() - cycle.start() + 1;
            consequence.push_str(&format!(" It repeats its last {steps} steps over and over."));
        }
        Story { lines, heads: narrator.heads(), consequence }
    }

    /// The step of each line.
    pub(super) fn steps(&self) -> Vec<u64> {
        steps(&self.lines)
    }

    /// The finding of another oracle, with the numbers of the lines.
    pub(super) fn also(&self, world: &World<'_>, finding: &Finding) -> String {
        finding.violation.sentence(&Called::of(world, Some(steps(&self.lines))))
    }
}

/// The step of each line.
fn steps(lines: &[Line]) -> Vec<u64> {
    lines.iter().map(|line| line.step).collect()
}

/// The line at which it goes wrong. As a rule this is the last line, because a finding ends the run. A finding that is judged
/// at rest goes wrong earlier: where an entry is overwritten although nobody gives its page up, where a reference is taken
/// that nobody gives up, or where the contradicting entry is set.
fn bad_line(lines: &[Line], finding: &Finding, last: u64, narrator: &Narrator<'_>) -> Option<usize> {
    let act = lines.iter().rposition(|line| matches!(line.fact, Fact::Act { .. }));
    match finding.oracle() {
        _ if act.is_some() => act,
        OracleId::Livelock => None,
        OracleId::Deadlock | OracleId::LostWait => {
            lines.iter().rposition(|line| matches!(line.fact, Fact::Waits { .. }))
        }
        OracleId::Check => whole_run::bad_line(lines, finding),
        // The file has the page, whoever maps it.
        OracleId::BadPageMap if is_of_cache(finding) => {
            lines.iter().rposition(|line| matches!(line.fact, Fact::Cached { is_in: true, .. }))
        }
        OracleId::BadPageMap if lines.iter().any(|line| line.step == finding.site.step) => {
            lines.iter().rposition(|line| line.step == finding.site.step)
        }
        OracleId::FlagLost => lines.iter().rposition(|line| matches!(line.fact, Fact::FlagsLost { .. })),
        // The last write that the kernel did not note.
        OracleId::Semantics => lines.iter().rposition(|line| line.step == finding.site.step),
        OracleId::DirtyLost => loses_dirt(lines, narrator),
        _ if finding.is_at_rest() => {
            let lost = lines.iter().rposition(|line| match &line.fact {
                Fact::Entry { old, new, .. } => {
                    narrator.leads_to_frame(*old) && new.is_present() && new.pfn() != old.pfn()
                }
                _ => false,
            });
            lost.or_else(|| lines.iter().rposition(|line| is_kept(line, lines)))
        }
        _ => lines.iter().rposition(|line| line.step == last),
    }
}

/// The line by which nothing says any more that a page is dirty: the disk got something else; a dirty entry was changed, or a new one
/// was not dirty; the page became clean.
fn loses_dirt(lines: &[Line], narrator: &Narrator<'_>) -> Option<usize> {
    let changes = |of: &dyn Fn(Entry, Entry) -> bool| {
        lines.iter().rposition(|line| match &line.fact {
            Fact::Entry { old, new, .. } => !line.fact.is_read() && of(*old, *new),
            _ => false,
        })
    };
    let leads = |entry| narrator.leads_to_frame(entry);
    let dirty = |entry: Entry| leads(entry) && entry.has(Entry::DIRTY);
    let other = |line: &Line| matches!(line.fact, Fact::OnDisk { pfn, .. } if Some(pfn) != narrator.frame);
    lines
        .iter()
        .rposition(other)
        .or_else(|| changes(&|old, new| dirty(old) && !dirty(new)))
        .or_else(|| changes(&|old, new| !leads(old) && leads(new) && !dirty(new)))
        .or_else(|| changes(&|old, _| leads(old)))
        .or_else(|| lines.iter().rposition(|line| matches!(line.fact, Fact::Cleaned { .. })))
}

/// Whether a file has a page that it must not have.
fn is_of_cache(finding: &Finding) -> bool {
    matches!(finding.violation, Violation::BadPageMap { what: Miscount::CachedBehindEnd { .. } })
}

/// Whether a line takes a reference, and its CPU neither hands the reference out nor gives one up afterwards.
fn is_kept(line: &Line, lines: &[Line]) -> bool {
    let change = |line: &Line| match &line.fact {
        Fact::Count { count: Count::Ref, values, .. } => Some(*values.last()? > *values.first()?),
        _ => None,
    };
    let settles = |later: &&Line| {
        later.step > line.step
            && later.cpu == line.cpu
            && (change(later) == Some(false) || matches!(later.fact, Fact::Pinned { .. }))
    };
    change(line) == Some(true) && lines.iter().find(settles).is_none()
}
