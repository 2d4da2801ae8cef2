//! The causal past: which step of a run had to come before which.
//!
//! A step depends on the earlier steps of its CPU, and on each earlier step that touched the same thing, if one
//! of the two changed it. What a step touches was seen when it ran: words, and the places that stand for
//! translation caches, pending interrupts, grace periods, and the memory of the oracles ([`sim_core::Touched`]).
//!
//! That is more than is needed, because some of these orders change nothing. It is also never taken on trust.
//! Code that cuts a course runs what is left, and looks whether the finding is still there.

use std::collections::{BTreeMap, BTreeSet};

use sim_core::{CpuId, Loc};
use sim_mm::Event as Mm;
use sim_mmu::Pfn;

use super::Course;
use crate::explore::Trace;
use crate::oracle::{Finding, Logged, What};

/// For each step of a course, the steps that it depends on.
#[derive(Clone, Debug)]
pub struct Past {
    /// The steps that must come before it: all that conflict.
    before: Vec<Vec<usize>>,
    /// The steps without which it would not be the same. A look before a change is not one of them.
    causes: Vec<Vec<usize>>,
}

#[derive(Default)]
struct Uses {
    change: Option<usize>,
    /// The looks since the last change.
    looks: Vec<usize>,
}

impl Past {
    /// Works out what depends on what in a run.
    pub fn of(trace: &Trace, course: &Course) -> Past {
        let mut footprints = trace.footprints.iter().zip(1_u64..).peekable();
        let mut uses: BTreeMap<Loc, Uses> = BTreeMap::new();
        let mut last: BTreeMap<CpuId, usize> = BTreeMap::new();
        let mut past = Past { before: Vec::new(), causes: Vec::new() };
        for (i, doing) in course.doings.iter().enumerate() {
            let (mut before, mut causes) = (BTreeSet::new(), BTreeSet::new());
            causes.extend(last.get(&doing.cpu));
            // If the course does not have a step, what it touched counts for the step after it.
            let mut touched: BTreeMap<Loc, bool> = BTreeMap::new();
            while let Some((footprint, _)) = footprints.next_if(|(_, step)| *step <= doing.step) {
                for touch in footprint {
                    *touched.entry(touch.loc).or_default() |= touch.writes;
                }
            }
            for (loc, writes) in touched {
                let used = uses.entry(loc).or_default();
                causes.extend(used.change);
                if writes {
                    before.extend(used.looks.iter().copied());
                    *used = Uses { change: Some(i), looks: Vec::new() };
                } else {
                    used.looks.push(i);
                }
            }
            before.extend(causes.iter().copied());
            last.insert(doing.cpu, i);
            past.before.push(before.into_iter().collect());
            past.causes.push(causes.into_iter().collect());
        }
        past
    }

    /// The steps that must come before a step.
    pub fn before(&self, step: usize) -> &[usize] {
        &self.before[step]
    }

    /// The steps without which a finding would not come, as a mark for each step of the course.
    pub fn of_finding(&self, trace: &Trace, course: &Course, finding: &Finding) -> Vec<bool> {
        let mut wanted = vec![false; course.doings.len()];
        let at_rest = finding.is_at_rest();
        for (i, doing) in course.doings.iter().enumerate() {
            let site = |site: &crate::oracle::Site| (site.step, site.cpu) == (doing.step, doing.cpu);
            wanted[i] = site(&finding.site)
                || finding.other.as_ref().is_some_and(site)
                || (i + 1 == course.doings.len() && !at_rest);
        }
        if at_rest {
            let concerns = |entry: &&Logged| finding.frame().is_none_or(|frame| changes_frame(entry, frame));
            let steps: BTreeSet<u64> = trace.log.iter().filter(concerns).map(|entry| entry.step).collect();
            for (wanted, doing) in wanted.iter_mut().zip(&course.doings) {
                *wanted |= steps.contains(&doing.step);
            }
        }
        for i in (0..wanted.len()).rev() {
            if wanted[i] {
                self.causes[i].iter().for_each(|&cause| wanted[cause] = true);
            }
        }
        wanted
    }
}

fn changes_frame(entry: &Logged, frame: Pfn) -> bool {
    match &entry.what {
        What::Mm(Mm::FrameAllocated { pfn, order, .. } | Mm::FrameFreed { pfn, order }) => order.has(*pfn, frame),
        What::Mm(
            Mm::FrameRetired { pfn }
            | Mm::RefChanged { pfn, .. }
            | Mm::MapcountChanged { pfn, .. }
            | Mm::Pinned { pfn, .. },
        ) => *pfn == frame,
        What::Mm(Mm::PteChanged { old, new, order, .. }) => {
            [old, new].iter().any(|entry| entry.is_present() && order.has(entry.pfn(), frame))
        }
        _ => false,
    }
}
