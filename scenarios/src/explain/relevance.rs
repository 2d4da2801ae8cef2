//! Which lines are relevant to a finding, and which lines are better told as one.
//!
//! The rules look only at what lines say, and never at the scenario. The line of the last step always stays,
//! because there it goes wrong.

use sim_core::CpuId;

use super::fact::{Count, Fact};
use super::line::Line;
use crate::oracle::{Finding, OracleId};

/// The lines that are relevant to `finding`, in order.
pub(super) fn relevant(mut lines: Vec<Line>, finding: &Finding, last: u64) -> Vec<Line> {
    drop_where(&mut lines, last, |lines, i| is_content_of_table(&lines[i].fact));
    drop_where(&mut lines, last, |lines, i| is_told_by_the_change(lines, i) || is_known_already(lines, i));
    drop_where(&mut lines, last, |lines, i| decides_nothing(lines, i, finding.oracle()));
    if finding.oracle() != OracleId::Refcount {
        drop_pairs(&mut lines);
    }
    drop_where(&mut lines, last, |lines, i| is_plain_access(&lines[i].fact, finding.oracle()));
    drop_where(&mut lines, last, is_harmless_fill);
    let cached = caching(&lines);
    if cached.is_empty() && !waits_for_flush(finding) {
        drop_where(&mut lines, last, |lines, i| is_of_flush(&lines[i].fact));
    }
    drop_where(&mut lines, last, |lines, i| is_idle_interrupt(lines, i, &cached));
    if finding.is_at_rest() && finding.oracle() != OracleId::Check {
        drop_afterwards(&mut lines, finding);
    }
    merge(lines, finding)
}

/// Removes the lines that `unwanted` names, in one pass from the front. `unwanted` sees the lines that are left.
fn drop_where(lines: &mut Vec<Line>, last: u64, unwanted: impl Fn(&[Line], usize) -> bool) {
    let mut i = 0;
    while i < lines.len() {
        if lines[i].step != last && unwanted(lines, i) {
            lines.remove(i);
        } else {
            i += 1;
        }
    }
}

/// Whether it is about an entry in the table that is about to be freed.
fn is_content_of_table(fact: &Fact) -> bool {
    matches!(fact, Fact::Entry { table: Some(_), .. })
}

fn place(fact: &Fact) -> Option<(sim_core::Loc, sim_mmu::Entry, sim_mmu::Entry)> {
    match fact {
        Fact::Entry { loc, old, new, .. } => Some((*loc, *old, *new)),
        _ => None,
    }
}

/// Whether a CPU read an entry, and the next change of the entry is by the same CPU and replaces what it read.
fn is_told_by_the_change(lines: &[Line], i: usize) -> bool {
    let Some((loc, _, read)) = place(&lines[i].fact).filter(|_| lines[i].fact.is_read()) else { return false };
    let mut changes = lines[i + 1..]
        .iter()
        .filter(|line| !line.fact.is_read() && place(&line.fact).is_some_and(|(at, ..)| at == loc));
    changes.next().is_some_and(|next| {
        let same = next.cpu == lines[i].cpu && next.stack.first() == lines[i].stack.first();
        same && place(&next.fact).is_some_and(|(_, old, _)| old == read)
    })
}

/// Whether the CPU read the same in the entry the last time, or wrote it there.
fn is_known_already(lines: &[Line], i: usize) -> bool {
    let Some((loc, _, read)) = place(&lines[i].fact).filter(|_| lines[i].fact.is_read()) else { return false };
    let mut before = lines[..i].iter().rev().filter(|line| {
        place(&line.fact).is_some_and(|(at, ..)| at == loc) && (line.cpu == lines[i].cpu || !line.fact.is_read())
    });
    before.next().is_some_and(|line| {
        line.cpu == lines[i].cpu && place(&line.fact).is_some_and(|(_, _, value)| value == read)
    })
}

/// Whether a count decides nothing. The mapcount matters only if it is read, or if the finding is that it is wrong.
fn decides_nothing(lines: &[Line], i: usize, oracle: OracleId) -> bool {
    let Fact::Count { count, values, .. } = &lines[i].fact else { return false };
    let shares = matches!(oracle, OracleId::Leak | OracleId::CowBroken);
    let is_read = |line: &Line| {
        shares
            && matches!(&line.fact, Fact::Count { count: read, values, .. } if read == count && values.len() == 1)
    };
    match count {
        _ if values.len() == 1 => !shares,
        Count::Ref => oracle == OracleId::DirtyLost,
        Count::Map => oracle != OracleId::Mapcount && !lines[i + 1..].iter().any(is_read),
    }
}

/// Drops the lines of references that a CPU took and gave up again while no other CPU touched the count.
fn drop_pairs(lines: &mut Vec<Line>) {
    let refs = |line: &Line| match &line.fact {
        Fact::Count { count: Count::Ref, values, .. } => Some((line.cpu, values.clone())),
        _ => None,
    };
    let mut i = 0;
    while i < lines.len() {
        let next = lines[i + 1..].iter().position(|line| refs(line).is_some() || holds(&line.fact));
        let pair = next.map(|n| i + 1 + n).filter(|&j| match (refs(&lines[i]), refs(&lines[j])) {
            (Some((a, taken)), Some((b, given))) => {
                a == b
                    && taken[0] != 0
                    && taken.len() == 2
                    && taken.iter().rev().eq(given.iter())
                    && taken[1] > taken[0]
            }
            _ => false,
        });
        match pair {
            Some(j) => {
                lines.remove(j);
                lines.remove(i);
            }
            None => i += 1,
        }
    }
}

/// Whether it says that the reference before it is kept on purpose.
fn holds(fact: &Fact) -> bool {
    matches!(fact, Fact::Pinned { .. })
}

/// Whether it is an access by which nothing can go wrong.
fn is_plain_access(fact: &Fact, oracle: OracleId) -> bool {
    let Fact::Touched { write, .. } = fact else { return false };
    match oracle {
        OracleId::Check => false,
        OracleId::Leak | OracleId::CowBroken | OracleId::DirtyLost | OracleId::LostWrite | OracleId::Semantics => {
            !write
        }
        _ => true,
    }
}

/// Whether a line changes where a page leads.
fn moves(line: &Line) -> bool {
    matches!(&line.fact, Fact::Entry { old, new, .. }
        if old.pfn() != new.pfn() || old.is_present() != new.is_present()
            || old.has(sim_mmu::Entry::RW) != new.has(sim_mmu::Entry::RW))
}

/// Whether a translation was cached, and no entry changed before its last use.
fn is_harmless_fill(lines: &[Line], i: usize) -> bool {
    let Fact::Filled { id, .. } = &lines[i].fact else { return false };
    let last_use = lines[i..]
        .iter()
        .rposition(|line| matches!(&line.fact, Fact::Touched { through: Some(through), .. } if through == id));
    last_use.is_none_or(|n| !lines[i..i + n].iter().any(moves))
}

/// Whether it is part of the finding that a frame is given away only after a flush.
fn waits_for_flush(finding: &Finding) -> bool {
    match finding.oracle() {
        OracleId::FrameUseAfterFree | OracleId::StaleTlb | OracleId::Leak => true,
        OracleId::Refcount => !finding.is_at_rest(),
        _ => false,
    }
}

fn is_of_flush(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::FlushBegun { .. }
            | Fact::FlushDone { .. }
            | Fact::Sent { .. }
            | Fact::Taken { .. }
            | Fact::Dropped { .. }
    )
}

/// The CPUs that cache a translation which matters.
fn caching(lines: &[Line]) -> Vec<CpuId> {
    lines.iter().filter(|line| matches!(line.fact, Fact::Filled { .. })).map(|line| line.cpu).collect()
}

/// Whether it is an interrupt, or its effect, on a CPU that neither caches the page nor is held up by the interrupt.
fn is_idle_interrupt(lines: &[Line], i: usize, cached: &[CpuId]) -> bool {
    let target = match &lines[i].fact {
        Fact::Sent { target } | Fact::Dropped { target, .. } => *target,
        Fact::Taken { .. } => lines[i].cpu,
        _ => return false,
    };
    let inside = lines.iter().any(|line| line.cpu == target && matches!(line.fact, Fact::Taken { inside: true }));
    let own = target == lines[i].cpu && matches!(lines[i].fact, Fact::Dropped { .. }) && !inside;
    if cached.contains(&target) {
        // The line about the handler's work shows that the interrupt was taken.
        return matches!(lines[i].fact, Fact::Taken { inside: false });
    }
    own || !inside || matches!(lines[i].fact, Fact::Dropped { .. })
}

/// Drops lines after the last line about the frame itself. Only those are kept in which a CPU looks at an entry again.
fn drop_afterwards(lines: &mut Vec<Line>, finding: &Finding) {
    let about = |line: &Line| match &line.fact {
        Fact::Entry { old, new, .. } => {
            [old, new].into_iter().any(|entry| entry.is_present() && Some(entry.pfn()) == finding.frame())
        }
        // It came to the block of the frame.
        Fact::OnDisk { .. } => true,
        fact => fact.frame().is_some() && fact.frame() == finding.frame(),
    };
    let Some(end) = lines.iter().rposition(about) else { return };
    let afterwards = lines.split_off(end + 1);
    let looks_again = |line: &Line| {
        let Some((loc, ..)) = place(&line.fact).filter(|_| line.fact.is_read()) else { return false };
        lines.iter().any(|before| {
            before.cpu == line.cpu
                && before.stack == line.stack
                && place(&before.fact).is_some_and(|(at, ..)| at == loc)
        })
    };
    let kept: Vec<Line> = afterwards.into_iter().filter(looks_again).collect();
    lines.extend(kept);
}

/// Joins lines that follow each other and say one thing: a count that changes again, a free, a flush that is done at once.
/// What the finding happened in is kept.
fn merge(lines: Vec<Line>, finding: &Finding) -> Vec<Line> {
    let mut merged: Vec<Line> = Vec::new();
    for line in lines {
        let Some(before) = merged.last_mut().filter(|before| before.cpu == line.cpu) else {
            merged.push(line);
            continue;
        };
        let same_place = before.outline() == line.outline();
        match (&mut before.fact, &line.fact) {
            (
                Fact::Count { count, values, freed: false, .. },
                Fact::Count { count: next, values: more, freed: false, .. },
            ) if same_place
                && count == next
                && more.len() == 2
                && values.len() > 1
                && values.last() == more.first() =>
            {
                values.push(more[1]);
                before.step = line.step;
            }
            (Fact::Count { count: Count::Ref, values, freed, .. }, Fact::Freed { .. })
                if same_place && values.last() == Some(&0) =>
            {
                *freed = true;
                before.step = line.step;
                if finding.site.stack == line.stack {
                    before.stack = line.stack;
                }
            }
            (Fact::FlushBegun { id, of }, Fact::FlushDone { id: done, .. }) if id == done => {
                before.fact = Fact::FlushDone { id: *id, of: of.clone() };
                before.step = line.step;
            }
            (fact, next) if fact == next && same_place => {}
            _ => merged.push(line),
        }
    }
    merged
}
