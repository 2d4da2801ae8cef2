//! NUMA hinting: `change_prot_numa()` of `mm/mempolicy.c`, and its caller `task_numa_work()` of `kernel/sched/fair.c`.
//!
//! The kernel wants to learn which node uses a page. So it takes all access from the entry, although the mapping allows it.
//! The next access faults. The kernel notes who it was, and gives the access back.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::inode::vma_is_dax;
use crate::kernel::Cpu;
use crate::mmap::find_vma;
use crate::mprotect::{Change, change_protection_range};
use crate::vm_flags::VmFlags;

/// `task_numa_work()`: marks the pages from `start` up to `end` of the current process, mapping by mapping. On a machine the
/// kernel does so by itself from time to time.
///
/// # Errors
/// `EINVAL`, if the task has no address space any more.
pub fn task_numa_work(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("task_numa_work"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
        let mut addr = start;
        while addr < end {
            let Some(vma) = find_vma(cpu, mm, addr).await.filter(|vma| vma.start(cpu) < end) else { break };
            let (from, to) = (addr.max(vma.start(cpu)), end.min(vma.end(cpu)));
            let flags = vma.flags(cpu);
            // vma_migratable(), is_vm_hugetlb_page(), vma_is_accessible()
            let stays = flags.intersects(VmFlags::PFNMAP | VmFlags::IO | VmFlags::HUGETLB) || vma_is_dax(cpu, vma);
            if !stays && flags.is_accessible() {
                let change = Change::Numa { is_cow: flags.is_cow_mapping() };
                change_protection_range(cpu, mm, vma, (from, to), change).await;
            }
            addr = to;
        }
        Ok(())
    })
}
