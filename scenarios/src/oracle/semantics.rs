//! `semantics`: an interface of the kernel does not do what it promises.
//!
//! There are five such promises so far. The first is that of `clear_refs`. After it, soft-dirty tells each page to which user code writes. So at rest, a page
//! that was written since the call was complete must be told by its entry, or by a mapping that is newer than the call. What the
//! page holds may have been copied meanwhile: the copy counts.
//!
//! The second is that of `fsync()` and of `msync()` with `MS_SYNC`. When it returns without an error, the disk has taken each page of the file as
//! it was when the call began, or as it was later. A page that has left the file meanwhile was truncated, and need not be there.
//!
//! The third is that of secret memory. The kernel cannot read it, and so GUP gives no page of it to anybody.
//!
//! The fourth is that of the zone MOVABLE: its memory can be taken out of the machine, so at rest nobody has a pin of its pages that is to last.
//!
//! The fifth is that of `memory_failure()`: a frame of which it was told is handed out to nobody. What becomes of a page that somebody has when it is told
//! is judged as if the frame had been freed, from the moment on at which it says that nobody has it any more.
//!
//! Of the first it does not judge: writes while the call is under way; a page that is no longer mapped where it was written; a page of shared
//! memory whose entry was taken away, for soft-dirty is lost with the entry; what a device or the kernel writes. Of the second: whether somebody
//! is told that the disk could not write a page; what a device
//! writes, for its driver says so only when the page is given back; memory with store buffers, in which a write that user code has done may
//! still be on its way.

use sim_mm::{Cpu, Kernel, MemoryOrder, MmId, MovableZone, Page, SoftDirty, VmFlags};
use sim_mmu::{Entry, Pfn, VirtAddr, Vpn};

use super::ghost::{NotedWrite, Seen};
use super::{Finding, Site, Violation};

/// A call returns that says that everything is on the disk.
pub(super) fn synced(ghost: Seen<'_>, cpu: Cpu<'_>, id: u64, site: &Site) -> Option<Finding> {
    if cpu.setting::<MemoryOrder>() == MemoryOrder::Tso {
        return None;
    }
    let (pfn, at) = ghost.not_synced(id).find(|(pfn, at)| cpu.kernel.is_cached(*at, Page(*pfn)))?;
    Some(Finding {
        violation: Violation::NotSynced { pfn, at },
        site: site.clone(),
        other: ghost.last_write(pfn).cloned(),
    })
}

/// GUP gives out a page.
pub(super) fn pinned(kernel: &Kernel, (mm, va): (MmId, VirtAddr), pfn: Pfn, site: &Site) -> Option<Finding> {
    let violation = Violation::SecretGiven { mm, va, pfn };
    kernel.is_secret(Page(pfn)).then(|| Finding { violation, site: site.clone(), other: None })
}

/// A frame is handed out by the allocator.
pub(super) fn allocated(ghost: Seen<'_>, pfn: Pfn, site: &Site) -> Option<Finding> {
    let violation = Violation::BrokenGiven { pfn };
    ghost.life(pfn)?.broken.then(|| Finding { violation, site: site.clone(), other: None })
}

/// A run has ended, and somebody has a pin that is to last.
pub(super) fn kept_in_place(ghost: Seen<'_>, kernel: &Kernel) -> Option<Finding> {
    if kernel.config.setting::<MovableZone>() == MovableZone::Off {
        return None;
    }
    let movable = kernel.mem_map.pfns().filter(|pfn| kernel.is_zone_movable(Page(*pfn)));
    let pin = movable.flat_map(|pfn| ghost.pins_on(pfn)).find(|pin| pin.longterm)?;
    let violation = Violation::KeptInPlace { mm: pin.mm, va: pin.va, pfn: pin.pfn };
    Some(Finding { violation, site: pin.taken.clone(), other: None })
}

/// A run has ended.
pub(super) fn at_rest(ghost: Seen<'_>, kernel: &Kernel) -> Option<Finding> {
    if kernel.config.setting::<SoftDirty>() == SoftDirty::Off {
        return None;
    }
    kernel.live_mms().find_map(|mm| {
        let unseen = |write: &&NotedWrite| !is_told(ghost, kernel, mm, write);
        let write = ghost.noted_writes(mm).iter().find(unseen)?;
        Some(Finding {
            violation: Violation::WriteUnseen { mm, va: write.vpn.base(), pfn: write.pfn },
            site: write.site.clone(),
            other: ghost.changed(mm, write.vpn).cloned(),
        })
    })
}

/// Whether soft-dirty tells that the page was written, or need not.
fn is_told(ghost: Seen<'_>, kernel: &Kernel, mm: MmId, write: &NotedWrite) -> bool {
    let NotedWrite { vpn, pfn, frees, .. } = *write;
    let entry = entry_of(kernel, mm, vpn);
    let same = entry.pfn() == pfn && ghost.life(pfn).is_some_and(|life| life.frees == frees);
    let now = entry.pfn();
    let frees_now = ghost.life(now).map_or(0, |life| life.frees);
    let moved = ghost.copied_from(now) == Some(pfn) || ghost.came_by_swap((pfn, frees), (now, frees_now));
    let is_there = entry.is_present() && (same || moved);
    let vmas = kernel.vma_list(kernel.mm(mm));
    let is_new = vmas
        .iter()
        .any(|vma| (vma.start.vpn()..vma.end.vpn()).contains(&vpn) && vma.flags.contains(VmFlags::SOFTDIRTY));
    !is_there || is_new || entry.has(Entry::SOFT_DIRTY)
}

fn entry_of(kernel: &Kernel, mm: MmId, vpn: Vpn) -> Entry {
    let root = Pfn(kernel.core().memory.get(kernel.mm(mm).pgd().loc()));
    let (_, _, entry) = kernel.mmu.lowest_under(root, vpn.base());
    entry
}
