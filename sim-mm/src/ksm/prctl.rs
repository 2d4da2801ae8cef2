//! `prctl(PR_SET_MEMORY_MERGE)`.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use super::mergeable::is_compatible;
use super::unmerge::unmerge_range;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mmap_lock::MmapLock;
use crate::vm_flags::VmFlags;
use crate::vma::{change_vmas, mmap_write_lock};

/// `prctl(PR_SET_MEMORY_MERGE)`: equal pages of all private memory may be merged, or must not any more:
/// `ksm_enable_merge_any()`, `ksm_disable_merge_any()`.
///
/// # Errors
/// `EINVAL`, if the caller has no address space.
pub fn prctl_set_memory_merge(cpu: Cpu<'_>, enable: bool) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("prctl_set_memory_merge"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        let mmap_lock = mmap_write_lock(cpu, mm).await;
        // Of mappings that say otherwise by themselves, nothing changes if all of the address space says so already.
        if cpu.this_cpu_read(mm.merge_any()) == enable {
            return Ok(());
        }
        let _mmap_lock = if enable || !cpu.kernel.has_ksm() {
            MmapLock::from(mmap_lock)
        } else {
            // ksm_del_vmas()
            let all = (VirtAddr(0), cpu.mmu.geometry.task_size());
            Box::pin(unmerge_range(cpu, mm, mmap_lock, all)).await?
        };
        change_vmas(cpu, mm, |vmas| {
            for vma in vmas.iter().filter(|vma| is_compatible(vma.flags(cpu))) {
                vmas.start_write(cpu, *vma)?;
            }
            for vma in vmas.iter().filter(|vma| is_compatible(vma.flags(cpu))) {
                let mut flags = vma.flags(cpu);
                flags.set(VmFlags::MERGEABLE, enable);
                vma.set_flags(cpu, flags);
            }
            Ok(())
        })
        .await?;
        cpu.this_cpu_write(mm.merge_any(), enable);
        Ok(())
    })
}
