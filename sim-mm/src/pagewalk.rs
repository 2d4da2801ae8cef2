//! `mm/pagewalk.c`: goes through the page tables of a range, for code that only looks at PTEs.

use sim_mmu::{Level, VirtAddr};

use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::MmStruct;
use crate::pgtable::{Pmdp, Ptep};
use crate::pgtable_generic::is_unlinked;

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
