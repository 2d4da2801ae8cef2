//! `dirty-lost`: a page was written, and nothing says so any more.
//!
//! The hardware sets the dirty bit of the entry through which a page is written; a write fault makes an entry that has it
//! from the start. From there the kernel carries it along: to the entry that comes next, or to the page. Who writes
//! pages back or throws them away asks entries and page, and nobody else. So at rest, a page that somebody maps or that
//! a file has must be dirty by an entry or by itself, if an entry ever said so since the page was allocated or was
//! cleaned on purpose (`MADV_FREE`). In between the bit may be in a register only.
//!
//! It does not judge: a page that nobody maps and no file has, for its contents are nobody's; what a device writes
//! through a pin, for its driver has to say so, and no operation of a scenario does; the accessed bit, which only tells
//! reclaim what to try first.

use sim_mm::{Kernel, Page, PageFlags};
use sim_mmu::{Entry, Pfn};

use super::ghost::{FrameState, Seen};
use super::{Finding, Site, Violation};

/// A run has ended.
pub(super) fn at_rest(ghost: Seen<'_>, kernel: &Kernel, site: &Site) -> Option<Finding> {
    ghost.known_frames().find_map(|pfn| {
        let dirtied = ghost.dirtied(pfn)?;
        let is_needed = !ghost.mappings(pfn).is_empty() || ghost.is_of_file(pfn);
        if ghost.life(pfn)?.state != FrameState::Data || !is_needed || is_dirty(ghost, kernel, pfn) {
            return None;
        }
        let places = ghost.homes(pfn).iter().filter_map(|(mm, vpn)| Some((*mm, *vpn, ghost.changed(*mm, *vpn)?)));
        let last = places.max_by_key(|(_, _, site)| site.step);
        let page = last.map(|(mm, vpn, _)| (mm, vpn.base()));
        Some(Finding {
            violation: Violation::DirtyLost { pfn, page },
            site: last.map_or(site, |(_, _, site)| site).clone(),
            other: Some(dirtied.clone()),
        })
    })
}

/// Whether an entry or the page itself says that a page is dirty.
fn is_dirty(ghost: Seen<'_>, kernel: &Kernel, pfn: Pfn) -> bool {
    let memory = &kernel.core().memory;
    let flags = PageFlags::from_bits_truncate(memory.get(kernel.page_flags(Page(pfn)).loc()) as _);
    flags.contains(PageFlags::DIRTY)
        || ghost.mappings(pfn).iter().any(|(mm, vpn)| {
            let root = Pfn(memory.get(kernel.mm(*mm).pgd().loc()));
            let (_, _, entry) = kernel.mmu.lowest_under(root, vpn.base());
            entry.pfn() == pfn && entry.has(Entry::DIRTY)
        })
}
