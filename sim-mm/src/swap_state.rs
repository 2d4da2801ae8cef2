//! `mm/swap_state.c`: the swap cache, which has the pages of slots.
//!
//! A page that goes to swap is in the cache from the moment at which it gets its slot. So who finds an entry that names the slot
//! finds the page as well, and nothing has to be read. A page that is read in for several entries is in the cache for the others.

use sim_core::{Gate, Held, Op, OpKind, Routine};

use crate::event::Event;
use crate::filemap::filemap_get_entry;
use crate::folio::{folio_nr_pages, is_large};
use crate::fs::Inode;
use crate::gfp::Gfp;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{compound_head, page_cache_get_speculative, put_page, unlock_page};
use crate::page_alloc::{alloc_page, alloc_pages};
use crate::page_flags::PageFlags;
use crate::page_io::swap_readpage;
use crate::pagemap::{get_cache_references, put_cache_references};
use crate::shmem_fs::Cached;
use crate::swap::folio_add_lru;
use crate::swap_info::page_of_word;
use crate::swapfile::{
    NotPrepared, get_swap_device, get_swap_page, page_swap_entry, put_swap_device, put_swap_page,
    swapcache_prepare,
};
use crate::swapops::SwpEntry;

/// What the swap cache has of a slot now.
async fn cached(cpu: Cpu<'_>, entry: SwpEntry) -> Option<Page> {
    page_of_word(cpu.load(cpu.kernel.swap.slot(entry).cached()).await)
}

/// `lookup_swap_cache()`, since v6.0 `swap_cache_get_folio()`: the page of a slot, with a reference.
pub(crate) async fn lookup_swap_cache(cpu: Cpu<'_>, entry: SwpEntry) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("lookup_swap_cache"));
    loop {
        let page = cached(cpu, entry).await?;
        let head = if is_large(cpu, page) { compound_head(cpu, page).await } else { page };
        if !page_cache_get_speculative(cpu, head).await {
            // Whoever has frozen the page takes it out, or gives it its references back. Linux looks again until he has; here
            // that is waited for.
            drop(cpu.lock(cpu.kernel.swap.slot(entry).xa_lock()).await);
            continue;
        }
        // The folio may have been split before the reference was there.
        if cached(cpu, entry).await == Some(page) && cpu.kernel.folio_of(page) == head {
            return Some(page);
        }
        put_page(cpu, head).await;
    }
}

/// `find_get_incore_page()`, since v6.0 `filemap_get_incore_folio()`: the page of a file if it is in memory, be it in the swap cache, with a
/// reference.
pub(crate) async fn find_get_incore_page(cpu: Cpu<'_>, file: Inode, index: u64) -> Option<Page> {
    match filemap_get_entry(cpu, file, index).await? {
        Cached::Page(page) => Some(page),
        Cached::Swapped(entry, _) => {
            if !get_swap_device(cpu).await {
                return None;
            }
            let found = Box::pin(lookup_swap_cache(cpu, entry)).await;
            put_swap_device(cpu).await;
            found
        }
    }
}

/// Waits until the swap cache has a page of the slot, or does not have the slot any more.
pub(crate) async fn wait_for_swap_cache(cpu: Cpu<'_>, entry: SwpEntry) {
    let busy = cpu.kernel.swap.slot(entry).busy().loc();
    let wait = Op::new(OpKind::Wait, busy).behind(Gate::Zero(busy)).sleeping();
    cpu.step(wait, |hw| hw.perform_rmw(&wait, 0, 0)).await;
}

/// `add_to_swap_cache()`: a folio that is locked is the slots' from now on.
async fn add_to_swap_cache(cpu: Cpu<'_>, page: Page, entry: SwpEntry) {
    get_cache_references(cpu, page).await;
    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::SWAPCACHE).await;
    for (page, entry) in slots_of(cpu, page, entry) {
        cache_page(cpu, page, entry).await;
    }
}

/// The pages of a folio, each with its slot.
pub(crate) fn slots_of(
    cpu: Cpu<'_>,
    head: Page,
    first: SwpEntry,
) -> impl Iterator<Item = (Page, SwpEntry)> + use<> {
    cpu.kernel.folio_pages(head).zip(first.0..).map(|(page, slot)| (page, SwpEntry(slot)))
}

/// `xa_lock` of the slots of a folio, which is locked: look-ups of the swap cache that find a frozen page wait for it. In Linux one lock of
/// the tree of the area stands for these.
pub(crate) async fn lock_swap_cache(cpu: Cpu<'_>, head: Page) -> Vec<Held<'_>> {
    let mut held = Vec::new();
    if let Some(first) = page_swap_entry(cpu, head) {
        for (_, entry) in slots_of(cpu, head, first) {
            held.push(cpu.lock(cpu.kernel.swap.slot(entry).xa_lock()).await);
        }
    }
    held
}

async fn cache_page(cpu: Cpu<'_>, page: Page, entry: SwpEntry) {
    let slot = cpu.kernel.swap.slot(entry);
    cpu.this_cpu_write(cpu.kernel.page(page).private(), entry.0 + 1);
    let op = Op::new(OpKind::Rmw, slot.cached().loc());
    cpu.step(op, move |hw| {
        hw.perform_rmw(&op, hw.core.memory.get(op.loc), page.0.0 + 1);
        hw.core.memory.set(slot.busy().loc(), 0);
    })
    .await;
}

/// `add_to_swap()`: gives a folio that is locked slots. False if there is none. What the page holds is not in the slot yet.
pub(crate) async fn add_to_swap(cpu: Cpu<'_>, page: Page) -> bool {
    let _routine = cpu.enter("add_to_swap");
    let Some(entry) = get_swap_page(cpu, folio_nr_pages(cpu, page)).await else { return false };
    add_to_swap_cache(cpu, page, entry).await;
    true
}

/// `__delete_from_swap_cache()`: nobody finds the page by its slot any more. The reference of the cache is the caller's.
pub(crate) async fn __delete_from_swap_cache(cpu: Cpu<'_>, page: Page, entry: SwpEntry) {
    for (page, entry) in slots_of(cpu, page, entry) {
        let slot = cpu.kernel.swap.slot(entry);
        let op = Op::new(OpKind::Rmw, slot.cached().loc());
        cpu.step(op, move |hw| {
            hw.perform_rmw(&op, hw.core.memory.get(op.loc), 0);
            hw.core.memory.set(slot.busy().loc(), 1);
        })
        .await;
        cpu.this_cpu_write(cpu.kernel.page(page).private(), 0);
    }
    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::SWAPCACHE).await;
}

/// `delete_from_swap_cache()`, of a page that is locked.
pub(crate) async fn delete_from_swap_cache(cpu: Cpu<'_>, page: Page, entry: SwpEntry) {
    let _routine = cpu.enter("delete_from_swap_cache");
    __delete_from_swap_cache(cpu, page, entry).await;
    put_swap_pages(cpu, page, entry).await;
    put_cache_references(cpu, page).await;
}

/// `put_swap_page()` of all slots of a folio.
pub(crate) async fn put_swap_pages(cpu: Cpu<'_>, head: Page, first: SwpEntry) {
    for (_, entry) in slots_of(cpu, head, first) {
        put_swap_page(cpu, entry).await;
    }
}

/// A page that is locked and will be read into: nobody knows it yet.
pub(crate) async fn alloc_swap_page(cpu: Cpu<'_>) -> Option<Page> {
    let page = alloc_page(cpu).await?;
    lock_new_swap_folio(cpu, page);
    Some(page)
}

/// `__folio_set_locked()`, `__folio_set_swapbacked()`: of a folio that nobody knows yet.
pub(crate) fn lock_new_swap_folio(cpu: Cpu<'_>, head: Page) {
    let word = cpu.kernel.page_flags(head);
    cpu.this_cpu_write(word, cpu.this_cpu_read(word) | PageFlags::LOCKED | PageFlags::SWAPBACKED);
    cpu.note(Event::PageLocked { pfn: head.0 });
}

/// `read_swap_cache_async()`: the page of a slot, with a reference: from the cache, or read into a new page that goes there. The flag says
/// that it was read. `None` if the slot is free by now, or no frame is.
pub(crate) async fn read_swap_cache_async(cpu: Cpu<'_>, entry: SwpEntry) -> Option<(Page, bool)> {
    let _routine = cpu.enter("read_swap_cache_async");
    loop {
        if let Some(page) = lookup_swap_cache(cpu, entry).await {
            return Some((page, false));
        }
        let page = alloc_swap_page(cpu).await?;
        match swapcache_prepare(cpu, entry, 1).await {
            Ok(()) => {
                add_to_swap_cache(cpu, page, entry).await;
                folio_add_lru(cpu, page).await;
                swap_readpage(cpu, page, entry).await;
                unlock_page(cpu, page).await;
                return Some((page, true));
            }
            Err(why) => {
                put_page(cpu, page).await;
                if why == NotPrepared::Free {
                    return None;
                }
                wait_for_swap_cache(cpu, entry).await;
            }
        }
    }
}

/// The same of slots in a row, for which the swap cache has nothing: a folio of that order, unlocked and with a reference. `None` if somebody
/// else has one of the slots, or there is no memory.
pub(crate) async fn read_swap_folio(cpu: Cpu<'_>, first: SwpEntry, order: u8) -> Option<Page> {
    let head = alloc_pages(cpu, order, Gfp::COMP | Gfp::NOWAIT).await?;
    lock_new_swap_folio(cpu, head);
    if swapcache_prepare(cpu, first, 1 << order).await.is_err() {
        unlock_page(cpu, head).await;
        put_page(cpu, head).await;
        return None;
    }
    add_to_swap_cache(cpu, head, first).await;
    folio_add_lru(cpu, head).await;
    for (page, entry) in slots_of(cpu, head, first) {
        swap_readpage(cpu, page, entry).await;
    }
    unlock_page(cpu, head).await;
    Some(head)
}
