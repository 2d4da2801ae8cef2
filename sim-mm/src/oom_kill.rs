//! The OOM reaper: `mm/oom_kill.c`.
//!
//! When memory has run out, a process is killed. It may hang at a place where it cannot end. So a kernel thread takes its
//! private memory, while threads of the process may still run.

use sim_core::{BoxFuture, Routine};

use crate::kernel::Cpu;
use crate::memory::{Zap, unmap_page_range};
use crate::mm_types::{MmStruct, Vma};
use crate::mmu_gather::MmuGather;
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::safeguards::OOM_REAP_GATHER_VMA;
use crate::swap::drain_before_unmapping;
use crate::vm_flags::VmFlags;

/// `oom_reap_task()`: the private memory of a process is taken. Where the reaper of Linux tries for `mmap_lock` several times and
/// then gives up, this one waits.
/// The caller is a user of the address space: `mmget_not_zero()`.
pub fn oom_reap_task<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("oom_reap_task"));
        __oom_reap_task_mm(cpu, mm).await;
    })
}

/// `__oom_reap_task_mm()`.
async fn __oom_reap_task_mm<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) {
    let _routine = cpu.enter("__oom_reap_task_mm");
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    // From now on no fault fills an empty entry: who reads would find zeroes where its data was. Faults look at this under the
    // PTE lock, and the entries are cleared under it below.
    cpu.store(mm.unstable(), true).await;
    let vmas = cpu.read(&mm.vmas, Clone::clone).await;
    drain_before_unmapping(cpu).await;
    let each = cpu.has(OOM_REAP_GATHER_VMA);
    let mut whole = if each { None } else { Some(MmuGather::gather_fullmm(cpu, mm).await) };
    for vma in vmas.into_iter().filter(|vma| may_be_reaped(cpu, *vma)) {
        let (start, end) = (vma.start(cpu), vma.end(cpu));
        let mut own = None;
        let tlb = match &mut whole {
            Some(tlb) => tlb,
            None => own.insert(MmuGather::gather(cpu, mm, start, end).await),
        };
        let range = mmu_notifier_invalidate_range_start(cpu, mm, (start, end)).await;
        unmap_page_range(cpu, tlb, vma, start, end, Zap::Pages).await;
        mmu_notifier_invalidate_range_end(cpu, mm, range).await;
        if let Some(tlb) = own {
            tlb.finish(cpu).await;
        }
    }
    if let Some(tlb) = whole {
        tlb.finish(cpu).await;
    }
}

/// Whether nobody else needs what the mapping holds, and nobody has locked it.
fn may_be_reaped(cpu: Cpu<'_>, vma: Vma) -> bool {
    let flags = vma.flags(cpu);
    !flags.intersects(VmFlags::LOCKED | VmFlags::PFNMAP | VmFlags::HUGETLB)
        && (vma.is_anonymous(cpu) || !flags.contains(VmFlags::SHARED))
}
