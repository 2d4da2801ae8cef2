//! `mm/pagewalk.c`: goes through the page tables of a range, for code that only looks at PTEs.

use sim_mmu::{Level, VirtAddr};

use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::MmStruct;
use crate::pgtable::Ptep;

/// `walk_page_range()`: calls `pmd_entry` for each page table that there is below the range, with the lock of the table
/// held: with a pointer to the first entry, the address that it maps, and the end of the part of the range that lies in
/// the table.
pub(crate) async fn walk_page_range<'m, F>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
    mut pmd_entry: F,
) where
    F: AsyncFnMut(Ptep, VirtAddr, VirtAddr),
{
    let geometry = cpu.mmu.geometry;
    let mut addr = start;
    while addr < end {
        let next = geometry.addr_end(Level::Pmd, addr, end);
        if let Some(pmdp) = find_pmd(cpu, mm, addr).await {
            let ptep = cpu.read_once(pmdp).await.pte_offset(geometry, addr);
            let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
            pmd_entry(ptep, addr, next).await;
        }
        addr = next;
    }
}
