//! Pages of shared memory in swap: the file has a slot of the swap area where it had a page.

use crate::check;
use crate::filemap::{add_to_page_cache, page_mapping, replace_page};
use crate::folio::page_mapcount;
use crate::fs::Inode;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page::{lock_page, put_page, set_page_dirty, unlock_page, wait_on_page_writeback};
use crate::page_io::swap_writepage;
use crate::safeguards::{SHMEM_FREE_SWAP_SAME, SHMEM_SWAPIN_HOLDS_DEVICE, SHMEM_SWAPIN_RECHECK};
use crate::shmem_fs::Cached;
use crate::swap_state::{add_to_swap, delete_from_swap_cache, lookup_swap_cache, read_swap_cache_async};
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
    let Some((inode, index)) = page_mapping(cpu, page) else { return false };
    let entry = if add_to_swap(cpu, page).await { page_swap_entry(cpu, page) } else { None };
    let Some(entry) = entry else {
        set_page_dirty(cpu, page).await;
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
        swap_duplicate(cpu, entry).await;
        // shmem_delete_from_page_cache()
        replace_page(cpu, inode, index, page, Some(entry)).await;
    }
    put_page(cpu, page).await;
    let is_mapped = page_mapcount(cpu, page).await != 0;
    cpu.vm_bug_on(is_mapped, "BUG_ON(folio_mapped(folio))");
    swap_writepage(cpu, page, entry).await;
    true
}

/// What came of looking for a page that is in swap.
pub(super) enum Swapin {
    /// The page, which the file has again: locked, and with a reference.
    Page(Page),
    /// `-EEXIST`: the file has something else there by now.
    Changed,
    /// No frame is free.
    NoFrame,
}

/// `shmem_confirm_swap()`: whether the file still has this slot there.
async fn shmem_confirm_swap(cpu: Cpu<'_>, inode: Inode, index: u64, entry: SwpEntry) -> bool {
    let kernel: &Kernel = cpu.kernel;
    cpu.read(kernel.shmem.i_pages(inode), |pages| pages.get(&index) == Some(&Cached::Swapped(entry))).await
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
    let found = match lookup_swap_cache(cpu, entry).await {
        Some(page) => Some(page),
        None => {
            *major = true;
            // shmem_swapin(), of this page alone.
            read_swap_cache_async(cpu, entry).await.map(|(page, _)| page)
        }
    };
    let Some(page) = found else {
        let is_there = shmem_confirm_swap(cpu, inode, index, entry).await;
        return if is_there { Swapin::NoFrame } else { Swapin::Changed };
    };
    lock_page(cpu, page).await;
    // It may have left the swap cache, or the file may have something else there, since it was looked for.
    let has_changed =
        async || page_swap_entry(cpu, page) != Some(entry) || !shmem_confirm_swap(cpu, inode, index, entry).await;
    if check!(cpu, SHMEM_SWAPIN_RECHECK, has_changed().await) {
        return give_up(cpu, page).await;
    }
    // The slot is about to be free, and whoever gets it next must not find there what a device writes late.
    wait_on_page_writeback(cpu, page).await;
    // Truncation takes the slot out of the file without the lock of the page.
    if !add_to_page_cache(cpu, inode, index, page, Some(Cached::Swapped(entry))).await {
        return give_up(cpu, page).await;
    }
    delete_from_swap_cache(cpu, page, entry).await;
    // What it holds is nowhere else from now on.
    set_page_dirty(cpu, page).await;
    swap_free(cpu, entry).await;
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
            let was_there = pages.get(&index) == Some(&Cached::Swapped(entry));
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
        Cached::Swapped(entry) => Some(*entry),
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
