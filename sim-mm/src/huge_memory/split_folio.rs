//! A folio becomes single pages: `split_huge_page()`, since v6.0 `split_folio()`.
//!
//! Nobody may have the folio meanwhile but by its lock. So first each entry that maps a page of it says that the page is being moved. Then
//! only references are left. If those are known, the count is frozen at zero, and nobody gets another one until each page has a count
//! of its own. At last the entries map the pages again, be they single or not. Before v4.5 this was done with the entries in place, which
//! is not modelled: older kernels split as v4.5 does.

use sim_core::{BoxFuture, Op, OpKind};

use super::queue::{lock_queue_of, set_queued};
use crate::errno::Errno;
use crate::event::Event;
use crate::folio::{folio_nr_pages, page_mapcount};
use crate::kernel::Cpu;
use crate::migrate::{Zeroes, remap_page};
use crate::mm_types::Page;
use crate::page::{get_page, page_count, page_ref_freeze, page_ref_unfreeze, put_page, unlock_page};
use crate::page_flags::PageFlags;
use crate::page_vma_mapped::{Find, waits_for_zappers};
use crate::rmap::types::AnonVma;
use crate::rmap::{
    anon_vma_lock_write_tree, page_get_anon_vma, put_anon_vma, total_mapcount, try_to_migrate_split,
    try_to_unmap_flush,
};
use crate::safeguards::{SPLIT_EXPECTED_COUNT, SPLIT_TAIL_FLAGS_FIRST, SPLIT_TAIL_MAPPING_FIRST};
use crate::settings::{SplitUnmapBug, SplitZeroes};
use crate::swap_state::lock_swap_cache;
use crate::tlb_types::TlbUbc;

/// What becomes of the pages behind the first one.
#[derive(Debug)]
pub(crate) enum Tails<'a> {
    /// They go to the list that the folio is on.
    Listed,
    /// The folio was taken off its list. So are they, each with a reference.
    Taken(&'a mut Vec<Page>),
}

/// `split_huge_page_to_list()`: the pages of a folio of private memory are single pages from now on. The caller has the folio locked, and a
/// reference. He has the first page so when this returns. The others are unlocked, and free if nobody maps them.
///
/// # Errors
/// `EBUSY` if nobody maps the folio, `EAGAIN` if others have references to it. Its entries are as before then, but none maps all of it.
pub(crate) fn split_folio<'a>(cpu: Cpu<'a>, head: Page, tails: Tails<'a>) -> BoxFuture<'a, Result<(), Errno>> {
    Box::pin(async move {
        let _routine = cpu.enter("split_huge_page_to_list");
        if !cpu.walks_rmap() {
            cpu.not_modelled("the split of a huge page on a machine without swap and migration");
            return Err(Errno::Ebusy);
        }
        // The mappings of the folio keep it only until they are unmapped.
        let anon_vma = page_get_anon_vma(cpu, head).await.ok_or(Errno::Ebusy)?;
        let tree = anon_vma_lock_write_tree(cpu, anon_vma).await;
        let split = split_under(cpu, head, anon_vma, tails).await;
        drop(tree);
        put_anon_vma(cpu, anon_vma).await;
        split
    })
}

/// The same for a caller who wants to have nothing of the folio afterwards: it is unlocked and put, split or not.
///
/// # Errors
/// As [`split_folio`].
pub(crate) async fn split_and_put(cpu: Cpu<'_>, head: Page) -> Result<(), Errno> {
    let split = split_folio(cpu, head, Tails::Listed).await;
    unlock_page(cpu, head).await;
    put_page(cpu, head).await;
    split
}

/// The references of the swap cache: one for each page.
async fn cache_references(cpu: Cpu<'_>, head: Page) -> u64 {
    let cached = cpu.load(cpu.kernel.page_flags(head)).await.contains(PageFlags::SWAPCACHE);
    if cached { folio_nr_pages(cpu, head) } else { 0 }
}

/// `can_split_folio()`: whether the caller, the entries and the swap cache have all references. Nobody is kept from taking another one.
pub(crate) async fn can_split_folio(cpu: Cpu<'_>, head: Page) -> bool {
    let cached = cache_references(cpu, head).await;
    total_mapcount(cpu, head).await + cached + 1 == page_count(cpu, head).await
}

/// The rest, with the tree locked: nobody maps the folio anywhere else meanwhile.
async fn split_under(cpu: Cpu<'_>, head: Page, anon_vma: AnonVma, tails: Tails<'_>) -> Result<(), Errno> {
    let counts = cpu.has(SPLIT_EXPECTED_COUNT);
    if !can_split_folio(cpu, head).await && counts {
        return Err(Errno::Eagain);
    }
    unmap_folio(cpu, head, anon_vma).await;
    let pages: Vec<Page> = cpu.kernel.folio_pages(head).collect();
    let cached = cache_references(cpu, head).await;
    let frozen = {
        let _cache = if cached > 0 { lock_swap_cache(cpu, head).await } else { Vec::new() };
        let frozen = {
            // Whoever goes through the queue takes references to its folios.
            let _queue = lock_queue_of(cpu, head).await;
            let frozen = page_ref_freeze(cpu, head, 1 + cached).await || !counts;
            if frozen {
                set_queued(cpu, head, false);
            }
            frozen
        };
        if frozen {
            __split_huge_page(cpu, &pages, cached > 0).await;
        }
        frozen
    };
    let drops_zeroes = frozen && cpu.setting::<SplitZeroes>() == SplitZeroes::ZeroPage;
    let zeroes = if drops_zeroes { Zeroes::ZeroPage } else { Zeroes::Kept };
    let folios = if frozen { &pages[..] } else { &pages[..1] };
    for folio in folios {
        remap_page(cpu, *folio, anon_vma, zeroes).await;
    }
    if !frozen {
        return Err(Errno::Eagain);
    }
    give_back(cpu, &pages[1..], tails).await;
    Ok(())
}

/// `unmap_folio()`, `freeze_page()` before v4.20.
async fn unmap_folio(cpu: Cpu<'_>, head: Page, anon_vma: AnonVma) {
    let _routine = cpu.enter("unmap_page");
    let mut ubc = TlbUbc::default();
    // A zapper clears an entry before he uncounts it. Who looks at the entry without its lock takes the page for unmapped.
    let find = if waits_for_zappers(cpu) { Find::MappingInSync } else { Find::Mapping };
    try_to_migrate_split(cpu, head, anon_vma, find, &mut ubc).await;
    try_to_unmap_flush(cpu, &mut ubc).await;
    if cpu.setting::<SplitUnmapBug>() == SplitUnmapBug::Stop {
        let mapped = page_mapcount(cpu, head).await != 0;
        cpu.vm_bug_on(mapped, "VM_BUG_ON_PAGE(!unmap_success)");
    }
}

/// `__split_huge_page()`: the count is frozen, so nobody gets a reference to the folio.
async fn __split_huge_page(cpu: Cpu<'_>, pages: &[Page], cached: bool) {
    let _routine = cpu.enter("__split_huge_page");
    let head = pages[0];
    // The caller's, and that of the cache.
    let count = 1 + u64::from(cached);
    for tail in pages[1..].iter().rev() {
        __split_huge_page_tail(cpu, head, *tail, count).await;
    }
    // ClearPageCompound(): what the folio counted besides is nothing any more.
    let words = cpu.kernel.page(head);
    cpu.this_cpu_write(words.compound_order(), 0);
    cpu.this_cpu_write(words.mm_ids(), 0);
    cpu.this_cpu_write(words.mm_id_mapcounts(), 0);
    cpu.rmw(cpu.kernel.page_flags(head), |flags| flags - PageFlags::HEAD).await;
    page_ref_unfreeze(cpu, head, count).await;
}

/// What a tail takes over from the flags of its head.
const TAKEN_OVER: PageFlags = PageFlags::REFERENCED
    .union(PageFlags::SWAPBACKED)
    .union(PageFlags::SWAPCACHE)
    .union(PageFlags::UNEVICTABLE)
    .union(PageFlags::ACTIVE)
    .union(PageFlags::LOCKED)
    .union(PageFlags::DIRTY)
    .union(PageFlags::LRU);

/// `__split_huge_page_tail()`: whoever gets a reference to the tail must find it complete. So its count comes last.
async fn __split_huge_page_tail(cpu: Cpu<'_>, head: Page, tail: Page, count: u64) {
    let _routine = cpu.enter("__split_huge_page_tail");
    let words = cpu.kernel.page(tail);
    let flags_first = cpu.has(SPLIT_TAIL_FLAGS_FIRST);
    if !flags_first {
        page_ref_unfreeze(cpu, tail, count).await;
    }
    // A load and a store: nobody else knows the tail, if its count is zero still.
    let seen = cpu.load(words.flags()).await;
    let flags = seen | cpu.load(cpu.kernel.own_flags(head)).await & TAKEN_OVER;
    let op = Op::new(OpKind::Write, words.flags().loc());
    cpu.step(op, move |hw| {
        let lost = PageFlags::from_bits_retain(hw.core.memory.get(op.loc)) - seen;
        hw.perform_store(&op, flags.bits());
        if flags.contains(PageFlags::LOCKED) {
            cpu.note(Event::PageLocked { pfn: tail.0 });
        }
        if !lost.is_empty() {
            cpu.note(Event::FlagsLost { pfn: tail.0, lost });
        }
    })
    .await;
    let mapping_first = cpu.has(SPLIT_TAIL_MAPPING_FIRST);
    if mapping_first {
        set_mapping(cpu, head, tail).await;
    }
    cpu.store(words.compound_head(), 0).await;
    if flags_first {
        page_ref_unfreeze(cpu, tail, count).await;
    }
    if !mapping_first {
        set_mapping(cpu, head, tail).await;
    }
}

/// `page_tail->mapping` and `page_tail->index`.
async fn set_mapping(cpu: Cpu<'_>, head: Page, tail: Page) {
    let (from, to) = (cpu.kernel.page(head), cpu.kernel.page(tail));
    cpu.this_cpu_write(to.index(), cpu.this_cpu_read(from.index()) + (tail.0.0 - head.0.0));
    cpu.store(to.mapping(), cpu.this_cpu_read(from.mapping())).await;
}

/// The tails are unlocked. The reference by which each came into the world is given up, unless the caller wants it.
async fn give_back(cpu: Cpu<'_>, tails: &[Page], to: Tails<'_>) {
    if let Tails::Taken(list) = to {
        for tail in tails {
            get_page(cpu, *tail).await;
        }
        list.extend(tails);
    }
    for tail in tails {
        unlock_page(cpu, *tail).await;
        put_page(cpu, *tail).await;
    }
}
