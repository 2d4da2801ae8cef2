//! `prctl(PR_SET_MEMORY_MERGE)`.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use super::mergeable::is_compatible;
use super::unmerge::unmerge_ksm_pages;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::mmap::find_vma;
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
        let mut mmap_lock = MmapLock::from(mmap_write_lock(cpu, mm).await);
        // Of mappings that say otherwise by themselves, nothing changes if all of the address space says so already.
        if cpu.this_cpu_read(mm.merge_any()) == enable {
            return Ok(());
        }
        if !enable && cpu.kernel.has_ksm() {
            mmap_lock = Box::pin(ksm_del_vmas(cpu, mm, mmap_lock)).await?;
        }
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
        drop(mmap_lock);
        Ok(())
    })
}

/// `ksm_del_vmas()`: no page of any mapping is a merged one any more. The lock is taken anew if a fault let go of it.
async fn ksm_del_vmas<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, mmap_lock: MmapLock<'m>) -> Result<MmapLock<'m>, Errno> {
    let mut held = mmap_lock;
    let mut addr = VirtAddr(0);
    while let Some(vma) = find_vma(cpu, mm, addr).await {
        addr = vma.end(cpu);
        if !vma.flags(cpu).contains(VmFlags::MERGEABLE) || vma.anon_vma(cpu).is_none() {
            continue;
        }
        let range = (vma.start(cpu), addr);
        let (unmerged, kept) = unmerge_ksm_pages(cpu, mm, held, vma, range).await;
        unmerged?;
        held = match kept {
            Some(kept) => kept,
            None => {
                addr = range.0;
                mmap_write_lock(cpu, mm).await.into()
            }
        };
    }
    Ok(held)
}
