//! Advices about pages: `MADV_FREE`, `MADV_REMOVE`, `MADV_PAGEOUT`.

use std::cell::Cell;

use sim_core::{BoxFuture, Routine};
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use super::huge::{HugeAdvice, madvise_cold_huge_pmd, madvise_free_huge_pmd, madvise_pageout_huge_pmd};
use super::large::{Batch, Behind, folio_batch};
use crate::dax_file::dax_punch_hole;
use crate::entries::entries;
use crate::errno::Errno;
use crate::event::Event;
use crate::folio::page_mapcount;
use crate::inode::{get_file, is_dax, is_dev_dax, is_secret};
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_gather::MmuGather;
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::{put_page, test_and_set_flags, unlock_page};
use crate::page_flags::PageFlags;
use crate::pagewalk::{WalkAction, skip_huge, walk_page_range};
use crate::pgtable_set::ptep_get_and_clear;
use crate::rmap::flush_tlb_batched_pending;
use crate::settings::{HwpoisonFree, MadvRemove};
use crate::shmem::{shmem_put, shmem_swapin_range};
use crate::swap::{folio_deactivate, folio_mark_lazyfree, lru_add_drain};
use crate::swap_state::read_swap_cache_async;
use crate::swapfile::{free_swap_and_cache, get_swap_device, put_swap_device, try_to_free_swap};
use crate::swapops::{SwpEntry, is_lost};
use crate::truncate::shmem_punch_hole;
use crate::vm_flags::VmFlags;
use crate::vmscan::{isolate_for_reclaim, reclaim_pages};

/// `madvise_free_single_vma()`: pages that are not written again may be dropped. Nothing is ever short of memory here, so
/// what is left is that the entries become clean and old.
pub(super) async fn madvise_free_single_vma<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Errno> {
    let _routine = cpu.enter(Routine::helper("madvise_free_single_vma"));
    if !vma.is_anonymous(cpu) {
        return Err(Errno::Einval);
    }
    lru_add_drain(cpu).await;
    let mut tlb = MmuGather::gather(cpu, mm, start, end).await;
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (start, end)).await;
    let mut from = Some(start);
    while let Some(start) = from {
        from = free_range(cpu, mm, &mut tlb, start, end).await;
    }
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    tlb.finish(cpu).await;
    Ok(())
}

/// `madvise_free_page_range()`. Stops where a folio has to be split, and answers where to go on behind that.
async fn free_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    tlb: &mut MmuGather<'m>,
    start: VirtAddr,
    end: VirtAddr,
) -> Option<VirtAddr> {
    let mut freed = Vec::new();
    let stop = Cell::new(None);
    let huge_entry = async |pmdp, start, end| {
        if stop.get().is_some() {
            return WalkAction::Continue;
        }
        let action = madvise_free_huge_pmd(cpu, mm, pmdp, (start, end)).await;
        if action == HugeAdvice::Changed {
            freed.push((start, end));
        }
        action.walk()
    };
    walk_page_range(cpu, mm, start, end, huge_entry, async |ptep, start, end| {
        if stop.get().is_some() {
            return;
        }
        flush_tlb_batched_pending(cpu, mm).await;
        let mut batch = Behind::default();
        for (ptep, addr, _) in entries(cpu.mmu.geometry, ptep, start, end) {
            if batch.skips(addr) {
                continue;
            }
            let pte = cpu.read_once(ptep).await;
            if let Some(entry) = SwpEntry::of_pte(pte.entry) {
                // What is in the slot is not needed either.
                Box::pin(free_swap_and_cache(cpu, entry)).await;
                cpu.set_pte_at(mm, addr, ptep, Entry::NONE).await;
                continue;
            }
            if is_lost(pte.entry) && cpu.setting::<HwpoisonFree>() == HwpoisonFree::Cleared {
                cpu.set_pte_at(mm, addr, ptep, Entry::NONE).await;
                continue;
            }
            if !pte.present() || pte.special() {
                continue;
            }
            let page = Page(pte.pfn());
            if !batch.is_inside(addr) {
                match folio_batch(cpu, (ptep, addr, end), pte).await {
                    Batch::Pages(pages) => {
                        batch.begin(addr, pages);
                        if !folio_may_be_freed(cpu, page, pages).await {
                            batch.skip(addr, pages);
                            continue;
                        }
                    }
                    Batch::Skip(pages) => {
                        batch.skip(addr, pages);
                        continue;
                    }
                    Batch::Split(folio) => {
                        stop.set(Some(folio));
                        return;
                    }
                }
            }
            if pte.entry.0 & (Entry::ACCESSED | Entry::DIRTY) != 0 {
                let pte = ptep_get_and_clear(cpu, mm, addr, ptep, pte).await;
                let clean = pte.entry.without(Entry::ACCESSED | Entry::DIRTY);
                cpu.set_pte_at(mm, addr, ptep, clean).await;
                cpu.note(Event::PageCleaned { pfn: page.0 });
                tlb.remove_tlb_entry(addr);
            }
        }
    })
    .await;
    for (start, end) in freed {
        tlb.remove_tlb_entry(start);
        tlb.remove_tlb_entry(VirtAddr(end.0 - VirtAddr::PAGE_SIZE));
    }
    match stop.get() {
        Some(folio) => Some(Box::pin(folio.split(cpu)).await),
        None => None,
    }
}

/// What `madvise_free_pte_range()` does once for each folio: false if it is to be left alone.
async fn folio_may_be_freed(cpu: Cpu<'_>, page: Page, pages: u64) -> bool {
    if cpu.walks_rmap() && !Box::pin(may_be_freed(cpu, page)).await {
        return false;
    }
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    // Others that map the page may still want it.
    if flags.contains(PageFlags::DIRTY) && page_mapcount(cpu, page).await != 1 {
        return false;
    }
    if flags.contains(PageFlags::DIRTY) {
        cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::DIRTY).await;
    }
    if flags.contains(PageFlags::DIRTY) || pages > 1 {
        (0..pages).for_each(|nth| cpu.note(Event::PageCleaned { pfn: Pfn(page.0.0 + nth) }));
    }
    folio_mark_lazyfree(cpu, page).await;
    true
}

/// What `madvise_free_pte_range()` does about a page that is dirty or has a slot, under the lock of the page: nobody else may map it,
/// and it gives the slot up. False if the page is to be left alone.
async fn may_be_freed(cpu: Cpu<'_>, page: Page) -> bool {
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    if !flags.intersects(PageFlags::SWAPCACHE | PageFlags::DIRTY) {
        return true;
    }
    if !test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
        return false;
    }
    let alone = page_mapcount(cpu, page).await == 1
        && (!flags.contains(PageFlags::SWAPCACHE) || try_to_free_swap(cpu, page).await);
    if alone {
        cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::DIRTY).await;
        cpu.note(Event::PageCleaned { pfn: page.0 });
    }
    unlock_page(cpu, page).await;
    alone
}

/// `madvise_remove()`: punches a hole into the file behind the mapping.
pub(super) async fn madvise_remove<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Errno> {
    let flags = vma.flags(cpu);
    if flags.contains(VmFlags::LOCKED) {
        return Err(Errno::Einval);
    }
    let file = vma.file(cpu).ok_or(Errno::Einval)?;
    let needed = match cpu.setting::<MadvRemove>() {
        MadvRemove::Writable => VmFlags::WRITE,
        MadvRemove::MayWrite => VmFlags::MAYWRITE,
    };
    if !flags.contains(VmFlags::SHARED | needed) {
        return Err(Errno::Eacces);
    }
    if is_secret(cpu, file) {
        return Err(Errno::Eopnotsupp);
    }
    if is_dev_dax(cpu, file) {
        return Err(Errno::Enodev);
    }
    let (from, to) = (vma.index_of(cpu, start), vma.index_of(cpu, end));
    // The file is held: the mapping may go while it is worked on.
    get_file(cpu, file);
    if is_dax(cpu, file) {
        Box::pin(dax_punch_hole(cpu, file, from, to)).await;
    } else {
        shmem_punch_hole(cpu, file, from, to).await;
    }
    shmem_put(cpu, file).await;
    Ok(())
}

/// `madvise_cold()`: pages that nobody else maps become old, and candidates for reclaim.
pub(super) async fn madvise_cold<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) {
    lru_add_drain(cpu).await;
    let mut from = Some(start);
    while let Some(start) = from {
        from = cold_range(cpu, mm, start, end).await;
    }
}

/// `madvise_cold_page_range()`. Stops where a folio has to be split, and answers where to go on behind that.
async fn cold_range<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) -> Option<VirtAddr> {
    let stop = Cell::new(None);
    let huge_entry = async |pmdp, start, end| match stop.get() {
        Some(_) => WalkAction::Continue,
        None => madvise_cold_huge_pmd(cpu, mm, pmdp, (start, end)).await.walk(),
    };
    walk_page_range(cpu, mm, start, end, huge_entry, async |ptep, start, end| {
        if stop.get().is_some() {
            return;
        }
        let mut batch = Behind::default();
        for (ptep, addr, _) in entries(cpu.mmu.geometry, ptep, start, end) {
            if batch.skips(addr) {
                continue;
            }
            let pte = cpu.read_once(ptep).await;
            if !pte.present() || pte.special() {
                continue;
            }
            let begins = !batch.is_inside(addr);
            if begins {
                match folio_batch(cpu, (ptep, addr, end), pte).await {
                    Batch::Pages(pages) => batch.begin(addr, pages),
                    Batch::Skip(pages) => {
                        batch.skip(addr, pages);
                        continue;
                    }
                    Batch::Split(folio) => {
                        stop.set(Some(folio));
                        return;
                    }
                }
                if page_mapcount(cpu, Page(pte.pfn())).await != 1 {
                    continue;
                }
            }
            if pte.entry.has(Entry::ACCESSED) {
                cpu.update_pte(mm, addr, ptep, |entry| entry.without(Entry::ACCESSED)).await;
            }
            if begins {
                folio_deactivate(cpu, Page(pte.pfn())).await;
            }
        }
    })
    .await;
    match stop.get() {
        Some(folio) => Some(Box::pin(folio.split(cpu)).await),
        None => None,
    }
}

/// `madvise_pageout()`: what nobody else maps is reclaimed.
pub(super) fn madvise_pageout<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        lru_add_drain(cpu).await;
        let geometry = cpu.mmu.geometry;
        let mut addr = start;
        while addr < end {
            // The pages of one table at a time.
            let next = geometry.addr_end(Level::Pmd, addr, end);
            let mut isolated = Vec::new();
            let mut huge = None;
            let stop = Cell::new(None);
            let huge_entry = async |pmdp, start, end| {
                let (action, head) = madvise_pageout_huge_pmd(cpu, mm, pmdp, (start, end)).await;
                huge = head;
                action.walk()
            };
            walk_page_range(cpu, mm, addr, next, huge_entry, async |ptep, start, end| {
                flush_tlb_batched_pending(cpu, mm).await;
                let mut batch = Behind::default();
                for (ptep, addr, _) in entries(geometry, ptep, start, end) {
                    if batch.skips(addr) {
                        continue;
                    }
                    let pte = cpu.read_once(ptep).await;
                    if !pte.present() || pte.special() {
                        continue;
                    }
                    let page = Page(pte.pfn());
                    match folio_batch(cpu, (ptep, addr, end), pte).await {
                        Batch::Pages(pages) => batch.skip(addr, pages),
                        Batch::Skip(pages) => {
                            batch.skip(addr, pages);
                            continue;
                        }
                        Batch::Split(folio) => {
                            stop.set(Some(folio));
                            return;
                        }
                    }
                    // Others that map the page may need it.
                    if page_mapcount(cpu, page).await != 1 {
                        continue;
                    }
                    if !cpu.walks_rmap() {
                        cpu.not_modelled("the lists of reclaim on a machine without swap, disk and migration");
                        continue;
                    }
                    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::REFERENCED).await;
                    if isolate_for_reclaim(cpu, page).await {
                        isolated.push(page);
                    }
                }
            })
            .await;
            isolated.extend(huge);
            if !isolated.is_empty() {
                reclaim_pages(cpu, isolated).await;
            }
            addr = match stop.get() {
                Some(folio) => Box::pin(folio.split(cpu)).await,
                None => next,
            };
        }
    })
}

/// `madvise_willneed()` of shared memory, `shmem_swapin_range()`: what is in swap is read into the swap cache.
pub(super) fn madvise_willneed_shmem<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        if let Some(file) = vma.file(cpu) {
            shmem_swapin_range(cpu, file, vma.index_of(cpu, start), vma.index_of(cpu, end)).await;
        }
        lru_add_drain(cpu).await;
    })
}

/// `madvise_willneed()` of private memory: what is in swap is read into the swap cache. No entry changes.
pub(super) fn madvise_willneed<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        // swapin_walk_pmd_entry(): the lock of the table is not held while a page is read.
        let mut named = Vec::new();
        walk_page_range(cpu, mm, start, end, skip_huge, async |ptep, start, end| {
            for (ptep, ..) in entries(cpu.mmu.geometry, ptep, start, end) {
                named.extend(SwpEntry::of_pte(cpu.read_once(ptep).await.entry));
            }
        })
        .await;
        for entry in named {
            // The entry may have changed since.
            if !get_swap_device(cpu).await {
                break;
            }
            if let Some((page, _)) = read_swap_cache_async(cpu, entry).await {
                put_page(cpu, page).await;
            }
            put_swap_device(cpu).await;
        }
        lru_add_drain(cpu).await;
    })
}
