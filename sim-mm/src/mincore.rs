//! `mm/mincore.c`: which pages are in memory.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::huge_memory::split_huge_puds;
use crate::hugetlb::{is_vm_hugetlb_page, mincore_hugetlb};
use crate::inode::vma_is_dax;
use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap::vma_lookup;
use crate::page::put_page;
use crate::pgtable::Pte;
use crate::pgtable_generic::is_unlinked;
use crate::swap_state::{find_get_incore_page, lookup_swap_cache};
use crate::swapops::{HwpoisonEntry, MigrationEntry, SwpEntry};

/// `mincore()`: of each page from `start` up to `end`, whether an access would find it in memory.
///
/// # Errors
/// `ENOMEM` where nothing is mapped, `EINVAL` for an unaligned start.
pub fn sys_mincore(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> BoxFuture<'_, Result<Vec<bool>, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("do_mincore"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        if start.offset() != 0 {
            return Err(Errno::Einval);
        }
        let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
        let mut resident = Vec::new();
        let mut at = start;
        while at < end.page_align() {
            let vma = vma_lookup(cpu, mm, at).await.ok_or(Errno::Enomem)?;
            if vma_is_dax(cpu, vma) {
                // walk_page_vma()
                Box::pin(split_huge_puds(cpu, mm, at, end.page_align().min(vma.end(cpu)))).await;
            }
            while at < end.page_align().min(vma.end(cpu)) {
                resident.push(mincore_page(cpu, mm, vma, at).await);
                at = at.plus_pages(1);
            }
        }
        Ok(resident)
    })
}

/// One round of `mincore_pte_range()`: a page that is mapped, or that the file has.
async fn mincore_page(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, at: VirtAddr) -> bool {
    // It does not ask the file.
    if is_vm_hugetlb_page(cpu, vma) {
        return Box::pin(mincore_hugetlb(cpu, mm, vma, at)).await;
    }
    if let Some(pmdp) = find_pmd(cpu, mm, at).await {
        let pmd = cpu.read_once(pmdp).await;
        if !pmd.leads_to_table() {
            return pmd.is_huge();
        }
        let ptep = pmd.pte_offset(cpu.mmu.geometry, at);
        let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
        let pte = if is_unlinked(cpu, pmdp, ptep) { None } else { Some(cpu.read_once(ptep).await) };
        if pte.is_some_and(Pte::present) {
            return true;
        }
        if let Some(entry) = pte.and_then(|pte| SwpEntry::of_pte(pte.entry)) {
            // mincore_swap()
            let Some(page) = Box::pin(lookup_swap_cache(cpu, entry)).await else { return false };
            put_page(cpu, page).await;
            return true;
        }
        // A page that is being moved is in memory, and so is one that is broken.
        let is_in_memory =
            |entry| MigrationEntry::of_pte(entry).is_some() || HwpoisonEntry::of_pte(entry).is_some();
        if pte.is_some_and(|pte| is_in_memory(pte.entry)) {
            return true;
        }
    }
    let Some(file) = vma.file(cpu) else { return false };
    match find_get_incore_page(cpu, file, vma.index_of(cpu, at)).await {
        Some(page) => {
            put_page(cpu, page).await;
            true
        }
        None => false,
    }
}
