//! Stacks that grow: `find_extend_vma()` and `expand_stack()` of `mm/mmap.c`.

use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap::find_vma;
use crate::mmap_lock::MmapLock;
use crate::rmap::anon_vma_prepare;
use crate::settings::StackGrowth;
use crate::vm_flags::VmFlags;
use crate::vma::{change_vmas, mmap_write_lock, vma_expand_down};

/// `lock_mm_and_find_vma()`: takes `mmap_lock` for a fault, and finds the mapping that the address is in. A stack grows down
/// to it, since v6.5 only with the lock held for writing.
pub(crate) async fn lock_mm_and_find_vma<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    addr: VirtAddr,
) -> Option<(Vma, MmapLock<'m>)> {
    let reading = cpu.down_read(mm.mmap_lock).await;
    if cpu.setting::<StackGrowth>() == StackGrowth::Shared {
        return find_extend_vma(cpu, mm, addr).await.map(|vma| (vma, reading.into()));
    }
    let vma = find_vma(cpu, mm, addr).await?;
    if vma.contains(cpu, addr) {
        return Some((vma, reading.into()));
    }
    if !vma.flags(cpu).contains(VmFlags::GROWSDOWN) {
        return None;
    }
    // upgrade_mmap_lock_carefully(): what was found may be gone in between.
    drop(reading);
    let writing = mmap_write_lock(cpu, mm).await;
    let vma = find_vma(cpu, mm, addr).await?;
    if !vma.contains(cpu, addr) {
        if !vma.flags(cpu).contains(VmFlags::GROWSDOWN) {
            return None;
        }
        expand_downwards(cpu, mm, vma, addr.page_base()).await.ok()?;
    }
    writing.downgrade().map(|reading| (vma, reading.into()))
}

/// `find_extend_vma()`: the mapping that the address is in, after a stack right behind it has grown down to it. The caller
/// holds `mmap_lock`, for reading only. Since v6.5 no stack grows so.
pub async fn find_extend_vma(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Vma> {
    let vma = find_vma(cpu, mm, addr).await?;
    if vma.contains(cpu, addr) {
        return Some(vma);
    }
    let grows = vma.flags(cpu).contains(VmFlags::GROWSDOWN);
    if !grows || cpu.setting::<StackGrowth>() == StackGrowth::Exclusive {
        return None;
    }
    expand_downwards(cpu, mm, vma, addr.page_base()).await.ok().map(|()| vma)
}

/// `expand_downwards()`: as far as the mapping before it, for `stack_guard_gap` is zero. Two threads that grow one stack
/// exclude each other by `page_table_lock`.
async fn expand_downwards(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, addr: VirtAddr) -> Result<(), Errno> {
    let _routine = cpu.enter("expand_downwards");
    if addr.0 == 0 {
        return Err(Errno::Eperm);
    }
    anon_vma_prepare(cpu, mm, vma).await?;
    let _page_table_lock = cpu.lock(mm.page_table_lock()).await;
    change_vmas(cpu, mm, |vmas| {
        if addr < vma.start(cpu) {
            if cpu.setting::<StackGrowth>() == StackGrowth::Exclusive {
                vmas.start_write(cpu, vma)?;
            }
            vma_expand_down(cpu, vma, addr);
        }
        Ok(())
    })
    .await
}
