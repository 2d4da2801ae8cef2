//! The heap: `brk()` of `mm/mmap.c`.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::ksm::ksm_vma_flags;
use crate::mm_types::{MmStruct, VmaSnapshot};
use crate::mmap::{do_munmap, find_vma};
use crate::vm_flags::VmFlags;
use crate::vma::{NewRange, Source, change_vmas, mmap_write_lock, vm_area_alloc, vma_link, vma_merge_new_range};

/// `brk()`: the heap ends at `brk` from now on, rounded up to a page. Answers where it ends: where it did before, if it
/// cannot.
pub fn sys_brk(cpu: Cpu<'_>, brk: VirtAddr) -> BoxFuture<'_, VirtAddr> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("brk"));
        let Some(mm) = cpu.current_mm() else { return VirtAddr(0) };
        let _mmap_lock = mmap_write_lock(cpu, mm).await;
        let old = cpu.this_cpu_read(mm.brk());
        if brk < cpu.this_cpu_read(mm.start_brk()) || change_brk(cpu, mm, old, brk).await.is_err() {
            return old;
        }
        cpu.this_cpu_write(mm.brk(), brk);
        brk
    })
}

async fn change_brk<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, old: VirtAddr, new: VirtAddr) -> Result<(), Errno> {
    let (old, new) = (old.page_align(), new.page_align());
    if new < old {
        return do_munmap(cpu, mm, new, old).await;
    }
    if new == old {
        return Ok(());
    }
    if new > cpu.mmu.geometry.task_size() || find_vma(cpu, mm, old).await.is_some_and(|vma| vma.start(cpu) < new) {
        return Err(Errno::Enomem);
    }
    // do_brk_flags()
    let access = VmFlags::READ | VmFlags::WRITE | VmFlags::ACCOUNT;
    let flags = access | VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC;
    let (flags, alone) = ksm_vma_flags(cpu, mm, flags);
    let pgoff = old.vpn().0;
    let range = NewRange { start: old, end: new, flags, pgoff, file: None, source: Source::Nothing };
    change_vmas(cpu, mm, |vmas| {
        let vma = match vma_merge_new_range(cpu, mm, vmas, &range)? {
            Some(merged) => merged,
            None => {
                let vma = VmaSnapshot { start: old, end: new, flags: alone, pgoff, anon_vma: None, file: None };
                let new = vm_area_alloc(cpu, mm, vma)?;
                vma_link(cpu, mm, vmas, new);
                new
            }
        };
        vma.set_soft_dirty(cpu);
        Ok(())
    })
    .await
}
