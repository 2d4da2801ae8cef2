//! A mapping of huge pages becomes two: `hugetlb_vm_op_split()` and `hugetlb_split()`.
//!
//! Only a mapping that covers all that a table of PMD entries translates may share the table. If it is cut within, neither part may. So the table is given
//! up before there are two parts: each of them has a lock of its own then, and none of the two keeps the other part from giving the table up.

use sim_mmu::VirtAddr;

use super::pmd_share::{huge_pmd_unshare, pud_range, unshare_flushed};
use super::{hstate_vma, huge_pte_offset, hugetlb_vma_lock_write};
use crate::arch::tlb::flush_tlb_mm_range;
use crate::huge_pte::huge_pte_lock;
use crate::hugetlb_types::HugePageSize;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::safeguards::{HUGETLB_SPLIT_LOCKED, HUGETLB_SPLIT_UNSHARE};
use crate::vm_flags::VmFlags;

/// Whose locks keep others from sharing the table again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Locks {
    /// They are taken here, and let go of before the mapping is split.
    Own,
    /// The caller holds those of the mapping and of the file's mappings until it is split.
    Callers,
}

/// `hugetlb_vm_op_split()`: before the mapping is locked for the split. Since v6.16 it only looks at the address.
pub(crate) async fn hugetlb_vm_op_split<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, addr: VirtAddr) {
    unshare_cut_table(cpu, mm, vma, addr, Locks::Own).await;
}

/// `hugetlb_split()`, since v6.16: when no fault can have the mapping, and nobody who looks for a table goes through the mappings of the file.
pub(crate) async fn hugetlb_split<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, addr: VirtAddr) {
    unshare_cut_table(cpu, mm, vma, addr, Locks::Callers).await;
}

/// The table that a split at this address cuts in two is unshared, if the kernel does that with these locks.
async fn unshare_cut_table<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, addr: VirtAddr, locks: Locks) {
    let Some(range) = cut_table(cpu, vma, addr) else { return };
    let uses = if cpu.has(HUGETLB_SPLIT_LOCKED) { Locks::Callers } else { Locks::Own };
    if uses == locks && cpu.has(HUGETLB_SPLIT_UNSHARE) {
        hugetlb_unshare_pmds(cpu, mm, vma, range, locks).await;
    }
}

/// What the table translates that a split at this address cuts in two, if the mapping may share that table.
fn cut_table(cpu: Cpu<'_>, vma: Vma, addr: VirtAddr) -> Option<(VirtAddr, VirtAddr)> {
    let (floor, ceil) = pud_range(cpu, addr);
    // A gigantic page is never cut, and its entry leads to no table.
    let may_be_split = cpu.pmd_base(addr) == addr && hstate_vma(cpu, vma) == HugePageSize::Huge;
    let covers = vma.start(cpu) <= floor && ceil <= vma.end(cpu);
    let is_cut = addr != floor && may_be_split && covers && vma.flags(cpu).contains(VmFlags::MAYSHARE);
    is_cut.then_some((floor, ceil))
}

/// `hugetlb_unshare_pmds()` of one table.
async fn hugetlb_unshare_pmds<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    (start, end): (VirtAddr, VirtAddr),
    locks: Locks,
) {
    let _routine = cpu.enter("hugetlb_unshare_pmds");
    let Some(file) = vma.file(cpu) else { return };
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (start, end)).await;
    let held = match locks {
        Locks::Own => {
            let vma_lock = hugetlb_vma_lock_write(cpu, vma).await;
            Some((vma_lock, cpu.down_write(cpu.kernel.shmem.i_mmap_rwsem(file)).await))
        }
        Locks::Callers => None,
    };
    if let Some(ptep) = huge_pte_offset(cpu, mm, start, HugePageSize::Huge).await {
        let ptl = huge_pte_lock(cpu, mm, ptep).await;
        let unshared = huge_pmd_unshare(cpu, mm, start, ptep).await;
        drop(ptl);
        // Whether something was unshared or not, Linux flushes. It is before the file's mappings are unlocked: then the others may do with the table
        // what they like.
        flush_tlb_mm_range(cpu, mm, start, end, false).await;
        if unshared {
            unshare_flushed(cpu, mm);
        }
    }
    drop(held);
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
}
