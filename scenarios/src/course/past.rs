//! The causal past: which step of a run had to come before which.
//!
//! A step depends on the steps of its CPU before it, on an interrupt's cause, and on each earlier step that
//! touched the same thing if one of the two changed it. Things are the words of memory, and what the log says
//! of frames, pages, references, translation caches and address spaces, since the oracles judge by those. The
//! end of a grace period depends on everything before it.
//!
//! That is more than is needed: some of these orders change nothing. It is never taken on trust, either: who
//! cuts a course by it runs what is left and looks whether the finding is still there.

use std::collections::{BTreeMap, BTreeSet};

use sim_core::{CpuId, Event as Core, Loc, OpKind};
use sim_mm::Event as Mm;
use sim_mmu::{Event as Hardware, Pfn, Vpn};

use super::Course;
use crate::explore::Trace;
use crate::oracle::{Finding, Logged, What};

/// What two steps can both touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Word(Loc),
    /// What sleepers are woken by.
    Wakeups,
    Interrupts(CpuId),
    Caches(CpuId),
    Frame(Pfn),
    Page(Vpn),
    Pin(u64),
    /// Which address spaces there are, and who shares what.
    Spaces,
}

/// How a step touches a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touch {
    Look,
    Change,
}

/// For each step of a course, the steps that it depends on.
#[derive(Clone, Debug)]
pub struct Past {
    /// Those that have to come before: all that conflict.
    before: Vec<Vec<usize>>,
    /// Those without which it would not be the same: a look before a change is not among them.
    causes: Vec<Vec<usize>>,
}

#[derive(Default)]
struct Uses {
    change: Option<usize>,
    /// Since the change.
    looks: Vec<usize>,
}

impl Past {
    /// Works out what depends on what in a run.
    pub fn of(trace: &Trace, course: &Course) -> Past {
        let pages: BTreeSet<Vpn> = trace.log.iter().filter_map(page).collect();
        let mut log = trace.log.as_slice();
        let mut uses: BTreeMap<Thing, Uses> = BTreeMap::new();
        let mut last: BTreeMap<CpuId, usize> = BTreeMap::new();
        let mut past = Past { before: Vec::new(), causes: Vec::new() };
        for (i, doing) in course.doings.iter().enumerate() {
            // What happened in steps that the course does not have goes with the step after them.
            let end = log.partition_point(|entry| entry.step <= doing.step);
            let (entries, rest) = log.split_at(end);
            log = rest;
            let (mut before, mut causes) = (BTreeSet::new(), BTreeSet::new());
            causes.extend(last.get(&doing.cpu));
            if entries.iter().any(ends_a_grace_period) {
                causes.extend(last.values());
            }
            let touched: BTreeSet<(Thing, Touch)> =
                entries.iter().flat_map(|entry| touches(entry, &pages)).collect();
            for (thing, touch) in &touched {
                let used = uses.entry(*thing).or_default();
                causes.extend(used.change.filter(|change| *change != i));
                if *touch == Touch::Change {
                    before.extend(used.looks.iter().copied().filter(|look| *look != i));
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

    /// The steps that have to come before a step.
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
        What::Mm(
            Mm::FrameAllocated { pfn, .. }
            | Mm::FrameFreed { pfn }
            | Mm::RefChanged { pfn, .. }
            | Mm::MapcountChanged { pfn, .. }
            | Mm::Pinned { pfn, .. },
        ) => *pfn == frame,
        What::Mm(Mm::PteChanged { old, new, .. }) => {
            [old, new].iter().any(|entry| entry.is_present() && entry.pfn() == frame)
        }
        _ => false,
    }
}

/// RCU raises its interrupt on the CPU that it is for, on nobody's behalf.
fn ends_a_grace_period(entry: &Logged) -> bool {
    matches!(entry.what, What::Core(Core::Raise { target, .. }) if target == entry.cpu)
}

fn page(entry: &Logged) -> Option<Vpn> {
    match &entry.what {
        What::Mm(Mm::PteChanged { va, .. } | Mm::Pinned { va, .. }) => Some(va.vpn()),
        What::Hardware(Hardware::Retired { va, .. }) => Some(va.vpn()),
        _ => None,
    }
}

/// What an entry of the log touches, and how.
fn touches(entry: &Logged, pages: &BTreeSet<Vpn>) -> Vec<(Thing, Touch)> {
    use Touch::{Change, Look};
    match &entry.what {
        What::Core(event) => match *event {
            Core::Access { loc, .. } if loc == Loc::NONE => Vec::new(),
            Core::Access { kind, loc, .. } => {
                let touch = if kind.writes() { Change } else { Look };
                let woken = (kind == OpKind::Wait).then_some((Thing::Wakeups, Look));
                [(Thing::Word(loc), touch)].into_iter().chain(woken).collect()
            }
            Core::Drain { loc, .. } => vec![(Thing::Word(loc), Change)],
            Core::Release { loc } => vec![(Thing::Word(loc), Change), (Thing::Wakeups, Change)],
            Core::Raise { target, .. } => vec![(Thing::Interrupts(target), Change)],
            Core::Interrupt(_) => vec![(Thing::Interrupts(entry.cpu), Change)],
            Core::Enter(_) | Core::Exit | Core::Return | Core::Switch(_) => Vec::new(),
        },
        What::Hardware(event) => match *event {
            Hardware::TableAccess { table, .. } | Hardware::Speculated { table, .. } => {
                vec![(Thing::Frame(table), Look)]
            }
            Hardware::Filled(_) | Hardware::Began(_) => vec![(Thing::Caches(entry.cpu), Look)],
            Hardware::Retired { va, through, .. } => vec![
                (Thing::Caches(entry.cpu), Look),
                (Thing::Page(va.vpn()), Look),
                (Thing::Frame(through.pfn), Look),
                (Thing::Spaces, Look),
            ],
            Hardware::Invalidated { target, .. } => vec![(Thing::Caches(target), Change)],
            Hardware::Faulted(_) | Hardware::SetFlags { .. } => Vec::new(),
        },
        What::Mm(event) => match event {
            Mm::FrameAllocated { pfn, .. } | Mm::FrameFreed { pfn } | Mm::PageCleared { pfn } => {
                vec![(Thing::Frame(*pfn), Change)]
            }
            Mm::PageCopied { from, to } => vec![(Thing::Frame(*from), Look), (Thing::Frame(*to), Change)],
            Mm::PteChanged { va, old, new, .. } => {
                let frames = [old, new].into_iter().filter(|entry| entry.is_present());
                let frames = frames.map(|entry| (Thing::Frame(entry.pfn()), Change));
                frames.chain([(Thing::Page(va.vpn()), Change)]).collect()
            }
            Mm::KernelBug { .. } | Mm::ObjectFreed { .. } => Vec::new(),
            Mm::RefChanged { pfn, .. } | Mm::MapcountChanged { pfn, .. } => vec![(Thing::Frame(*pfn), Look)],
            Mm::FlushBegun { range, .. } => {
                pages.range(range.clone()).map(|vpn| (Thing::Page(*vpn), Change)).collect()
            }
            // Its beginning named the pages; who asks later asks about all.
            Mm::FlushDone { .. } => pages.iter().map(|vpn| (Thing::Page(*vpn), Change)).collect(),
            Mm::MmCreated { .. } | Mm::ForkDone { .. } | Mm::MmExited { .. } => vec![(Thing::Spaces, Change)],
            Mm::Pinned { id, pfn, .. } => vec![(Thing::Pin(*id), Change), (Thing::Frame(*pfn), Look)],
            Mm::Unpinned { id } | Mm::PinMoved { id } => vec![(Thing::Pin(*id), Change)],
            Mm::PinTouched { id, pfn, .. } => {
                vec![(Thing::Pin(*id), Look), (Thing::Frame(*pfn), Look), (Thing::Spaces, Look)]
            }
        },
    }
}
