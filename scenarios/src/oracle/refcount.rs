//! `refcount`: a page's reference count differs from the number of its holders.
//!
//! At each change: a drop below zero, a reference taken on a page that has none, a wrap-around, a
//! frame freed twice or while a pin holds it. At rest, when a run has ended: the count against
//! mappings and pins, and frames that nobody can reach but that are not free. In between, a count may
//! rightly be above the number of holders.

use sim_mm::{Kernel, Page, RefChange};
use sim_mmu::Pfn;

use super::ghost::{FrameState, Ghost, Site};
use super::{Finding, OracleId};

fn finding(pfn: Pfn, message: String, site: Site, other: Option<Site>) -> Finding {
    Finding { oracle: OracleId::Refcount, site, other, message, frame: Some(pfn), page: None }
}

/// A count changed.
pub(super) fn changed(
    ghost: &Ghost,
    pfn: Pfn,
    how: RefChange,
    old: u64,
    new: u64,
    site: &Site,
) -> Option<Finding> {
    let freed = ghost.frame(pfn).and_then(|frame| frame.freed.clone());
    let message = match how {
        RefChange::Put if old == 0 => format!("the count of {pfn} fell below zero"),
        RefChange::Get | RefChange::Speculative if old == 0 => {
            format!("a reference was taken on {pfn}, whose count was zero")
        }
        RefChange::Get | RefChange::Speculative if new < old => {
            format!("the count of {pfn} wrapped from {old} to {new}")
        }
        _ => return None,
    };
    Some(finding(pfn, message, site.clone(), freed))
}

/// A frame goes to the free list.
pub(super) fn freed(ghost: &Ghost, pfn: Pfn, site: &Site) -> Option<Finding> {
    let Some(frame) = ghost.frame(pfn) else {
        return Some(finding(pfn, format!("{pfn} was freed, but memory has no such frame"), site.clone(), None));
    };
    if frame.state == FrameState::Free {
        return Some(finding(pfn, format!("{pfn} was freed twice"), site.clone(), frame.freed.clone()));
    }
    if frame.state == FrameState::Reserved {
        return Some(finding(pfn, format!("{pfn}, the zero page, was freed"), site.clone(), None));
    }
    let pin = ghost.pins_on(pfn).next()?;
    let message = format!("{pfn} was freed while the pin of {} holds it", pin.va);
    Some(finding(pfn, message, site.clone(), Some(pin.taken.clone())))
}

/// A run has ended: every count against the holders that are left.
pub(super) fn at_rest(ghost: &Ghost, kernel: &Kernel, site: &Site) -> Option<Finding> {
    ghost.frames.iter().enumerate().find_map(|(i, frame)| {
        let pfn = Pfn(i as u64);
        let (mappings, pins) = (frame.mappings.len() as u64, ghost.pins_on(pfn).count() as u64);
        let holders = match frame.state {
            FrameState::Free => 0,
            FrameState::Reserved | FrameState::Table { .. } => 1 + pins,
            FrameState::Data => mappings + pins,
        };
        let count = kernel.core().memory.get(kernel.refcount(Page(pfn)).loc());
        let by = frame.mapped_by.last().map(|(_, site)| site.clone());
        if count != holders {
            let message = format!(
                "at rest the count of {pfn} is {count}, but it has {holders} holders \
                 ({mappings} mappings, {pins} pins)"
            );
            return Some(finding(pfn, message, by.unwrap_or_else(|| site.clone()), None));
        }
        let lost = match frame.state {
            FrameState::Data => frame.mappings.iter().all(|(mm, _)| ghost.exited.contains(mm)) && pins == 0,
            FrameState::Table { root, .. } => ghost.mm_of_root(root).is_some_and(|mm| ghost.exited.contains(&mm)),
            FrameState::Free | FrameState::Reserved => false,
        };
        lost.then(|| finding(pfn, format!("at rest nobody can reach {pfn}, but it is not free"), site.clone(), by))
    })
}
