//! `mm/pagewalk.c`: goes through the page tables of a range, for code that only looks at PTEs, and to the page at one address.

use sim_mmu::{Level, VirtAddr};

use crate::errno::Errno;
use crate::huge_memory::{is_huge_zero_pmd, pmd_trans_huge_lock, split_huge_puds};
use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::{MmStruct, Page};
use crate::page::get_page;
use crate::pgtable::{Pmdp, Ptep};
use crate::pgtable_generic::is_unlinked;

/// `folio_walk_start()`, for ksmd `follow_page()` with `FOLL_GET` before v6.12: the page that is mapped at an address, with a reference.
///
/// # Errors
/// `ENOENT` if none is, `EFAULT` if it is a page of zeroes, which is nobody's.
pub(crate) async fn folio_walk_start<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
) -> Result<Page, Errno> {
    let pmdp = find_pmd(cpu, mm, address).await.ok_or(Errno::Enoent)?;
    let mut pmd = cpu.read_once(pmdp).await;
    if pmd.trans_huge() {
        let found = Box::pin(walk_huge(cpu, pmdp, address)).await?;
        if let Some(page) = found {
            return Ok(page);
        }
        pmd = cpu.read_once(pmdp).await;
    }
    if !pmd.leads_to_table() {
        return Err(Errno::Enoent);
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
    let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
    if is_unlinked(cpu, pmdp, ptep) {
        return Err(Errno::Enoent);
    }
    let pte = cpu.read_once(ptep).await;
    if !pte.present() {
        return Err(Errno::Enoent);
    }
    if pte.special() {
        return Err(Errno::Efault);
    }
    let page = Page(pte.pfn());
    get_page(cpu, page).await;
    Ok(page)
}

/// The part of it for a huge page. `None` if the entry leads to a table by now.
async fn walk_huge(cpu: Cpu<'_>, pmdp: Pmdp, address: VirtAddr) -> Result<Option<Page>, Errno> {
    let Some((_ptl, pmd)) = pmd_trans_huge_lock(cpu, pmdp).await else { return Ok(None) };
    if pmd.migration().is_some() {
        return Err(Errno::Enoent);
    }
    if is_huge_zero_pmd(cpu, pmd) {
        return Err(Errno::Efault);
    }
    let page = pmd.page_of(cpu, address);
    get_page(cpu, page).await;
    Ok(Some(page))
}

/// What a walk does behind a huge page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalkAction {
    /// `ACTION_CONTINUE`: it goes on behind it.
    Continue,
    /// `ACTION_AGAIN`: it looks at the entry once more, which may lead to a table by now.
    Again,
}

/// The `huge_entry` of a walk that has nothing to do with huge pages.
pub(crate) async fn skip_huge(_: Pmdp, _: VirtAddr, _: VirtAddr) -> WalkAction {
    WalkAction::Continue
}

/// `walk_page_range()`: calls `huge_entry` for each PMD entry that stands for a huge page, without a lock, and `pmd_entry` for each page table that there is below the range, with the lock of the table
/// held: with a pointer to the first entry, the address that it maps, and the end of the part of the range that lies in
/// the table.
pub(crate) async fn walk_page_range<'m, H, F>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
    mut huge_entry: H,
    mut pmd_entry: F,
) where
    H: AsyncFnMut(Pmdp, VirtAddr, VirtAddr) -> WalkAction,
    F: AsyncFnMut(Ptep, VirtAddr, VirtAddr),
{
    if cpu.kernel.has_device() {
        Box::pin(split_huge_puds(cpu, mm, start, end)).await;
    }
    let geometry = cpu.mmu.geometry;
    let mut addr = start;
    while addr < end {
        let next = geometry.addr_end(Level::Pmd, addr, end);
        if let Some(pmdp) = find_pmd(cpu, mm, addr).await {
            let mut pmd = cpu.read_once(pmdp).await;
            if pmd.is_huge() && Box::pin(huge_entry(pmdp, addr, next)).await == WalkAction::Again {
                pmd = cpu.read_once(pmdp).await;
            }
            if pmd.leads_to_table() {
                let ptep = pmd.pte_offset(geometry, addr);
                let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
                if !is_unlinked(cpu, pmdp, ptep) {
                    pmd_entry(ptep, addr, next).await;
                }
            }
        }
        addr = next;
    }
}
