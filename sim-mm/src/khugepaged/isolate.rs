//! The pages of a range are locked and taken off their lists, so that nobody else does anything to them: `__collapse_huge_page_isolate()`.

use sim_mmu::VirtAddr;

use super::control::{Collapse, Counted, Scan};
use crate::check;
use crate::entries::entries;
use crate::folio::{folio_nr_pages, is_large};
use crate::kernel::Cpu;
use crate::mm_types::{Page, Vma};
use crate::page::{page_count, test_and_set_flags, unlock_page};
use crate::page_flags::PageFlags;
use crate::pgtable::{Pte, Ptep};
use crate::rmap::total_mapcount;
use crate::safeguards::COLLAPSE_CHECK_REFCOUNT;
use crate::settings::{CollapsePages, CollapseReadOnly};
use crate::swap::{isolate_lru_page, putback_lru_page};

/// Whether an entry maps nothing, or the page of zeroes.
pub(super) fn is_none_or_zero(cpu: Cpu<'_>, pte: Pte) -> bool {
    pte.none() || pte.present() && pte.pfn() == cpu.kernel.zero_page.0
}

/// Before v5.8 a page that is a part of a huge one is left alone.
pub(super) fn may_be_collapsed(cpu: Cpu<'_>, page: Page) -> Result<(), Scan> {
    let small_only = cpu.setting::<CollapsePages>() == CollapsePages::Alone;
    if small_only && is_large(cpu, page) { Err(Scan::PageCompound) } else { Ok(()) }
}

/// `is_refcount_suitable()`, `folio_expected_ref_count()` since v6.16: nobody but entries and the swap cache has a reference to the folio.
/// Before v5.8 there must be one entry.
pub(super) async fn is_refcount_suitable(cpu: Cpu<'_>, head: Page) -> bool {
    let entries = match cpu.setting::<CollapsePages>() {
        CollapsePages::Alone => 1,
        CollapsePages::Shared => total_mapcount(cpu, head).await,
    };
    let flags = if cpu.has_swap() { cpu.load(cpu.kernel.page_flags(head)).await } else { PageFlags::empty() };
    let cached = if flags.contains(PageFlags::SWAPCACHE) { folio_nr_pages(cpu, head) } else { 0 };
    page_count(cpu, head).await == entries + cached
}

/// `__collapse_huge_page_isolate()`: answers the folios, which are locked and off their lists then. If it cannot have all, it has none.
///
/// No entry of this address space leads to the pages any more that a walk could find. So a reference that is not there now does not come
/// later, unless a lockless walk is in the page table still.
pub(super) async fn __collapse_huge_page_isolate(
    cpu: Cpu<'_>,
    vma: Vma,
    (first, address): (Ptep, VirtAddr),
    by: Collapse,
) -> Result<Vec<Page>, Scan> {
    let _routine = cpu.enter("__collapse_huge_page_isolate");
    let mut counted = Counted::new(cpu, vma, by);
    let mut isolated = Vec::new();
    let mut ended = Ok(());
    for (ptep, ..) in entries(cpu.mmu.geometry, first, address, address.plus_pages(cpu.pmd_nr())) {
        ended = isolate_entry(cpu, ptep, &mut counted, &mut isolated).await;
        if ended.is_err() {
            break;
        }
    }
    if ended.is_ok() && !counted.writable && cpu.setting::<CollapseReadOnly>() == CollapseReadOnly::Refused {
        ended = Err(Scan::PageRo);
    }
    if ended.is_ok() && by.is_khugepaged() && counted.referenced == 0 {
        ended = Err(Scan::LackReferencedPage);
    }
    if let Err(why) = ended {
        for head in isolated {
            release_pte_folio(cpu, head).await;
        }
        return Err(why);
    }
    Ok(isolated)
}

/// One round of it: the folio of an entry, unless another entry of the range had the same.
async fn isolate_entry(
    cpu: Cpu<'_>,
    ptep: Ptep,
    counted: &mut Counted<'_>,
    isolated: &mut Vec<Page>,
) -> Result<(), Scan> {
    let pte = cpu.read_once(ptep).await;
    if is_none_or_zero(cpu, pte) {
        return counted.add_none();
    }
    if !pte.present() {
        return Err(Scan::PteNonPresent);
    }
    if pte.uffd_wp() {
        return Err(Scan::PteUffdWp);
    }
    let page = pte.page().ok_or(Scan::PageNull)?;
    may_be_collapsed(cpu, page)?;
    counted.add_mapped(page).await?;
    let head = cpu.kernel.folio_of(page);
    if !isolated.contains(&head) {
        if !test_and_set_flags(cpu, head, PageFlags::LOCKED).await {
            return Err(Scan::PageLock);
        }
        // A device that has the page would go on with it, and the process with the copy.
        if check!(cpu, COLLAPSE_CHECK_REFCOUNT, !is_refcount_suitable(cpu, head).await) {
            unlock_page(cpu, head).await;
            return Err(Scan::PageCount);
        }
        if !isolate_lru_page(cpu, head).await {
            unlock_page(cpu, head).await;
            return Err(Scan::DelPageLru);
        }
        isolated.push(head);
    }
    counted.add_referenced(pte, head).await;
    Ok(())
}

/// `release_pte_folio()`: unlocked, and on its list again.
pub(super) async fn release_pte_folio(cpu: Cpu<'_>, head: Page) {
    unlock_page(cpu, head).await;
    putback_lru_page(cpu, head).await;
}
