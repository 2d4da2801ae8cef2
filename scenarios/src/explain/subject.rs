//! What a finding is about, as far as it says so itself: a frame, pages of address spaces, an object of the kernel.

use sim_core::Loc;
use sim_mm::{Event as Mm, HwpoisonEntry, MigrationEntry, MmId};
use sim_mmu::{Event as Hardware, Level, Pfn, VirtAddr};

use super::act::Act;
use super::entries::{self, Places, TableEntry};
use super::fact::maps_huge_page;
use super::spaces::Spaces;
use crate::explore::Trace;
use crate::oracle::{Finding, Violation, What};

/// What a finding is about.
pub(super) struct Subject {
    pub(super) frame: Option<Pfn>,
    pub(super) pages: Vec<(MmId, VirtAddr)>,
    /// The first word of an object, and the name of the object.
    pub(super) object: Option<(Loc, String)>,
}

impl Subject {
    pub(super) fn of(
        spaces: &Spaces<'_>,
        places: &Places,
        trace: &Trace,
        finding: &Finding,
        act: Option<&Act>,
    ) -> Subject {
        let frame = finding.frame().or_else(|| frame_of_check(trace, finding));
        let mut subject = Subject { frame, pages: finding.page().into_iter().collect(), object: object(finding) };
        match &finding.violation {
            Violation::GupToldOtherwise { start, asked, .. } => {
                let mm = spaces.at(finding.site.cpu, finding.site.step);
                subject
                    .pages
                    .extend(mm.into_iter().flat_map(|mm| (0..*asked).map(move |n| (mm, start.plus_pages(n)))));
            }
            // Nothing says what it is about. The entry at which the task looked last is as near as one can get.
            Violation::KernelStops { .. } | Violation::SleptInAtomic { .. } | Violation::Value { .. }
                if frame.is_none() =>
            {
                if let Some((step, entry)) = act.and_then(|act| last_touched(trace, act)) {
                    subject.frame = frame_in(entry);
                    subject.pages.extend(places.at(step, entry.loc));
                }
            }
            _ => {}
        }
        subject
    }
}

/// The frame from which the value of a check was read: that of the last translation through which it was read.
fn frame_of_check(trace: &Trace, finding: &Finding) -> Option<Pfn> {
    let Violation::Value { is: checked, .. } = finding.violation else { return None };
    trace.log.iter().rev().find_map(|entry| match entry.what {
        What::Hardware(Hardware::Retired { va, through, value, .. }) if value == checked => {
            Some(through.frame(va))
        }
        What::Mm(Mm::PinTouched { pfn, value, .. }) if value == checked => Some(pfn),
        _ => None,
    })
}

/// The object that a finding is about: its first word, and its name without a field.
fn object(finding: &Finding) -> Option<(Loc, String)> {
    let Violation::ObjectUsed { word, first } = &finding.violation else { return None };
    let (what, _) = word.rsplit_once('.')?;
    Some((*first, what.to_owned()))
}

/// The last entry of a page at which the CPU looked before its act, in the call if there is one, and the step in which it did.
fn last_touched(trace: &Trace, act: &Act) -> Option<(u64, TableEntry)> {
    let of_call = act.call.clone().unwrap_or(0..=act.step);
    let steps = trace.log.chunk_by(|a, b| a.step == b.step && a.cpu == b.cpu);
    let before = steps.filter(|step| step[0].cpu == act.cpu && of_call.contains(&step[0].step));
    let mut touched = before.filter_map(|step| Some((step[0].step, entries::touched(step)?.0)));
    touched.rfind(|(_, entry)| maps_page(entry))
}

fn maps_page(entry: &TableEntry) -> bool {
    entry.level == Level::Pte || [entry.old, entry.new].into_iter().any(maps_huge_page)
}

/// The frame to which an entry leads, or led before it was changed.
fn frame_in(entry: TableEntry) -> Option<Pfn> {
    [entry.new, entry.old].into_iter().find_map(|entry| match MigrationEntry::of_pte(entry) {
        Some(moved) => Some(moved.pfn),
        None => {
            HwpoisonEntry::of_pte(entry).map(|HwpoisonEntry(pfn)| pfn).or(entry.is_present().then(|| entry.pfn()))
        }
    })
}
