//! Whether the pages of a range can be collapsed, as far as can be seen before anything is done: `hpage_collapse_scan_pmd()`.

use sim_core::ReadHeld;
use sim_mmu::VirtAddr;

use super::collapse::collapse_huge_page;
use super::control::{Collapse, Counted, Scan};
use super::isolate::{is_none_or_zero, is_refcount_suitable, may_be_collapsed};
use super::revalidate::find_pmd_or_thp_or_none;
use crate::entries::entries;
use crate::folio::page_is_anon;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page_flags::PageFlags;
use crate::pgtable::Pte;
use crate::pgtable_generic::is_unlinked;
use crate::settings::CollapseReadOnly;
use crate::swap::folio_test_lru;
use crate::swapops::pte_swp_uffd_wp_any;

/// `hpage_collapse_scan_pmd()`, `khugepaged_scan_pmd()` before v6.1: collapses the pages of a range, if they look like it. The caller holds
/// `mmap_lock`, and gets it back if nothing was tried.
pub(super) async fn hpage_collapse_scan_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
    by: Collapse,
    mmap_lock: ReadHeld<'m>,
) -> (Result<(), Scan>, Option<ReadHeld<'m>>) {
    let _routine = cpu.enter("hpage_collapse_scan_pmd");
    match scan(cpu, mm, vma, address, by).await {
        Ok(swapped) => {
            // Nobody has the lock while memory is being looked for.
            drop(mmap_lock);
            (collapse_huge_page(cpu, mm, address, swapped, by).await, None)
        }
        Err(why) => (Err(why), Some(mmap_lock)),
    }
}

/// Answers how many of the pages are in swap.
async fn scan<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, address: VirtAddr, by: Collapse) -> Result<u64, Scan> {
    let pmdp = find_pmd_or_thp_or_none(cpu, mm, address).await?;
    let pmd = cpu.read_once(pmdp).await;
    if !pmd.leads_to_table() {
        return Err(Scan::PmdNull);
    }
    let first = pmd.pte_offset(cpu.mmu.geometry, address);
    let _ptl = cpu.lock(cpu.kernel.ptl(first.table())).await;
    if is_unlinked(cpu, pmdp, first) {
        return Err(Scan::PmdNull);
    }
    let mut counted = Counted::new(cpu, vma, by);
    for (ptep, ..) in entries(cpu.mmu.geometry, first, address, address.plus_pages(cpu.pmd_nr())) {
        let pte = cpu.read_once(ptep).await;
        if is_none_or_zero(cpu, pte) {
            counted.add_none()?;
        } else if !pte.present() {
            counted.add_swapped()?;
            if pte_swp_uffd_wp_any(pte.entry) {
                return Err(Scan::PteUffdWp);
            }
        } else if pte.uffd_wp() {
            return Err(Scan::PteUffdWp);
        } else {
            scan_page(cpu, pte, &mut counted).await?;
        }
    }
    if !counted.writable && cpu.setting::<CollapseReadOnly>() == CollapseReadOnly::Refused {
        return Err(Scan::PageRo);
    }
    let Counted { referenced, swapped, .. } = counted;
    let unused = referenced == 0 || swapped > 0 && referenced < cpu.pmd_nr() / 2;
    if by.is_khugepaged() && unused { Err(Scan::LackReferencedPage) } else { Ok(swapped) }
}

/// What a scan asks of a page that is there.
async fn scan_page(cpu: Cpu<'_>, pte: Pte, counted: &mut Counted<'_>) -> Result<(), Scan> {
    let page = pte.page().ok_or(Scan::PageNull)?;
    let head = cpu.kernel.folio_of(page);
    if !page_is_anon(cpu, page) {
        return Err(Scan::PageAnon);
    }
    may_be_collapsed(cpu, page)?;
    counted.add_mapped(page).await?;
    if !folio_test_lru(cpu, head).await {
        return Err(Scan::PageLru);
    }
    if cpu.load(cpu.kernel.page_flags(head)).await.contains(PageFlags::LOCKED) {
        return Err(Scan::PageLock);
    }
    if !is_refcount_suitable(cpu, head).await {
        return Err(Scan::PageCount);
    }
    counted.add_referenced(pte, Page(head.0)).await;
    Ok(())
}
