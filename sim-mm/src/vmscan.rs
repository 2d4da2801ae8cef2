//! `mm/vmscan.c`: taking pages away from those who have not used them lately.

use std::collections::VecDeque;

use sim_core::{BoxFuture, Op, OpKind, Routine};

use crate::check;
use crate::event::{Event, RefChange};
use crate::filemap::{note_dropped, replace_page};
use crate::folio::{folio_entire_mapcount, folio_nr_pages, is_large, page_is_anon};
use crate::huge_memory::{Tails, can_split_folio, deferred_split_scan, shrink_huge_zero_page_scan, split_folio};
use crate::inode::on_disk;
use crate::kernel::{Cpu, Kernel};
use crate::ksm::page_is_ksm;
use crate::mm_types::Page;
use crate::page::{
    page_count, page_maybe_dma_pinned, page_ref_freeze, page_ref_unfreeze, set_page_dirty_no_writeback,
    test_and_set_flags, unlock_page,
};
use crate::page_alloc::{compound_order, free_the_page};
use crate::page_flags::PageFlags;
use crate::page_io::swap_writepage;
use crate::pagemap::{disk_mapping, page_mapping};
use crate::release::Release;
use crate::rmap::{
    Mlocked, RmapLock, Ttu, page_mapped, page_referenced, try_to_unmap, try_to_unmap_flush,
    try_to_unmap_flush_dirty,
};
use crate::safeguards::{REMOVE_CHECK_DIRTY, REMOVE_REF_THEN_DIRTY, UNMAP_FLUSH_DIRTY};
use crate::settings::{ReclaimSplit, Swap, ThpSwap};
use crate::shmem::shmem_writepage;
use crate::swap::{isolate_lru_page, lru_add_drain, putback_lru_page};
use crate::swap_state::{__delete_from_swap_cache, add_to_swap, put_swap_pages, slots_of};
use crate::swapfile::{page_swap_entry, try_to_free_swap};
use crate::tlb_types::TlbUbc;
use crate::vmscan_disk::{Dirty, Reclaimer, pageout_to_disk, what_of_dirty};

/// Whom reclaim spares: `ignore_references` of `shrink_page_list()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spare {
    /// Pages that were accessed since reclaim looked last.
    Young,
    /// None: somebody said that the pages are not needed.
    None,
}

/// `reclaim_pages()`: pages that were taken off their lists go out, or back.
pub(crate) async fn reclaim_pages(cpu: Cpu<'_>, pages: Vec<Page>) {
    for page in &pages {
        cpu.rmw(cpu.kernel.page_flags(*page), |flags| flags - PageFlags::ACTIVE).await;
    }
    shrink_page_list(cpu, pages, Spare::None, Reclaimer::Caller).await;
}

/// What becomes of a page that reclaim looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nobody has it any more, and the count is frozen: it is freed behind the next flush.
    Free,
    /// `keep`, `keep_locked`: it goes back to its list.
    Keep,
    /// `activate_locked`: it goes back, and is tried later than others.
    Activate,
}

/// `shrink_page_list()`, since v6.0 `shrink_folio_list()`: writes out and frees what can be freed; answers how many pages were. The
/// others go back to their lists.
async fn shrink_page_list(cpu: Cpu<'_>, pages: Vec<Page>, spare: Spare, who: Reclaimer) -> u64 {
    let _routine = cpu.enter("shrink_page_list");
    let mut ubc = TlbUbc::default();
    let (mut free, mut back) = (Vec::new(), Vec::new());
    let mut pages = VecDeque::from(pages);
    while let Some(page) = pages.pop_front() {
        if !test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
            back.push(page);
            continue;
        }
        let (fate, locked) = {
            let mut tails = Vec::new();
            let done = shrink_page(cpu, page, &mut ubc, (spare, who), &mut tails).await;
            // They were on the list of pages as well.
            pages.extend(tails);
            done
        };
        if fate == Fate::Activate {
            cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::ACTIVE).await;
        }
        if locked {
            unlock_page(cpu, page).await;
        }
        match fate {
            Fate::Free => free.push(page),
            Fate::Keep | Fate::Activate => back.push(page),
        }
    }
    // Before anybody can have them again, no translation leads to them any more.
    try_to_unmap_flush(cpu, &mut ubc).await;
    let reclaimed = free.iter().map(|page| folio_nr_pages(cpu, *page)).sum();
    for page in free {
        free_the_page(cpu, page, compound_order(cpu, page)).await;
    }
    for page in back {
        putback_lru_page(cpu, page).await;
    }
    reclaimed
}

/// One round of `shrink_page_list()`, of a folio that is locked; also answers whether it still is. If it is split, then its `tails` are to be
/// looked at as well.
async fn shrink_page(
    cpu: Cpu<'_>,
    page: Page,
    ubc: &mut TlbUbc,
    (spare, who): (Spare, Reclaimer),
    tails: &mut Vec<Page>,
) -> (Fate, bool) {
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    if flags.intersects(PageFlags::UNEVICTABLE | PageFlags::WRITEBACK) {
        return (Fate::Activate, true);
    }
    if page_is_ksm(cpu, page).await || cpu.kernel.is_secret(page) {
        return (Fate::Activate, true);
    }
    if spare == Spare::Young
        && let Some(fate) = page_check_references(cpu, page).await
    {
        return (fate, true);
    }
    let is_anon = page_is_anon(cpu, page);
    if is_anon && flags.contains(PageFlags::SWAPBACKED) && !flags.contains(PageFlags::SWAPCACHE) {
        if page_maybe_dma_pinned(cpu, page).await {
            return (Fate::Keep, true);
        }
        if !add_folio_to_swap(cpu, page, tails).await {
            return (Fate::Activate, true);
        }
        // It may be clean, if MADV_FREE was at it and has not got as far as its list. What it holds is nowhere else all the same.
        set_page_dirty_no_writeback(cpu, page).await;
    }
    if page_mapped(cpu, page).await {
        try_to_unmap(cpu, page, RmapLock::OfMapped, Ttu::batched(Mlocked::Stays), ubc).await;
        if page_mapped(cpu, page).await {
            return (Fate::Activate, true);
        }
    }
    // Nobody can pin it any more.
    if page_maybe_dma_pinned(cpu, page).await {
        return (Fate::Activate, true);
    }
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    if flags.contains(PageFlags::DIRTY) {
        match what_of_dirty(cpu, page, flags, who).await {
            Dirty::Keep => return (Fate::Keep, true),
            Dirty::Activate => return (Fate::Activate, true),
            Dirty::Write => {}
        }
        if cpu.has(UNMAP_FLUSH_DIRTY) {
            try_to_unmap_flush_dirty(cpu, ubc).await;
        }
        match pageout(cpu, page).await {
            Pageout::Keep => return (Fate::Keep, true),
            Pageout::Activate => return (Fate::Activate, true),
            Pageout::Clean => {}
            Pageout::Success => {
                let busy = PageFlags::WRITEBACK | PageFlags::DIRTY;
                let is_busy = async || cpu.load(cpu.kernel.page_flags(page)).await.intersects(busy);
                // A device that is not synchronous is not done yet.
                if cpu.setting::<Swap>() == Swap::Async
                    || is_busy().await
                    || !test_and_set_flags(cpu, page, PageFlags::LOCKED).await
                {
                    return (Fate::Keep, false);
                }
                if is_busy().await {
                    return (Fate::Keep, true);
                }
            }
        }
    }
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    let freed = if !is_anon || flags.contains(PageFlags::SWAPBACKED) {
        __remove_mapping(cpu, page).await
    } else {
        // It was given up: the reference that keeps it off its list is the last one.
        page_ref_freeze(cpu, page, 1).await
    };
    (if freed { Fate::Free } else { Fate::Keep }, true)
}

/// `add_to_swap()`: a large folio gets slots in a row, or is split, and its first page gets one.
async fn add_folio_to_swap(cpu: Cpu<'_>, page: Page, tails: &mut Vec<Page>) -> bool {
    if !is_large(cpu, page) {
        return add_to_swap(cpu, page).await;
    }
    Box::pin(async move {
        // Somebody else has a reference, so that it could not be split, and could not go in the end.
        if !can_split_folio(cpu, page).await {
            return false;
        }
        let whole = cpu.setting::<ThpSwap>() == ThpSwap::Whole && !splits_right_away(cpu, page).await;
        if whole && add_to_swap(cpu, page).await {
            return true;
        }
        split_folio(cpu, page, Tails::Taken(tails)).await.is_ok() && add_to_swap(cpu, page).await
    })
    .await
}

/// Whether a folio is split before it is written: then pages that nobody maps are free, and need not be written.
async fn splits_right_away(cpu: Cpu<'_>, head: Page) -> bool {
    match cpu.setting::<ReclaimSplit>() {
        ReclaimSplit::Unmapped => folio_entire_mapcount(cpu, head).await == 0,
        ReclaimSplit::Queued => cpu.load(cpu.kernel.page(head).deferred()).await,
    }
}

/// `page_check_references()`: a page that was accessed lately stays. `None` if it need not.
async fn page_check_references(cpu: Cpu<'_>, page: Page) -> Option<Fate> {
    let referenced = page_referenced(cpu, page).await;
    let was = cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::REFERENCED).await;
    if referenced.locked {
        return Some(Fate::Activate);
    }
    if referenced.entries == 0 {
        return None;
    }
    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::REFERENCED).await;
    let often = was.contains(PageFlags::REFERENCED) || referenced.entries > 1;
    Some(if often { Fate::Activate } else { Fate::Keep })
}

/// `pageout_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pageout {
    /// `PAGE_KEEP`: it stays, and is locked still.
    Keep,
    /// `PAGE_ACTIVATE`: it has to stay for some time, and is locked still.
    Activate,
    /// `PAGE_SUCCESS`: it was sent to the device, and is unlocked.
    Success,
    /// `PAGE_CLEAN`: nothing has to be written, and it is locked still.
    Clean,
}

/// `pageout()`: writes a page to its slot, if nobody but reclaim and the swap cache, or its file, has a reference.
async fn pageout(cpu: Cpu<'_>, page: Page) -> Pageout {
    let _routine = cpu.enter("pageout");
    // is_page_cache_freeable()
    if page_count(cpu, page).await != 1 + folio_nr_pages(cpu, page) {
        return Pageout::Keep;
    }
    let is_cached = page_swap_entry(cpu, page).is_some();
    if !is_cached && page_mapping(cpu, page).is_none() {
        // It was truncated.
        return Pageout::Keep;
    }
    if let Some(at) = disk_mapping(cpu, page) {
        let written = Box::pin(pageout_to_disk(cpu, page, at)).await;
        return if written { Pageout::Success } else { Pageout::Clean };
    }
    // clear_page_dirty_for_io()
    let old = cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::DIRTY).await;
    if !old.contains(PageFlags::DIRTY) {
        return Pageout::Clean;
    }
    if !is_cached {
        cpu.kernel.folio_pages(page).for_each(|page| cpu.note(Event::PageCleaned { pfn: page.0 }));
        // In a box of its own, since few pages are shared.
        let written = Box::pin(shmem_writepage(cpu, page)).await;
        return if written { Pageout::Success } else { Pageout::Activate };
    }
    // swap_writepage() begins with this: if no entry names the slot any more, nobody wants the page back.
    match page_swap_entry(cpu, page) {
        Some(entry) if !try_to_free_swap(cpu, page).await => {
            cpu.kernel.folio_pages(page).for_each(|page| cpu.note(Event::PageCleaned { pfn: page.0 }));
            swap_writepage(cpu, page, entry).await;
        }
        _ => {
            unlock_page(cpu, page).await;
        }
    }
    Pageout::Success
}

/// `__remove_mapping()`: the swap cache or its file has the page no more, if nobody else has a reference. Its count is frozen then.
///
/// Who has a reference may make the page dirty and then put it. So the count is looked at first, and the flag behind it.
async fn __remove_mapping(cpu: Cpu<'_>, page: Page) -> bool {
    let _routine = cpu.enter("__remove_mapping");
    let entry = page_swap_entry(cpu, page);
    let file = page_mapping(cpu, page);
    let kernel: &Kernel = cpu.kernel;
    let mut xa_locks = Vec::new();
    match (entry, file) {
        (Some(entry), _) => {
            for (_, entry) in slots_of(cpu, page, entry) {
                xa_locks.push(cpu.lock(kernel.swap.slot(entry).xa_lock()).await);
            }
        }
        (None, Some((inode, _))) => xa_locks.push(cpu.lock(kernel.shmem.xa_lock(inode)).await),
        (None, None) => return false,
    }
    let is_dirty = async || cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::DIRTY);
    // The caller's reference, and those of the cache.
    let count = 1 + folio_nr_pages(cpu, page);
    let early = if cpu.has(REMOVE_REF_THEN_DIRTY) { None } else { Some(is_dirty().await) };
    if !page_ref_freeze(cpu, page, count).await {
        return false;
    }
    let dirty = async || match early {
        Some(dirty) => dirty,
        None => is_dirty().await,
    };
    if check!(cpu, REMOVE_CHECK_DIRTY, dirty().await) {
        page_ref_unfreeze(cpu, page, count).await;
        return false;
    }
    if let Some(entry) = entry {
        __delete_from_swap_cache(cpu, page, entry).await;
        put_swap_pages(cpu, page, entry).await;
    } else if let Some((inode, index)) = file {
        if on_disk(cpu, inode) {
            note_dropped(cpu, inode, index, page);
        }
        // What was never written is zero again when it is needed, and what is on the disk is read.
        replace_page(cpu, inode, page, None).await;
    }
    true
}

/// `isolate_lru_pages()`, one page of it: any that is on the list of those to try, or on that of the `active` ones. `None` if there is none.
async fn isolate_one(cpu: Cpu<'_>, active: bool) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("isolate_lru_pages"));
    let op = Op::new(OpKind::Rmw, cpu.kernel.lru_lock);
    cpu.step(op, move |hw| {
        let memory = &hw.core.memory;
        hw.perform_rmw(&op, memory.get(op.loc), memory.get(op.loc) + 1);
        let flags = |page: Page| PageFlags::from_bits_retain(memory.get(cpu.kernel.page_flags(page).loc()));
        let (list, skipped) = if active {
            (PageFlags::LRU | PageFlags::ACTIVE, PageFlags::UNEVICTABLE)
        } else {
            (PageFlags::LRU, PageFlags::ACTIVE | PageFlags::UNEVICTABLE)
        };
        // can_reclaim_anon_pages(), and nr_swap_pages before v3.8: without swap only the list of files is looked at.
        let passed_over = if cpu.has_swap() { skipped } else { skipped | PageFlags::SWAPBACKED };
        let inactive = cpu.kernel.mem_map.pfns().map(Page).filter(|page| {
            flags(*page).contains(list)
                && !flags(*page).intersects(passed_over)
                && memory.get(cpu.kernel.refcount(*page).loc()) != 0
        });
        let inactive: Vec<Page> = inactive.collect();
        if inactive.is_empty() {
            return None;
        }
        let page = inactive[hw.core.choose_value("page to reclaim", inactive.len())];
        let word = cpu.kernel.page_flags(page).loc();
        memory.set(word, (flags(page) - PageFlags::LRU).bits());
        let count = cpu.kernel.refcount(page).loc();
        let old = memory.get(count);
        memory.set(count, old + 1);
        cpu.note(Event::RefChanged { pfn: page.0, how: RefChange::Speculative, old, new: old + 1 });
        Some(page)
    })
    .await
}

/// `shrink_inactive_list()`, as kswapd does it: up to so many pages of the list of those to try, whosever they are. Then what is not on such
/// a list. Answers how many were freed.
pub fn shrink_inactive_list(cpu: Cpu<'_>, pages: u64, spare: Spare) -> BoxFuture<'_, u64> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("shrink_inactive_list"));
        lru_add_drain(cpu).await;
        let mut taken = Vec::new();
        while (taken.len() as u64) < pages
            && let Some(page) = isolate_one(cpu, false).await
        {
            taken.push(page);
        }
        shrink_page_list(cpu, taken, spare, Reclaimer::Kswapd).await + shrink_slab(cpu).await
    })
}

/// `shrink_active_list()`, as kswapd does it: up to so many pages that were used often are tried by reclaim from now on. Answers how many.
/// That code which is run stays active is not modelled.
pub fn shrink_active_list(cpu: Cpu<'_>, pages: u64) -> BoxFuture<'_, u64> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("shrink_active_list"));
        lru_add_drain(cpu).await;
        let mut done = 0;
        while done < pages
            && let Some(page) = isolate_one(cpu, true).await
        {
            // folio_referenced(): before v6.19 a page of private memory need not be locked for that.
            let unlocked = cpu.kernel.config.kernel.version < Release::v(6, 19)
                && page_is_anon(cpu, page)
                && !page_is_ksm(cpu, page).await;
            let head = cpu.kernel.folio_of(page);
            if unlocked {
                page_referenced(cpu, page).await;
            } else if test_and_set_flags(cpu, head, PageFlags::LOCKED).await {
                page_referenced(cpu, page).await;
                unlock_page(cpu, head).await;
            }
            cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::ACTIVE).await;
            putback_lru_page(cpu, page).await;
            done += 1;
        }
        done
    })
}

/// `shrink_slab()`, which reclaim calls behind its lists: what the kernel keeps for itself, and can do without. Answers how many frames are free
/// for it.
async fn shrink_slab(cpu: Cpu<'_>) -> u64 {
    // deferred_split_count()
    if cpu.this_cpu_read(cpu.kernel.split_queue.len) > 0 {
        Box::pin(deferred_split_scan(cpu)).await;
    }
    match cpu.kernel.huge_zero_page() {
        Some(_) => Box::pin(shrink_huge_zero_page_scan(cpu)).await,
        None => 0,
    }
}

/// Takes a page that somebody says is not needed off its list, if it is on one and may be reclaimed.
pub(crate) async fn isolate_for_reclaim(cpu: Cpu<'_>, page: Page) -> bool {
    if !isolate_lru_page(cpu, page).await {
        return false;
    }
    if cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::UNEVICTABLE) {
        putback_lru_page(cpu, page).await;
        return false;
    }
    true
}
