//! A folio becomes single pages: `split_huge_page()`, since v6.0 `split_folio()`.
//!
//! Nobody may have the folio meanwhile but by its lock. So first each entry that maps a page of it says that the page is being moved. Then
//! only references are left. If those are known, the count is frozen at zero, and nobody gets another one until each page has a count
//! of its own. At last the entries map the pages again, be they single or not. Before v4.5 this was done with the entries in place, which
//! is not modelled: older kernels split as v4.5 does.

use sim_core::BoxFuture;

use super::queue::{lock_queue_of, set_queued};
use super::split_file::split_file_folio;
use super::split_pieces::{
    __split_huge_page, Piece, Pieces, Tails, cache_references, can_split_folio, counts_references, give_back,
};
use crate::errno::Errno;
use crate::folio::{page_is_anon, page_mapcount};
use crate::kernel::Cpu;
use crate::migrate::{Zeroes, remap_page};
use crate::mm_types::Page;
use crate::page::{page_ref_freeze, put_page, unlock_page};
use crate::page_flags::PageFlags;
use crate::page_vma_mapped::{Find, waits_for_zappers};
use crate::rmap::types::AnonVma;
use crate::rmap::{
    anon_vma_lock_write_tree, page_get_anon_vma, put_anon_vma, try_to_migrate_split, try_to_unmap_flush,
};
use crate::settings::{SplitUnmapBug, SplitZeroes};
use crate::swap_state::lock_swap_cache;
use crate::tlb_types::TlbUbc;

/// `split_huge_page_to_list()`: the pages of a folio are single pages from now on. The caller has the folio locked, and a
/// reference. He has the first page so when this returns. The others are unlocked, and free if neither an entry nor a file has them.
///
/// # Errors
/// `EBUSY` if nobody maps a folio of private memory, `EAGAIN` if others have references to it. Its entries are as before then, but none
/// maps all of it; a page of a file is not mapped any more.
pub(crate) fn split_folio<'a>(cpu: Cpu<'a>, head: Page, tails: Tails<'a>) -> BoxFuture<'a, Result<(), Errno>> {
    folio_split(cpu, head, Pieces::Pages, tails)
}

/// `folio_split()`, since v6.15: the same into these pieces.
pub(crate) fn folio_split<'a>(
    cpu: Cpu<'a>,
    head: Page,
    into: Pieces,
    tails: Tails<'a>,
) -> BoxFuture<'a, Result<(), Errno>> {
    Box::pin(async move {
        let _routine = cpu.enter("split_huge_page_to_list");
        if !cpu.walks_rmap() {
            cpu.not_modelled("the split of a huge page on a machine without swap and migration");
            return Err(Errno::Ebusy);
        }
        let locked = cpu.this_cpu_read(cpu.kernel.page_flags(head)).contains(PageFlags::LOCKED);
        cpu.vm_bug_on(!locked, "VM_BUG_ON_PAGE(!PageLocked(head))");
        cpu.vm_bug_on(cpu.kernel.huge_zero_page() == Some(head), "VM_BUG_ON_PAGE(is_huge_zero_page(head))");
        let pieces = into.of(cpu, head);
        if !page_is_anon(cpu, head) {
            return split_file_folio(cpu, head, &pieces, tails).await;
        }
        // The mappings of the folio keep it only until they are unmapped.
        let anon_vma = page_get_anon_vma(cpu, head).await.ok_or(Errno::Ebusy)?;
        let tree = anon_vma_lock_write_tree(cpu, anon_vma).await;
        let split = split_under(cpu, head, anon_vma, &pieces, tails).await;
        drop(tree);
        put_anon_vma(cpu, anon_vma).await;
        split
    })
}

/// `split_huge_page()`: the pages of a folio, which the caller has locked, are single pages from now on, and all are on the lists of reclaim.
///
/// # Errors
/// `EBUSY` if nobody maps a folio of private memory, `EAGAIN` if others have references to it.
pub fn split_huge_page(cpu: Cpu<'_>, head: Page) -> BoxFuture<'_, Result<(), Errno>> {
    split_folio(cpu, head, Tails::Listed)
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

/// The rest, with the tree locked: nobody maps the folio anywhere else meanwhile.
async fn split_under(
    cpu: Cpu<'_>,
    head: Page,
    anon_vma: AnonVma,
    pieces: &[Piece],
    tails: Tails<'_>,
) -> Result<(), Errno> {
    let counts = counts_references(cpu);
    if !can_split_folio(cpu, head).await && counts {
        return Err(Errno::Eagain);
    }
    unmap_folio(cpu, head, anon_vma).await;
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
            __split_huge_page(cpu, pieces, cached > 0).await;
        }
        frozen
    };
    let drops_zeroes = frozen && cpu.setting::<SplitZeroes>() == SplitZeroes::ZeroPage;
    let zeroes = if drops_zeroes { Zeroes::ZeroPage } else { Zeroes::Kept };
    let folios = if frozen { pieces } else { &pieces[..1] };
    for folio in folios {
        remap_page(cpu, folio.head, anon_vma, zeroes).await;
    }
    if !frozen {
        return Err(Errno::Eagain);
    }
    give_back(cpu, &pieces[1..], tails).await;
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
