//! What `__split_vma()` does with page tables before a mapping becomes two: no huge page may lie in both parts, and no table may be shared that neither of
//! them covers.

use sim_core::BoxFuture;
use sim_mmu::VirtAddr;

use super::lock_before_i_mmap;
use crate::huge_memory::vma_adjust_trans_huge;
use crate::hugetlb::{hugetlb_split, hugetlb_vm_op_split};
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::vm_flags::VmFlags;

/// The mapping of huge pages of the pool that an address lies in the middle of.
fn cut_hugetlb(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Vma> {
    let is_cut =
        |vma: &Vma| vma.start(cpu) < addr && addr < vma.end(cpu) && vma.flags(cpu).contains(VmFlags::HUGETLB);
    mm.vmas.look(cpu.core).iter().copied().find(is_cut)
}

/// `vm_ops->may_split()`: what is asked before the locks of the mapping and of its file are taken. The second of two splits of one mapping
/// is asked when the first has locked it: a fault that holds the mapping alone cannot come in between any more.
pub(crate) async fn may_split<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, cuts: [VirtAddr; 2]) {
    if !cpu.kernel.has_hugetlb() {
        return;
    }
    let ask: BoxFuture<'m, ()> = Box::pin(async move {
        for addr in cuts {
            if let Some(vma) = cut_hugetlb(cpu, mm, addr) {
                hugetlb_vm_op_split(cpu, mm, vma, addr).await;
                lock_before_i_mmap(cpu, mm, vma).await;
            }
        }
    });
    ask.await;
}

/// The part of `__split_vma()` between `vma_prepare()` and the split: mappings begin or end at these addresses soon. The caller holds `mmap_lock` for
/// writing, has locked the mappings, and holds `i_mmap_rwsem` of their files.
pub(crate) async fn prepare_split<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, cuts: [VirtAddr; 2]) {
    vma_adjust_trans_huge(cpu, mm, cuts).await;
    if !cpu.kernel.has_hugetlb() {
        return;
    }
    let split: BoxFuture<'m, ()> = Box::pin(async move {
        for addr in cuts {
            if let Some(vma) = cut_hugetlb(cpu, mm, addr) {
                hugetlb_split(cpu, mm, vma, addr).await;
            }
        }
    });
    split.await;
}
