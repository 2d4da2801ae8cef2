//! Huge pages go: `__unmap_hugepage_range()`.

use sim_mmu::{Entry, VirtAddr};

use super::pmd_share::{huge_pmd_unshare, pud_range, unshare_flushed};
use super::{hstate_vma, huge_pages, huge_pte_offset, hugetlb_vma_lock_write};
use crate::check;
use crate::huge_pte::huge_pte_lock;
use crate::kernel::Cpu;
use crate::mm_types::{Page, Vma};
use crate::mmu_gather::MmuGather;
use crate::page::set_page_dirty_no_writeback;
use crate::pgtable_huge::pmdp_huge_get_and_clear;
use crate::rmap::folio_remove_rmap_pmd;
use crate::safeguards::{UNMAP_HUGETLB_HWPOISON, UNSHARE_FLUSH};
use crate::vm_flags::VmFlags;

/// `hugetlb_zap_begin()`, `__unmap_hugepage_range()`, `hugetlb_zap_end()`: the entries of the range are empty. The locks keep the file's other mappings from using a
/// table that this one gives up.
pub(crate) async fn unmap_hugepage_range<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    vma: Vma,
    range: (VirtAddr, VirtAddr),
) {
    let Some(file) = vma.file(cpu) else { return };
    let _vma_lock = hugetlb_vma_lock_write(cpu, vma).await;
    let _i_mmap = cpu.down_write(cpu.kernel.shmem.i_mmap_rwsem(file)).await;
    __unmap_hugepage_range(cpu, tlb, vma, range).await;
}

/// `__unmap_hugepage_range()`. The caller holds `i_mmap_rwsem` for writing.
pub(super) async fn __unmap_hugepage_range<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    vma: Vma,
    (start, end): (VirtAddr, VirtAddr),
) {
    let _routine = cpu.enter("__unmap_hugepage_range");
    let (mut force_flush, mut unshared) = (false, false);
    let size = hstate_vma(cpu, vma);
    let mut behind = start;
    for addr in huge_pages(cpu, size, start, end) {
        if addr < behind {
            continue;
        }
        let Some(ptep) = huge_pte_offset(cpu, tlb.mm, addr, size).await else { continue };
        let ptl = huge_pte_lock(cpu, tlb.mm, ptep).await;
        if vma_may_share(cpu, vma) && huge_pmd_unshare(cpu, tlb.mm, addr, ptep).await {
            drop(ptl);
            let (first, last) = pud_range(cpu, addr);
            (behind, unshared) = (last, true);
            if cpu.has(UNSHARE_FLUSH) {
                // tlb_flush_pmd_range()
                tlb.remove_tlb_entry(first);
                tlb.remove_tlb_entry(VirtAddr(last.0 - VirtAddr::PAGE_SIZE));
                force_flush = true;
            }
            continue;
        }
        let pte = cpu.read_once(ptep).await;
        if pte.none() {
            continue;
        }
        // Whoever made the entry say so has given up what it had.
        if pte.migration().is_some() || check!(cpu, UNMAP_HUGETLB_HWPOISON, pte.hwpoisoned()) {
            cpu.set_pmd_at(tlb.mm, addr, ptep, Entry::NONE).await;
            continue;
        }
        let orig = pmdp_huge_get_and_clear(cpu, tlb.mm, addr, ptep).await;
        // tlb_remove_huge_tlb_entry()
        tlb.remove_tlb_entry(addr);
        tlb.remove_tlb_entry(addr.plus_pages(size.pages(cpu.mmu.geometry) - 1));
        let head = Page(orig.pfn());
        if orig.dirty() {
            set_page_dirty_no_writeback(cpu, head).await;
        }
        folio_remove_rmap_pmd(cpu, head, tlb.mm.id).await;
        drop(ptl);
        if tlb.remove_page(head) && tlb.is_full(cpu).await {
            tlb.force_flush(cpu).await;
            tlb.free(cpu).await;
        }
    }
    // Before i_mmap_rwsem is let go of: then the others may do with the table what they like.
    if force_flush {
        tlb.flush_tlbonly(cpu).await;
    }
    if unshared {
        unshare_flushed(cpu, tlb.mm);
    }
}

/// Whether a table of the mapping can be a shared one.
fn vma_may_share(cpu: Cpu<'_>, vma: Vma) -> bool {
    vma.flags(cpu).contains(VmFlags::MAYSHARE)
}
