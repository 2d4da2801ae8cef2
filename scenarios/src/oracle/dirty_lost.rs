//! `dirty-lost`: a page was written, and nothing says so any more.
//!
//! The hardware sets the dirty bit of the entry through which a page is written. A write fault makes an entry that has the
//! bit from the start. From there the kernel carries the bit along: to the entry that comes next, or to the page. Code that
//! writes pages back, or throws them away, looks at the entries and at the page, and at nothing else.
//!
//! The oracle judges at rest, and looks at each page that somebody maps or that a file has. If an entry of the page was
//! dirty since the page was allocated, or since it was cleaned on purpose (`MADV_FREE`), an entry or the page itself must
//! still be dirty. In between, the bit may be in a register only.
//!
//! A file on a disk is judged by what the disk has. A page of it that is in memory may differ from its block only if an entry or the page
//! says that it is dirty. When the kernel takes it out of memory because the disk has it, the disk must have it.
//!
//! Not checked: a page that nobody maps and no file has, because its contents are lost anyway; what a device writes through a pin to a page
//! that no disk is behind; a page that is pinned, because whoever pinned it will say that it is dirty; a page whose last write to the disk
//! failed, because `fsync()` tells that; the accessed bit, which only tells reclaim what to try first.

use sim_mm::{Kernel, Order, Page, PageFlags, SharedPage};
use sim_mmu::{Entry, Pfn};

use super::ghost::{FrameState, Seen};
use super::{Finding, Site, Violation};

/// A run has ended.
pub(super) fn at_rest(ghost: Seen<'_>, kernel: &Kernel, site: &Site) -> Option<Finding> {
    let lost = ghost.known_frames().find_map(|pfn| {
        let dirtied = ghost.dirtied(pfn)?;
        let is_needed = !ghost.mappings(pfn).is_empty() || ghost.is_of_file(pfn);
        // A block of a device holds what was written to it: nothing has to be carried anywhere.
        let on_disk = kernel.is_zone_device(pfn) || ghost.shared(pfn).is_some_and(|at| kernel.is_on_disk(at.file));
        if ghost.life(pfn)?.state != FrameState::Data || !is_needed || on_disk || is_dirty(ghost, kernel, pfn) {
            return None;
        }
        Some(finding(ghost, pfn, site, Some(dirtied)))
    });
    lost.or_else(|| differs(ghost, kernel, site))
}

/// A page of a file on the disk differs from its block, and nothing says so.
fn differs(ghost: Seen<'_>, kernel: &Kernel, site: &Site) -> Option<Finding> {
    let (page, _) = kernel.differ_from_disk().into_iter().find(|(page, _)| {
        let told = flags(kernel, page.0).intersects(PageFlags::WRITEBACK | PageFlags::ERROR);
        !told && !is_dirty(ghost, kernel, page.0) && ghost.pins_on(page.0).next().is_none()
    })?;
    Some(finding(ghost, page.0, site, ghost.last_write(page.0)))
}

/// A page of a file leaves memory, because the disk is taken to have it.
pub(super) fn dropped(ghost: Seen<'_>, kernel: &Kernel, pfn: Pfn, at: SharedPage, site: &Site) -> Option<Finding> {
    let told = flags(kernel, pfn).contains(PageFlags::ERROR);
    if told || !kernel.differs_from_disk(at, Page(pfn)) {
        return None;
    }
    Some(Finding {
        violation: Violation::DirtyDropped { pfn, at },
        site: site.clone(),
        other: ghost.last_write(pfn).cloned(),
    })
}

fn finding(ghost: Seen<'_>, pfn: Pfn, site: &Site, written: Option<&Site>) -> Finding {
    let places = ghost.homes(pfn).iter().filter_map(|(mm, vpn)| Some((*mm, *vpn, ghost.changed(*mm, *vpn)?)));
    let last = places.max_by_key(|(_, _, site)| site.step);
    let page = last.map(|(mm, vpn, _)| (mm, vpn.base()));
    Finding {
        violation: Violation::DirtyLost { pfn, page },
        site: last.map_or(site, |(_, _, site)| site).clone(),
        other: written.cloned(),
    }
}

fn flags(kernel: &Kernel, pfn: Pfn) -> PageFlags {
    PageFlags::from_bits_truncate(kernel.core().memory.get(kernel.page_flags(Page(pfn)).loc()) as _)
}

/// Whether an entry or the page itself says that a page is dirty.
fn is_dirty(ghost: Seen<'_>, kernel: &Kernel, pfn: Pfn) -> bool {
    let memory = &kernel.core().memory;
    flags(kernel, pfn).contains(PageFlags::DIRTY)
        || ghost.mappings(pfn).iter().any(|(mm, vpn)| {
            let root = Pfn(memory.get(kernel.mm(*mm).pgd().loc()));
            let (_, level, entry) = kernel.mmu.lowest_under(root, vpn.base());
            Order::of(level, kernel.mmu.geometry).has(entry.pfn(), pfn) && entry.has(Entry::DIRTY)
        })
}
