//! Stacks that grow: `find_extend_vma()` and `expand_stack()` of `mm/mmap.c`.

use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap::find_vma;
use crate::rmap::anon_vma_prepare;
use crate::vm_flags::VmFlags;
use crate::vma::vma_expand_down;

/// `find_extend_vma()`: the mapping that the address is in, after a stack right behind it has grown down to it. The caller
/// holds `mmap_lock`, perhaps for reading only.
pub async fn find_extend_vma(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Vma> {
    let vma = find_vma(cpu, mm, addr).await?;
    if vma.contains(cpu, addr) {
        return Some(vma);
    }
    if !vma.flags(cpu).contains(VmFlags::GROWSDOWN) {
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
    anon_vma_prepare(cpu, mm, vma)?;
    let _page_table_lock = cpu.lock(mm.page_table_lock()).await;
    cpu.update(&mm.vmas, |_| {
        if addr < vma.start(cpu) {
            vma_expand_down(cpu, vma, addr);
        }
    })
    .await;
    Ok(())
}
