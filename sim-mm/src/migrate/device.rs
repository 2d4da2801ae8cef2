//! `mm/migrate_device.c`: a driver moves pages of a range, and copies them itself: `migrate_vma_setup()`, `migrate_vma_pages()`,
//! `migrate_vma_finalize()`. Here it moves them to other frames of memory.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use super::mapping::{Contents, discard, migrate_page};
use super::ptes::remove_migration_ptes;
use crate::arch::tlb::flush_tlb_mm_range;
use crate::entries::entries;
use crate::errno::Errno;
use crate::folio::{is_large, page_is_anon};
use crate::gfp::Gfp;
use crate::highmem::copy_user_highpage;
use crate::huge_memory::{is_huge_zero_pmd, pmd_trans_huge_lock, split_and_put, split_huge_pmd};
use crate::kernel::Cpu;
use crate::ksm::page_is_ksm;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmap::vma_lookup;
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::{__set_page_locked, get_page, page_count, put_page, test_and_set_flags, unlock_page};
use crate::page_alloc::alloc_pages;
use crate::page_flags::PageFlags;
use crate::pagewalk::{WalkAction, walk_page_range};
use crate::pgtable::{Pmdp, Ptep};
use crate::rmap::{
    Flush, flush_tlb_batched_pending, page_anon_vma, page_mapped, set_pte_migration, try_to_migrate,
    try_to_unmap_flush,
};
use crate::safeguards::MIGRATE_VMA_FLUSH_LOCKED;
use crate::settings::Migration;
use crate::swap::{folio_add_lru, isolate_lru_page, lru_add_drain, putback_lru_page};
use crate::tlb_types::TlbUbc;
use crate::vm_flags::VmFlags;

/// What a driver does to move the pages of a mapping from `start` up to `end`. Answers how many were moved.
///
/// `mmap_lock` is held all the time, so the mapping keeps its `anon_vma`.
///
/// # Errors
/// `EINVAL` where not one mapping is, `ENOSYS` in a kernel without migration.
pub fn migrate_vma(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> BoxFuture<'_, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("migrate_vma_setup"));
        if cpu.setting::<Migration>() == Migration::Off {
            return Err(Errno::Enosys);
        }
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
        let vma = vma_lookup(cpu, mm, start).await.filter(|vma| end <= vma.end(cpu)).ok_or(Errno::Einval)?;
        if vma.flags(cpu).intersects(VmFlags::SPECIAL) {
            return Err(Errno::Einval);
        }
        lru_add_drain(cpu).await;
        let mut moved = 0;
        for page in migrate_vma_collect(cpu, mm, vma, (start, end)).await {
            moved += u64::from(migrate_one(cpu, page).await);
        }
        Ok(moved)
    })
}

/// `migrate_vma_collect()`: the pages that nobody else has locked, locked and with a reference. Their entries say that they are being moved.
async fn migrate_vma_collect<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    (start, end): (VirtAddr, VirtAddr),
) -> Vec<Page> {
    let _routine = cpu.enter("migrate_vma_collect_pmd");
    let flushed_locked = cpu.has(MIGRATE_VMA_FLUSH_LOCKED);
    let mut collected = Vec::new();
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (start, end)).await;
    let huge_entry = async |pmdp, addr, _| collect_huge(cpu, mm, vma, pmdp, addr).await;
    walk_page_range(cpu, mm, start, end, huge_entry, async |ptep, start, end| {
        let before = collected.len();
        collect_pte_range(cpu, mm, (ptep, start, end), &mut collected).await;
        // With the lock held: whoever unmaps a page next finds an entry that is not present, and flushes nothing.
        if collected.len() > before && flushed_locked {
            flush_tlb_mm_range(cpu, mm, start, end, false).await;
        }
    })
    .await;
    if !collected.is_empty() && !flushed_locked {
        flush_tlb_mm_range(cpu, mm, start, end, false).await;
    }
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    collected
}

/// The part of `migrate_vma_collect_pmd()` for a huge page, which a driver moves page by page: it is split first.
async fn collect_huge<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, pmdp: Pmdp, addr: VirtAddr) -> WalkAction {
    let Some((ptl, pmd)) = pmd_trans_huge_lock(cpu, pmdp).await else { return WalkAction::Again };
    if pmd.migration().is_some() {
        return WalkAction::Continue;
    }
    if is_huge_zero_pmd(cpu, pmd) {
        drop(ptl);
        split_huge_pmd(cpu, vma, mm, pmdp, addr).await;
        return WalkAction::Again;
    }
    let head = Page(pmd.pfn());
    get_page(cpu, head).await;
    drop(ptl);
    if !test_and_set_flags(cpu, head, PageFlags::LOCKED).await {
        put_page(cpu, head).await;
        return WalkAction::Continue;
    }
    if split_and_put(cpu, head).await.is_ok() { WalkAction::Again } else { WalkAction::Continue }
}

/// `migrate_vma_collect_pmd()`: the entries of one table, under its lock.
async fn collect_pte_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (ptep, start, end): (Ptep, VirtAddr, VirtAddr),
    collected: &mut Vec<Page>,
) {
    flush_tlb_batched_pending(cpu, mm).await;
    for (ptep, addr, _) in entries(cpu.mmu.geometry, ptep, start, end) {
        let pte = cpu.read_once(ptep).await;
        if !pte.present() || pte.special() {
            continue;
        }
        // A part of a large folio is left alone, as in Linux: only where one entry maps it all, the folio is split.
        let page = Page(pte.pfn());
        if is_large(cpu, page) {
            continue;
        }
        get_page(cpu, page).await;
        // Not waited for: the lock of the table is held.
        if !test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
            put_page(cpu, page).await;
            continue;
        }
        // Neither merged pages nor secret memory can be moved.
        let may_move = !page_is_ksm(cpu, page).await && !cpu.kernel.is_secret(page);
        if may_move && set_pte_migration(cpu, page, (mm, addr), (ptep, pte), Flush::Later).await {
            collected.push(page);
        } else {
            unlock_page(cpu, page).await;
            put_page(cpu, page).await;
        }
    }
}

/// `migrate_vma_unmap()`, `migrate_vma_pages()` and `migrate_vma_finalize()`, of one page: whether it was moved.
async fn migrate_one(cpu: Cpu<'_>, page: Page) -> bool {
    let anon_vma = page_anon_vma(cpu, page);
    let isolated = isolate_lru_page(cpu, page).await;
    // The reference by which it was collected.
    if isolated {
        put_page(cpu, page).await;
    }
    let new = if isolated && is_alone(cpu, page).await { alloc_pages(cpu, 0, Gfp::empty()).await } else { None };
    let mut to = page;
    if let Some(new) = new {
        // Nobody knows it yet.
        __set_page_locked(cpu, new);
        copy_user_highpage(cpu, new, page).await;
        if migrate_page(cpu, new, page, Contents::ByDriver).await.is_ok() {
            to = new;
        } else {
            discard(cpu, new).await;
        }
    }
    remove_migration_ptes(cpu, page, to, anon_vma).await;
    unlock_page(cpu, page).await;
    if to != page {
        unlock_page(cpu, to).await;
        folio_add_lru(cpu, to).await;
        put_page(cpu, to).await;
        put_page(cpu, page).await;
    } else if isolated {
        putback_lru_page(cpu, page).await;
    } else {
        put_page(cpu, page).await;
    }
    to != page
}

/// The rest of `migrate_vma_unmap()`: others that map the page map it no more, and `migrate_vma_check_page()`: nobody has a reference.
async fn is_alone(cpu: Cpu<'_>, page: Page) -> bool {
    if page_mapped(cpu, page).await {
        let mut ubc = TlbUbc::default();
        try_to_migrate(cpu, page, &mut ubc).await;
        try_to_unmap_flush(cpu, &mut ubc).await;
        if page_mapped(cpu, page).await {
            return false;
        }
    }
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    // The swap cache or the file has a reference.
    let cached = flags.contains(PageFlags::SWAPCACHE) || !page_is_anon(cpu, page);
    page_count(cpu, page).await == 1 + u64::from(cached)
}
