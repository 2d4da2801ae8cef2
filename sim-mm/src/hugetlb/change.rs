//! Another protection for huge pages: `hugetlb_change_protection()`.

use sim_mmu::{Entry, VirtAddr};

use super::pmd_share::{huge_pmd_unshare, pud_range, unshare_flushed, unshared_range};
use super::{hstate_vma, huge_pages, huge_pte_offset, hugetlb_vma_lock_write};
use crate::arch::tlb::flush_tlb_mm_range;
use crate::check;
use crate::huge_pte::huge_pte_lock;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::pgtable::{Pmd, vm_get_page_prot};
use crate::pgtable_huge::pmdp_huge_get_and_clear;
use crate::safeguards::{CHANGE_HUGETLB_HWPOISON, HUGETLB_CHANGE_FLUSH};
use crate::swapops::MigrationEntry;
use crate::vm_flags::VmFlags;

/// `hugetlb_change_protection()`: the entries get the protection of a mapping with these flags. A table that is shared is given up, and the next fault
/// finds the pages in the file. `change_moved` says what the entry of a page that is being moved says from now on.
///
/// Translations are flushed before the lock of the file's mappings is let go of: the others may do with a table that was given up what they like then.
pub(crate) async fn hugetlb_change_protection<'m>(
    cpu: Cpu<'m>,
    (mm, vma): (&'m MmStruct, Vma),
    (start, end): (VirtAddr, VirtAddr),
    flags: VmFlags,
    change_moved: impl AsyncFn(MigrationEntry) -> MigrationEntry,
) {
    let _routine = cpu.enter("hugetlb_change_protection");
    let Some(file) = vma.file(cpu) else { return };
    let size = hstate_vma(cpu, vma);
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (start, end)).await;
    let vma_lock = hugetlb_vma_lock_write(cpu, vma).await;
    let i_mmap = cpu.down_write(cpu.kernel.shmem.i_mmap_rwsem(file)).await;
    let (mut flushed, mut unshared) = ((start, end), false);
    let mut behind = start;
    for addr in huge_pages(cpu, size, start, end) {
        if addr < behind {
            continue;
        }
        let Some(ptep) = huge_pte_offset(cpu, mm, addr, size).await else { continue };
        let _ptl = huge_pte_lock(cpu, mm, ptep).await;
        if flags.contains(VmFlags::MAYSHARE) && huge_pmd_unshare(cpu, mm, addr, ptep).await {
            (behind, unshared) = (pud_range(cpu, addr).1, true);
            flushed = unshared_range(cpu, vma, flushed, addr);
            continue;
        }
        let pte = cpu.read_once(ptep).await;
        if let Some(entry) = pte.migration() {
            cpu.set_pmd_at(mm, addr, ptep, change_moved(entry).await.to_pte()).await;
        } else if !pte.none() && !check!(cpu, CHANGE_HUGETLB_HWPOISON, pte.hwpoisoned()) {
            // huge_ptep_modify_prot_start(): the hardware sets no bit in what will be overwritten.
            let old = pmdp_huge_get_and_clear(cpu, mm, addr, ptep).await;
            // pte_mkhuge()
            let new = Pmd::modify(old.entry, vm_get_page_prot(flags)).with(Entry::PAGE_SIZE);
            cpu.set_pmd_at(mm, addr, ptep, new).await;
        }
    }
    if cpu.has(HUGETLB_CHANGE_FLUSH) {
        flush_tlb_mm_range(cpu, mm, flushed.0, flushed.1, false).await;
    }
    if unshared {
        unshare_flushed(cpu, mm);
    }
    drop((i_mmap, vma_lock));
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
}
