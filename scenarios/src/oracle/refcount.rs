//! `refcount`: a page's reference count differs from the number of its holders.
//!
//! The oracle judges at two moments. At each change it looks for a count below zero, a reference to a page that
//! has none, a count that wraps, and a frame that is freed twice or under a pin. At rest, when a run has ended,
//! it compares the count with mappings and pins. It also looks for frames that are not free although no address
//! space leads to them, because the kernel could never give them back. Between the two moments a count may
//! rightly be above the number of holders.

use sim_mm::{Kernel, Page, Reach, RefChange};
use sim_mmu::Pfn;

use super::ghost::{FrameState, Seen};
use super::{Finding, Site, Violation};

/// A count changed.
pub(super) fn changed(
    ghost: Seen<'_>,
    pfn: Pfn,
    how: RefChange,
    old: u64,
    new: u64,
    site: impl FnOnce() -> Site,
) -> Option<Finding> {
    let violation = match how {
        RefChange::Put if old == 0 => Violation::CountBelowZero { pfn },
        RefChange::Get | RefChange::Speculative if old == 0 => Violation::CountFromZero { pfn },
        RefChange::Get | RefChange::Speculative if new < old => Violation::CountWrapped { pfn, old, new },
        _ => return None,
    };
    let freed = ghost.life(pfn).and_then(|life| life.freed.clone());
    Some(Finding { violation, site: site(), other: freed })
}

/// A frame goes to the free list.
pub(super) fn freed(ghost: Seen<'_>, pfn: Pfn, site: &Site) -> Option<Finding> {
    let found = |violation, other| Some(Finding { violation, site: site.clone(), other });
    let Some(life) = ghost.life(pfn) else { return found(Violation::NoFrameFreed { pfn }, None) };
    if life.state == FrameState::Free {
        return found(Violation::FreedTwice { pfn }, life.freed.clone());
    }
    if life.state == FrameState::Reserved {
        return found(Violation::ZeroPageFreed { pfn }, None);
    }
    let pin = ghost.pins_on(pfn).next()?;
    found(Violation::FreedUnderPin { pfn, mm: pin.mm, va: pin.va }, Some(pin.taken.clone()))
}

/// A run has ended. Every count is compared with the holders that are left.
pub(super) fn at_rest(ghost: Seen<'_>, kernel: &Kernel, reach: &Reach, site: &Site) -> Option<Finding> {
    ghost.known_frames().find_map(|pfn| {
        let state = ghost.life(pfn)?.state;
        let count = kernel.core().memory.get(kernel.refcount(Page(pfn)).loc());
        // A page of a device that is gone has no descriptor. While the device is there, one that nobody uses may have a count.
        let idle = kernel.idle_references(Page(pfn))?;
        // Most frames are free, and nobody has them.
        if state == FrameState::Free && count == 0 {
            return None;
        }
        // The first frame of a compound page counts for all of it, and the others count nothing.
        let frames = kernel.folio_frames(Page(pfn));
        let is_tail = frames.start != pfn;
        // What holds for the first frame holds for the others, unless they are in another state.
        if is_tail && count == 0 && ghost.life(frames.start).is_some_and(|head| head.state == state) {
            return None;
        }
        let pins_on = (frames.start.0..frames.end.0).flat_map(|pfn| ghost.pins_on(Pfn(pfn)));
        let mappings = if frames.end.0 - frames.start.0 == 1 {
            ghost.mappings(pfn).len() as u64
        } else {
            reach.entries(frames.clone())
        };
        // A pin adds more than one to the count. Files and batches of pages hold references as well.
        let (pins, pinned) = pins_on.fold((0, 0), |(pins, refs), pin| (pins + 1, refs + pin.references));
        let held = reach.held(frames.clone());
        let others = pinned + held + idle;
        let holders = match state {
            _ if is_tail => 0,
            // A page that a cache keeps so that a fault finds out that its memory is broken.
            FrameState::Free if kernel.is_hwpoison(Page(pfn)) => others,
            FrameState::Free => idle,
            FrameState::Driver | FrameState::Zeroes => others,
            FrameState::Reserved | FrameState::Table { .. } => 1 + others,
            FrameState::Data => mappings + others,
        };
        let by = || ghost.mapped_by(pfn).last().map(|(_, site)| site.clone());
        if count != holders {
            let violation = Violation::CountAtRest { pfn, count, holders, mappings, pins };
            return Some(Finding { violation, site: by().unwrap_or_else(|| site.clone()), other: None });
        }
        let lost = match state {
            FrameState::Data => {
                let is_elsewhere = kernel.is_block(pfn) || kernel.is_hwpoison(Page(pfn));
                reach.entries(frames.clone()) == 0 && pins == 0 && held == 0 && !is_elsewhere
            }
            FrameState::Table { root, .. } => !reach.has_table(pfn) && !ghost.is_kernels(root),
            FrameState::Free | FrameState::Driver | FrameState::Reserved | FrameState::Zeroes => false,
        };
        lost.then(|| Finding { violation: Violation::LostAtRest { pfn }, site: site.clone(), other: by() })
    })
}
