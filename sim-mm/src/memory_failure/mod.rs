//! `mm/memory-failure.c`: memory is broken, and the page that is there has to go.
//!
//! Whoever comes to the page from then on is told, and gets no page. `memory_failure()` marks the page first, so that each page is dealt
//! with once. It then takes it away from those who map it, and from its file. Its own reference it keeps for ever, so that nobody ever frees
//! the frame. That nobody else has one is what it asks last: only then does it say that all went well.
//!
//! Not modelled: who is told by a signal before he comes to the page; pages of a device; `MADV_SOFT_OFFLINE`.

mod hugetlb;
mod state;

use sim_core::Routine;
use sim_mmu::VirtAddr;

use crate::check;
use crate::errno::Errno;
use crate::event::Event;
use crate::folio::{folio_nr_pages, is_large, page_is_anon};
use crate::huge_memory::{Tails, split_folio};
use crate::hwpoison::page_hwpoison;
use crate::kernel::Cpu;
use crate::ksm::page_is_ksm;
use crate::mm_types::Page;
use crate::page::{compound_head, get_page_unless_zero, lock_page, put_page, unlock_page, wait_on_page_writeback};
use crate::page_flags::PageFlags;
use crate::pagemap::{disk_mapping, page_mapping};
use crate::rmap::{Poison, RmapLock, Ttu, page_mapped, page_mkclean, try_to_unmap};
use crate::safeguards::{
    HWPOISON_KEEPS_REFERENCE, HWPOISON_PUTS_AGAIN, HWPOISON_TEST_SET, HWPOISON_WAIT_WRITEBACK,
};
use crate::settings::{HwpoisonAgain, HwpoisonShmem, HwpoisonThp, MemoryFailureLock};
use crate::swap::{isolate_lru_page, lru_add_drain_all};
use crate::swap_state::delete_from_swap_cache;
use crate::swapfile::page_swap_entry;
use crate::tlb_types::TlbUbc;
use crate::truncate::generic_error_remove_page;

use hugetlb::try_memory_failure_hugetlb;
use state::{Contained, Counted, MfResult, note_kept, page_action, told_again};

/// `madvise_inject_error()` with `MADV_HWPOISON`: the page at each address counts as broken. Of a huge page only the one at the address does.
///
/// # Errors
/// `EINVAL` of a kernel without `memory_failure()`, `EFAULT` where there is no page, `EBUSY` if a page could not be dealt with; pages behind
/// it are not looked at.
pub(crate) async fn madvise_inject_error(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
    let _routine = cpu.enter("madvise_inject_error");
    if !cpu.kernel.has_memory_failure() {
        return Err(Errno::Einval);
    }
    let mut at = start;
    while at < end {
        let page = (cpu.kernel.gup.get_user_page_fast)(cpu, at).await?;
        at = at.plus_pages(folio_nr_pages(cpu, cpu.kernel.folio_of(page)));
        if cpu.setting::<HwpoisonAgain>() == HwpoisonAgain::Skipped && page_hwpoison(cpu, page).await {
            put_page(cpu, page).await;
            continue;
        }
        let counted = if cpu.has(HWPOISON_KEEPS_REFERENCE) {
            Counted::Increased
        } else {
            // From here on the frame may be free, and somebody else's.
            put_page(cpu, page).await;
            Counted::No
        };
        memory_failure(cpu, page, counted).await?;
    }
    Ok(())
}

/// `memory_failure()`.
async fn memory_failure(cpu: Cpu<'_>, p: Page, counted: Counted) -> Result<(), Errno> {
    let _routine = cpu.enter(Routine::system_call("memory_failure"));
    if cpu.kernel.is_zone_device(p.0) {
        cpu.not_modelled("broken memory of a device");
        if counted == Counted::Increased {
            put_page(cpu, p).await;
        }
        return Err(Errno::Ebusy);
    }
    let _mf_mutex = match cpu.setting::<MemoryFailureLock>() {
        MemoryFailureLock::None => None,
        MemoryFailureLock::Mutex => Some(cpu.down_write(cpu.kernel.mf_mutex).await),
    };
    if cpu.kernel.has_hugetlb()
        && let Some(done) = Box::pin(try_memory_failure_hugetlb(cpu, p, counted)).await
    {
        return done;
    }
    if !test_set_page_hwpoison(cpu, p, counted).await {
        if counted == Counted::Increased && cpu.has(HWPOISON_PUTS_AGAIN) {
            put_page(cpu, p).await;
        }
        return told_again(cpu);
    }
    if counted == Counted::No && !get_hwpoison_page(cpu, p).await {
        // It is a free one, which the allocator passes over from now on, or somebody is just freeing it.
        return if cpu.kernel.is_free(p) { Ok(()) } else { Err(Errno::Ebusy) };
    }
    // The reference keeps the folio from being split by others.
    let head = compound_head(cpu, p).await;
    if is_large(cpu, head) {
        try_to_split_thp_page(cpu, p, head).await?;
    }
    // shake_page(): a page that waits in a batch is on no list yet.
    lru_add_drain_all(cpu).await;
    lock_page(cpu, p).await;
    let contained = contain(cpu, p).await;
    unlock_page(cpu, p).await;
    page_action(cpu, p, contained).await
}

/// `TestSetPageHWPoison()`: false if somebody was told of the page before. What the caller handed over is kept from this moment on.
async fn test_set_page_hwpoison(cpu: Cpu<'_>, p: Page, counted: Counted) -> bool {
    let mark = match counted {
        Counted::Increased => PageFlags::HWPOISON | PageFlags::HWPOISON_KEPT,
        Counted::No => PageFlags::HWPOISON,
    };
    // Of the very page: the others of its folio are all right.
    let old = cpu.rmw(cpu.kernel.own_flags(p), move |flags| flags | mark).await;
    cpu.note(Event::FrameBroken { pfn: p.0 });
    !check!(cpu, HWPOISON_TEST_SET, old.contains(PageFlags::HWPOISON))
}

/// `get_hwpoison_page()`: a reference, if anybody has one. The page may become a part of another folio, or free, before that.
async fn get_hwpoison_page(cpu: Cpu<'_>, p: Page) -> bool {
    let _routine = cpu.enter(Routine::helper("get_hwpoison_page"));
    let head = compound_head(cpu, p).await;
    if !get_page_unless_zero(cpu, head).await {
        return false;
    }
    if compound_head(cpu, p).await != head {
        put_page(cpu, head).await;
        return false;
    }
    note_kept(cpu, p, true);
    true
}

/// `try_to_split_thp_page()`: the page is one by itself from now on. If that cannot be, then the folio stays as it is, and the reference is
/// given up.
async fn try_to_split_thp_page(cpu: Cpu<'_>, p: Page, head: Page) -> Result<(), Errno> {
    let _routine = cpu.enter("try_to_split_thp_page");
    let design = cpu.setting::<HwpoisonThp>();
    lock_page(cpu, head).await;
    let mut pages = vec![head];
    let may_be_split = design == HwpoisonThp::All || page_is_anon(cpu, head);
    let is_split = may_be_split && split_folio(cpu, head, Tails::Taken(&mut pages)).await.is_ok();
    unlock_page(cpu, head).await;
    if !is_split {
        if design == HwpoisonThp::Clears {
            cpu.rmw(cpu.kernel.own_flags(p), |flags| flags - PageFlags::HWPOISON).await;
        }
        note_kept(cpu, p, false);
        put_page(cpu, head).await;
        return Err(Errno::Ebusy);
    }
    // The reference that was one to the folio is one to the page.
    for other in pages.into_iter().filter(|page| *page != p) {
        put_page(cpu, other).await;
    }
    Ok(())
}

/// The part of `memory_failure()` with the page locked: it is mapped nowhere when this returns, and left to whom its flags say.
async fn contain(cpu: Cpu<'_>, p: Page) -> Contained {
    let flags = cpu.load(cpu.kernel.page_flags(p)).await;
    if !flags.intersects(PageFlags::LRU | PageFlags::WRITEBACK) {
        return identify_page_state(cpu, p, flags).await;
    }
    // What the device is writing must not leave its file meanwhile.
    if cpu.has(HWPOISON_WAIT_WRITEBACK) {
        wait_on_page_writeback(cpu, p).await;
    }
    if !hwpoison_user_mappings(cpu, p).await {
        return Contained::as_told(MfResult::Ignored);
    }
    // The lock may have come after a truncation.
    let now = cpu.load(cpu.kernel.page_flags(p)).await;
    let is_cached = now.contains(PageFlags::SWAPCACHE);
    if now.contains(PageFlags::LRU) && !is_cached && cpu.load(cpu.kernel.page(p).mapping()).await == 0 {
        return Contained::as_told(MfResult::Ignored);
    }
    identify_page_state(cpu, p, flags).await
}

/// `hwpoison_user_mappings()`: whether nobody maps the page any more. Entries say that it is broken, if what it held is lost.
async fn hwpoison_user_mappings(cpu: Cpu<'_>, p: Page) -> bool {
    let _routine = cpu.enter("hwpoison_user_mappings");
    if !page_mapped(cpu, p).await {
        return true;
    }
    if page_is_ksm(cpu, p).await {
        return false;
    }
    let flags = cpu.load(cpu.kernel.page_flags(p)).await;
    let mut poison = Poison::Left;
    if flags.contains(PageFlags::SWAPCACHE) {
        // The page stays in the cache, where a fault finds it. If it is clean it goes, and what the slot has is good.
        poison = Poison::Ignored;
    }
    if !flags.contains(PageFlags::DIRTY) && disk_mapping(cpu, p).is_some() {
        // An entry may know that the page is dirty, and then what it held is lost.
        if page_mkclean(cpu, p).await {
            cpu.rmw(cpu.kernel.page_flags(p), |flags| flags | PageFlags::DIRTY).await;
        } else {
            poison = Poison::Ignored;
        }
    }
    try_to_unmap(cpu, p, RmapLock::OfMapped, Ttu::memory_failure(poison), &mut TlbUbc::default()).await;
    !page_mapped(cpu, p).await
}

/// `identify_page_state()`: what is done about a page that nobody maps. If its flags do not say it any more, those that it had do.
async fn identify_page_state(cpu: Cpu<'_>, p: Page, had: PageFlags) -> Contained {
    let now = cpu.load(cpu.kernel.page_flags(p)).await;
    match me_of(cpu, p, now, now).await {
        Some(done) => done,
        None => {
            let had = had | now & PageFlags::DIRTY;
            me_of(cpu, p, had, now).await.unwrap_or(Contained::as_told(MfResult::Failed))
        }
    }
}

/// `error_states`: the first row that fits flags.
async fn me_of(cpu: Cpu<'_>, p: Page, flags: PageFlags, now: PageFlags) -> Option<Contained> {
    let listed = PageFlags::MLOCKED | PageFlags::UNEVICTABLE | PageFlags::LRU;
    match () {
        // me_kernel()
        () if p == cpu.kernel.zero_page => Some(Contained::as_told(MfResult::Ignored)),
        () if flags.contains(PageFlags::SWAPCACHE | PageFlags::SWAPBACKED) => {
            Some(me_swapcache(cpu, p, flags.contains(PageFlags::DIRTY)).await)
        }
        () if flags.intersects(listed) => Some(me_pagecache(cpu, p, flags | now & PageFlags::DIRTY).await),
        // me_unknown()
        () => None,
    }
}

/// `me_swapcache_dirty()`, `me_swapcache_clean()`.
async fn me_swapcache(cpu: Cpu<'_>, p: Page, dirty: bool) -> Contained {
    if dirty {
        let _routine = cpu.enter("me_swapcache_dirty");
        // It is never written.
        let gone = PageFlags::DIRTY | PageFlags::UPTODATE;
        cpu.rmw(cpu.kernel.page_flags(p), move |flags| flags - gone).await;
        delete_from_lru_cache(cpu, p).await;
        return Contained { result: MfResult::Delayed, caches: 1 };
    }
    let _routine = cpu.enter("me_swapcache_clean");
    if let Some(entry) = page_swap_entry(cpu, p) {
        delete_from_swap_cache(cpu, p, entry).await;
    }
    delete_from_lru_cache(cpu, p).await;
    Contained::as_told(MfResult::Recovered)
}

/// `me_pagecache_clean()`, and `me_pagecache_dirty()` if what the page held is lost.
async fn me_pagecache(cpu: Cpu<'_>, p: Page, flags: PageFlags) -> Contained {
    let dirty = flags.contains(PageFlags::DIRTY);
    let _routine = cpu.enter(if dirty { "me_pagecache_dirty" } else { "me_pagecache_clean" });
    if dirty && let Some((inode, _)) = disk_mapping(cpu, p) {
        // mapping_set_error(): whoever calls fsync() is told.
        cpu.rmw(cpu.kernel.page_flags(p), |flags| flags | PageFlags::ERROR).await;
        cpu.store(cpu.kernel.shmem.inodes.deref(**cpu, inode).wb_err(), true).await;
    }
    delete_from_lru_cache(cpu, p).await;
    if page_is_anon(cpu, p) {
        return Contained::as_told(MfResult::Recovered);
    }
    let Some((inode, _)) = page_mapping(cpu, p) else { return Contained::as_told(MfResult::Failed) };
    let in_memory = disk_mapping(cpu, p).is_none();
    if in_memory && cpu.setting::<HwpoisonShmem>() == HwpoisonShmem::Kept {
        // shmem_error_remove_page(): what it held is nowhere else, so that a fault has to find out that it is lost.
        return Contained { result: MfResult::Recovered, caches: 1 };
    }
    let removed = generic_error_remove_page(cpu, inode, p, dirty || in_memory).await;
    Contained::as_told(if removed { MfResult::Recovered } else { MfResult::Failed })
}

/// `delete_from_lru_cache()`: reclaim does not come to the page any more.
async fn delete_from_lru_cache(cpu: Cpu<'_>, p: Page) {
    if isolate_lru_page(cpu, p).await {
        let gone = PageFlags::ACTIVE | PageFlags::UNEVICTABLE;
        cpu.rmw(cpu.kernel.page_flags(p), move |flags| flags - gone).await;
        put_page(cpu, p).await;
    }
}
