//! When a page leaves the swap cache, so that its slot becomes free.

use super::device::{get_swap_device, put_swap_device};
use super::{__swap_count, page_swap_entry, swap_free};
use crate::folio::folio_mapcount;
use crate::kernel::Cpu;
use crate::ksm::page_is_ksm;
use crate::mm_types::Page;
use crate::page::{put_page, set_page_dirty_no_writeback, test_and_set_flags, unlock_page};
use crate::page_flags::PageFlags;
use crate::rmap::page_trans_huge_mapcount;
use crate::safeguards::SWAP_FREE_HOLDS_DEVICE;
use crate::swap_info::SWAP_HAS_CACHE;
use crate::swap_state::{delete_from_swap_cache, lookup_swap_cache, slots_of};
use crate::swapops::SwpEntry;

/// `free_swap_and_cache()`: an entry is gone. If it was the last one, the slot's page leaves the swap cache, unless somebody
/// maps it or has it locked.
pub(crate) async fn free_swap_and_cache(cpu: Cpu<'_>, entry: SwpEntry) {
    let _routine = cpu.enter("free_swap_and_cache");
    // Once the entry is gone, nothing but this keeps the area from being freed: somebody else may free the page in the meantime.
    let holds = cpu.has(SWAP_FREE_HOLDS_DEVICE);
    if holds && !get_swap_device(cpu).await {
        return;
    }
    if swap_free(cpu, entry).await == SWAP_HAS_CACHE {
        __try_to_reclaim_swap(cpu, entry).await;
    }
    if holds {
        put_swap_device(cpu).await;
    }
}

/// `__try_to_reclaim_swap()`: the page of a slot that no entry names.
async fn __try_to_reclaim_swap(cpu: Cpu<'_>, entry: SwpEntry) {
    let Some(page) = lookup_swap_cache(cpu, entry).await else { return };
    free_swap_cache(cpu, page).await;
    put_page(cpu, page).await;
}

/// `free_swap_cache()`: a page that nobody maps gives up its slot, if no entry names that.
pub(crate) async fn free_swap_cache(cpu: Cpu<'_>, page: Page) {
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    if !flags.contains(PageFlags::SWAPCACHE)
        || folio_is_mapped(cpu, page).await
        || !test_and_set_flags(cpu, page, PageFlags::LOCKED).await
    {
        return;
    }
    try_to_free_swap(cpu, page).await;
    unlock_page(cpu, page).await;
}

/// `folio_mapped()`.
async fn folio_is_mapped(cpu: Cpu<'_>, page: Page) -> bool {
    folio_mapcount(cpu, cpu.kernel.folio_of(page)).await != 0
}

/// `try_to_free_swap()`, since v6.0 `folio_free_swap()`: a page that is locked leaves the swap cache, if no entry names its slot. What it
/// holds is nowhere else then.
pub(crate) async fn try_to_free_swap(cpu: Cpu<'_>, page: Page) -> bool {
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    if !flags.contains(PageFlags::SWAPCACHE) || flags.contains(PageFlags::WRITEBACK) {
        return false;
    }
    let page = cpu.kernel.folio_of(page);
    let Some(entry) = page_swap_entry(cpu, page) else { return false };
    // folio_swapped()
    for (_, entry) in slots_of(cpu, page, entry) {
        if __swap_count(cpu, entry).await != 0 {
            return false;
        }
    }
    delete_from_swap_cache(cpu, page, entry).await;
    set_page_dirty_no_writeback(cpu, page).await;
    true
}

/// `reuse_swap_page()`, before v5.18: whether one entry of a page table alone leads to a page that is locked, be it by mapping it or
/// by naming its slot. Such a page leaves the swap cache. Who holds it otherwise is not asked.
pub(crate) async fn reuse_swap_page(cpu: Cpu<'_>, page: Page) -> bool {
    let _routine = cpu.enter("reuse_swap_page");
    // ksmd may have made it a merged page before it was locked.
    if page_is_ksm(cpu, page).await {
        return false;
    }
    let mapcount = page_trans_huge_mapcount(cpu, page).await;
    if !cpu.has_swap() {
        return mapcount <= 1;
    }
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    let entry = page_swap_entry(cpu, page).filter(|_| flags.contains(PageFlags::SWAPCACHE));
    let Some(entry) = entry else { return mapcount <= 1 };
    let count = mapcount + __swap_count(cpu, entry).await;
    if count == 1 && !flags.contains(PageFlags::WRITEBACK) {
        delete_from_swap_cache(cpu, page, entry).await;
        set_page_dirty_no_writeback(cpu, page).await;
    }
    count <= 1
}
