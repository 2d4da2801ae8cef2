//! Advices about huge pages: the part of `madvise_cold_or_pageout_pte_range()` for them, and `madvise_free_huge_pmd()`.

use sim_core::Held;
use sim_mmu::{Entry, Level, VirtAddr};

use crate::event::Event;
use crate::huge_memory::{is_huge_zero_pmd, pmd_trans_huge_lock, split_and_put};
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::{get_page, lock_page, test_and_set_flags, unlock_page};
use crate::page_flags::PageFlags;
use crate::pagewalk::WalkAction;
use crate::pgtable::{Pmd, Pmdp};
use crate::pgtable_generic::{pmdp_invalidate, pmdp_modify_start};
use crate::rmap::folio_maybe_mapped_shared;
use crate::safeguards::FREE_KEEPS_PMD;
use crate::swap::{folio_deactivate, folio_mark_lazyfree};
use crate::vmscan::isolate_for_reclaim;

/// What an advice did to a huge page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HugeAdvice {
    /// Nothing: others use the page as well, or it is gone.
    Untouched,
    /// The entry has changed, so translations must go.
    Changed,
    /// The page was split, and its pages are to be looked at one by one.
    Split,
}

impl HugeAdvice {
    /// How the walk goes on.
    pub(super) fn walk(self) -> WalkAction {
        if self == HugeAdvice::Split { WalkAction::Again } else { WalkAction::Continue }
    }
}

/// Whether advices pass over the entry: nobody owns the zeroes, and a page that is being moved is elsewhere soon.
fn is_passed_over(cpu: Cpu<'_>, pmd: Pmd) -> bool {
    is_huge_zero_pmd(cpu, pmd) || pmd.migration().is_some()
}

/// Whether a range is all of a huge page.
fn is_whole(cpu: Cpu<'_>, (start, end): (VirtAddr, VirtAddr)) -> bool {
    end.0 - start.0 == cpu.mmu.geometry.span(Level::Pmd)
}

/// `madvise_free_huge_pmd()`: the page may be dropped until it is written again.
pub(super) async fn madvise_free_huge_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    pmdp: Pmdp,
    range: (VirtAddr, VirtAddr),
) -> HugeAdvice {
    let _routine = cpu.enter("madvise_free_huge_pmd");
    let Some((ptl, pmd)) = pmd_trans_huge_lock(cpu, pmdp).await else { return HugeAdvice::Split };
    let head = Page(pmd.pfn());
    // Others that map the page may still want it.
    if is_passed_over(cpu, pmd) || folio_maybe_mapped_shared(cpu, head).await {
        return HugeAdvice::Untouched;
    }
    if !test_and_set_flags(cpu, head, PageFlags::LOCKED).await {
        return HugeAdvice::Untouched;
    }
    if !is_whole(cpu, range) {
        get_page(cpu, head).await;
        drop(ptl);
        split_locked(cpu, head).await;
        // Its entries are small ones now, even where the page could not be split.
        return HugeAdvice::Split;
    }
    let flags = cpu.load(cpu.kernel.page_flags(head)).await;
    if flags.contains(PageFlags::DIRTY) {
        cpu.rmw(cpu.kernel.page_flags(head), |flags| flags - PageFlags::DIRTY).await;
    }
    unlock_page(cpu, head).await;
    let mut done = HugeAdvice::Untouched;
    if pmd.young() || pmd.dirty() {
        let old = pmdp_modify_start(cpu, mm, range.0, pmdp, !cpu.has(FREE_KEEPS_PMD)).await;
        let clean = old.entry.without(Entry::ACCESSED | Entry::DIRTY);
        cpu.set_pmd_at(mm, range.0, pmdp, clean).await;
        cpu.kernel.folio_pages(head).for_each(|page| cpu.note(Event::PageCleaned { pfn: page.0 }));
        done = HugeAdvice::Changed;
    }
    folio_mark_lazyfree(cpu, head).await;
    done
}

/// Splits a page of which only a part is meant. The page is locked and held, and is unlocked and put again.
async fn split_locked(cpu: Cpu<'_>, head: Page) -> HugeAdvice {
    if split_and_put(cpu, head).await.is_ok() { HugeAdvice::Split } else { HugeAdvice::Untouched }
}

/// What `MADV_COLD` and `MADV_PAGEOUT` ask of a huge page: whether this address space has it alone, and all of it is meant. Then the lock of
/// the entry is held still.
async fn is_for_reclaim<'m>(
    cpu: Cpu<'m>,
    head: Page,
    range: (VirtAddr, VirtAddr),
    ptl: Held<'m>,
) -> Result<Held<'m>, HugeAdvice> {
    if folio_maybe_mapped_shared(cpu, head).await {
        return Err(HugeAdvice::Untouched);
    }
    if is_whole(cpu, range) {
        return Ok(ptl);
    }
    get_page(cpu, head).await;
    drop(ptl);
    lock_page(cpu, head).await;
    Err(split_locked(cpu, head).await)
}

/// `MADV_COLD` of a huge page: it becomes old, and a candidate for reclaim.
pub(super) async fn madvise_cold_huge_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    pmdp: Pmdp,
    range: (VirtAddr, VirtAddr),
) -> HugeAdvice {
    let Some((ptl, pmd)) = pmd_trans_huge_lock(cpu, pmdp).await else { return HugeAdvice::Split };
    if is_passed_over(cpu, pmd) {
        return HugeAdvice::Untouched;
    }
    let head = Page(pmd.pfn());
    let _ptl = match is_for_reclaim(cpu, head, range, ptl).await {
        Ok(ptl) => ptl,
        Err(ended) => return ended,
    };
    if pmd.young() {
        let old = pmdp_invalidate(cpu, mm, range.0, pmdp).await;
        cpu.set_pmd_at(mm, range.0, pmdp, old.entry.without(Entry::ACCESSED)).await;
    }
    folio_deactivate(cpu, head).await;
    HugeAdvice::Changed
}

/// `MADV_PAGEOUT` of a huge page: the page, if it is to be reclaimed.
pub(super) async fn madvise_pageout_huge_pmd<'m>(
    cpu: Cpu<'m>,
    _mm: &'m MmStruct,
    pmdp: Pmdp,
    range: (VirtAddr, VirtAddr),
) -> (HugeAdvice, Option<Page>) {
    let Some((ptl, pmd)) = pmd_trans_huge_lock(cpu, pmdp).await else { return (HugeAdvice::Split, None) };
    if is_passed_over(cpu, pmd) {
        return (HugeAdvice::Untouched, None);
    }
    let head = Page(pmd.pfn());
    let _ptl = match is_for_reclaim(cpu, head, range, ptl).await {
        Ok(ptl) => ptl,
        Err(ended) => return (ended, None),
    };
    cpu.rmw(cpu.kernel.page_flags(head), |flags| flags - PageFlags::REFERENCED).await;
    if !isolate_for_reclaim(cpu, head).await {
        return (HugeAdvice::Untouched, None);
    }
    (HugeAdvice::Untouched, Some(head))
}
