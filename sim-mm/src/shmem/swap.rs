//! Pages of shared memory in swap: the file has a slot of the swap area where it had a page.

use sim_mmu::Pfn;

use crate::check;
use crate::filemap::{add_to_page_cache, replace_page};
use crate::folio::{folio_mapcount, folio_nr_pages, is_large};
use crate::fs::Inode;
use crate::huge_memory::{Tails, split_folio};
use crate::hwpoison::page_hwpoison;
use crate::inode::i_size_read;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page::{lock_page, put_page, set_page_dirty_no_writeback, unlock_page, wait_on_page_writeback};
use crate::page_flags::PageFlags;
use crate::page_io::swap_writepage;
use crate::pagemap::{page_mapping, put_cache_references};
use crate::safeguards::{SHMEM_FREE_SWAP_SAME, SHMEM_SWAPIN_HOLDS_DEVICE, SHMEM_SWAPIN_RECHECK};
use crate::settings::{ShmemSwap, ShmemSwapin, Swap};
use crate::shmem_fs::{Cached, Pages};
use crate::swap_state::{
    add_to_swap, delete_from_swap_cache, lookup_swap_cache, read_swap_cache_async, read_swap_folio, slots_of,
};
use crate::swapfile::{
    free_swap_and_cache, get_swap_device, page_swap_entry, put_swap_device, swap_duplicate, swap_free,
};
use crate::swapops::SwpEntry;

/// `shmem_writepage()`, since v6.16 `shmem_writeout()`: a page that is locked, and that nobody maps, leaves its file for the swap cache, is
/// written to its slot, and is unlocked. False if it stays in the file, locked and dirty, because no slot is free.
///
/// The page is in the swap cache before the file has the slot in its place. So who finds the slot finds the page.
pub(crate) async fn shmem_writepage(cpu: Cpu<'_>, page: Page) -> bool {
    let _routine = cpu.enter("shmem_writepage");
    let Some((inode, _)) = page_mapping(cpu, page) else { return false };
    let may_go = !is_large(cpu, page) || Box::pin(large_may_go(cpu, inode, page)).await;
    let entry = if may_go && add_to_swap(cpu, page).await { page_swap_entry(cpu, page) } else { None };
    let Some(entry) = entry else {
        set_page_dirty_no_writeback(cpu, page).await;
        return false;
    };
    {
        let kernel: &Kernel = cpu.kernel;
        let _swaplist = cpu.down_write(kernel.shmem.swaplist_mutex).await;
        cpu.update(&kernel.shmem.swaplist, |list| {
            if !list.contains(&inode) {
                list.push(inode);
            }
        })
        .await;
        // swap_shmem_alloc(): who finds the slot in the file may free it at once.
        for (_, entry) in slots_of(cpu, page, entry) {
            swap_duplicate(cpu, entry).await;
        }
        // shmem_delete_from_page_cache()
        replace_page(cpu, inode, page, Some(entry)).await;
    }
    put_cache_references(cpu, page).await;
    let is_mapped = folio_mapcount(cpu, page).await != 0;
    cpu.vm_bug_on(is_mapped, "BUG_ON(folio_mapped(folio))");
    swap_writepage(cpu, page, entry).await;
    true
}

/// What `shmem_writepage()` asks of a large folio: whether it goes as it is, or has been split, so that its first page can go. Part of it may
/// lie behind the end of the file.
async fn large_may_go(cpu: Cpu<'_>, inode: Inode, head: Page) -> bool {
    let first = cpu.this_cpu_read(cpu.kernel.page(head).index());
    let end = i_size_read(cpu, inode).await;
    if cpu.setting::<ShmemSwap>() == ShmemSwap::Whole && end >= first + folio_nr_pages(cpu, head) {
        return true;
    }
    // Each of its pages has to be written.
    set_page_dirty_no_writeback(cpu, head).await;
    let split = split_folio(cpu, head, Tails::Listed).await.is_ok();
    if split {
        cpu.rmw(cpu.kernel.page_flags(head), |flags| flags - PageFlags::DIRTY).await;
    }
    split
}

/// What came of looking for a page that is in swap.
pub(super) enum Swapin {
    /// The page, which the file has again: locked, and with a reference.
    Page(Page),
    /// `-EEXIST`: the file has something else there by now.
    Changed,
    /// No frame is free.
    NoFrame,
    /// `-EIO`: what was in swap is lost, because the memory of the page is broken.
    Io,
}

/// `shmem_confirm_swap()`: whether the file still has this slot there.
async fn shmem_confirm_swap(cpu: Cpu<'_>, inode: Inode, index: u64, entry: SwpEntry) -> bool {
    let kernel: &Kernel = cpu.kernel;
    cpu.read(kernel.shmem.i_pages(inode), |pages| has_slot(pages, index, entry)).await
}

fn has_slot(pages: &Pages, index: u64, entry: SwpEntry) -> bool {
    matches!(pages.get(&index), Some(Cached::Swapped(slot, _)) if *slot == entry)
}

/// `xas_get_order()`: the order of the folio that went to swap, if the file has the slot there still. Read as a part of the step before.
fn swapped_order(cpu: Cpu<'_>, inode: Inode, index: u64) -> u8 {
    let kernel: &Kernel = cpu.kernel;
    match kernel.shmem.i_pages(inode).look(cpu.core).get(&index) {
        Some(Cached::Swapped(_, order)) => *order,
        _ => 0,
    }
}

/// `shmem_split_large_entry()`: the pages of a folio that is in swap come back one by one. False if the file has something else there by now.
pub(super) async fn shmem_split_large_entry(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    entry: SwpEntry,
    order: u8,
) -> bool {
    let kernel: &Kernel = cpu.kernel;
    let first = index & !((1 << order) - 1);
    cpu.update(kernel.shmem.i_pages(inode), |pages| {
        let is_there = has_slot(pages, index, entry);
        if is_there {
            for (_, has) in pages.range_mut(first..first + (1 << order)) {
                if let Cached::Swapped(_, order) = has {
                    *order = 0;
                }
            }
        }
        is_there
    })
    .await
}

/// `shmem_swapin_page()`, since v5.17 `shmem_swapin_folio()`: a page comes back from its slot to its file. `major` says whether it had to be
/// read.
pub(super) async fn shmem_swapin_folio(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    entry: SwpEntry,
    major: &mut bool,
) -> Swapin {
    // In a box of its own, since a machine without swap never comes here.
    Box::pin(async move {
        let _routine = cpu.enter("shmem_swapin_folio");
        // The slot is the file's, and may be taken out of it as soon as nobody looks. Then the area may be freed.
        let holds = cpu.has(SHMEM_SWAPIN_HOLDS_DEVICE);
        if holds && !get_swap_device(cpu).await {
            return Swapin::Changed;
        }
        let done = swapin(cpu, inode, index, entry, major).await;
        if holds {
            put_swap_device(cpu).await;
        }
        done
    })
    .await
}

async fn swapin(cpu: Cpu<'_>, inode: Inode, index: u64, entry: SwpEntry, major: &mut bool) -> Swapin {
    let order = swapped_order(cpu, inode, index);
    let found = match lookup_swap_cache(cpu, entry).await {
        Some(page) => Some(page),
        None => {
            *major = true;
            // shmem_swap_alloc_folio(), or shmem_swapin() of this page alone.
            let whole = order > 0
                && cpu.setting::<ShmemSwapin>() == ShmemSwapin::Folio
                && cpu.setting::<Swap>() == Swap::Sync;
            let nth = index & ((1 << order) - 1);
            let folio = if whole { read_swap_folio(cpu, SwpEntry(entry.0 - nth), order).await } else { None };
            match folio {
                Some(head) => Some(Page(Pfn(head.0.0 + nth))),
                None => read_swap_cache_async(cpu, entry).await.map(|(page, _)| page),
            }
        }
    };
    let Some(page) = found else {
        let is_there = shmem_confirm_swap(cpu, inode, index, entry).await;
        return if is_there { Swapin::NoFrame } else { Swapin::Changed };
    };
    // The folio, and the place and the slot of its first page.
    let head = cpu.kernel.folio_of(page);
    let nth = page.0.0 - head.0.0;
    let (first, first_entry) = (index - nth, SwpEntry(entry.0 - nth));
    let found_order = cpu.kernel.folio_order(head);
    if order > found_order && !shmem_split_large_entry(cpu, inode, index, entry, order).await {
        put_page(cpu, head).await;
        return Swapin::Changed;
    }
    lock_page(cpu, head).await;
    // It may have left the swap cache, or the file may have something else there, since it was looked for.
    let has_changed = async || {
        page_swap_entry(cpu, head) != Some(first_entry) || !shmem_confirm_swap(cpu, inode, index, entry).await
    };
    if check!(cpu, SHMEM_SWAPIN_RECHECK, has_changed().await) {
        return give_up(cpu, head).await;
    }
    if page_hwpoison(cpu, page).await {
        unlock_page(cpu, head).await;
        put_page(cpu, head).await;
        return Swapin::Io;
    }
    // The slot is about to be free, and whoever gets it next must not find there what a device writes late.
    wait_on_page_writeback(cpu, head).await;
    // Truncation takes the slot out of the file without the lock of the page.
    let expected = Cached::Swapped(first_entry, found_order);
    if !add_to_page_cache(cpu, inode, first, head, Some(expected)).await {
        return give_up(cpu, head).await;
    }
    delete_from_swap_cache(cpu, head, first_entry).await;
    // What it holds is nowhere else from now on.
    set_page_dirty_no_writeback(cpu, head).await;
    for (_, entry) in slots_of(cpu, head, first_entry) {
        swap_free(cpu, entry).await;
    }
    Swapin::Page(page)
}

async fn give_up(cpu: Cpu<'_>, page: Page) -> Swapin {
    unlock_page(cpu, page).await;
    put_page(cpu, page).await;
    Swapin::Changed
}

/// `shmem_free_swap()`: a page that is in swap is not needed any more. False if the file has something else there by now.
pub(crate) async fn shmem_free_swap(cpu: Cpu<'_>, inode: Inode, index: u64, entry: SwpEntry) -> bool {
    let kernel: &Kernel = cpu.kernel;
    let same_only = cpu.has(SHMEM_FREE_SWAP_SAME);
    // xa_cmpxchg(): no lock of a page keeps the slot there.
    let was_there = cpu
        .update(kernel.shmem.i_pages(inode), |pages| {
            let was_there = has_slot(pages, index, entry);
            if was_there || !same_only {
                pages.remove(&index);
            }
            was_there
        })
        .await;
    if !was_there && same_only {
        cpu.decided(SHMEM_FREE_SWAP_SAME);
        return false;
    }
    Box::pin(free_swap_and_cache(cpu, entry)).await;
    true
}

/// `shmem_swapin_range()`: what is in swap of pages `from` up to `to` is read into the swap cache. The file does not change.
pub(crate) async fn shmem_swapin_range(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    let kernel: &Kernel = cpu.kernel;
    let slot = |(_, has): (&u64, &Cached)| match has {
        Cached::Swapped(entry, _) => Some(*entry),
        Cached::Page(_) => None,
    };
    let slots: Vec<SwpEntry> =
        cpu.read(kernel.shmem.i_pages(inode), |pages| pages.range(from..to).filter_map(slot).collect()).await;
    for entry in slots {
        if !get_swap_device(cpu).await {
            return;
        }
        if let Some((page, _)) = read_swap_cache_async(cpu, entry).await {
            put_page(cpu, page).await;
        }
        put_swap_device(cpu).await;
    }
}
