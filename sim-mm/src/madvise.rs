//! `mm/madvise.c`.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::memory::zap_page_range;
use crate::mmap::find_vma;
use crate::safeguards::MADVISE_MMAP_LOCK;

/// `madvise(start, end, MADV_DONTNEED)`: the pages' contents are gone; the mapping stays.
///
/// # Errors
/// `EINVAL` outside any address space or for an unaligned start, `ENOMEM` if a part of the range is not mapped.
pub fn madvise_dontneed(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(do_madvise(cpu, start, end))
}

async fn do_madvise(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("madvise_dontneed"));
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let end = end.page_align();
    if start.offset() != 0 || end < start {
        return Err(Errno::Einval);
    }
    let _mmap_lock = if cpu.has(MADVISE_MMAP_LOCK) { Some(cpu.down_read(mm.mmap_lock).await) } else { None };
    let mut addr = start;
    let mut unmapped = false;
    while addr < end {
        let Some(vma) = find_vma(cpu, mm, addr).await.filter(|vma| vma.start(cpu) < end) else {
            return Err(Errno::Enomem);
        };
        unmapped |= addr < vma.start(cpu);
        let from = addr.max(vma.start(cpu));
        let to = end.min(vma.end(cpu));
        zap_page_range(cpu, mm, from, to).await;
        // The mapping is looked at once more: only `mmap_lock` says that it still exists.
        addr = to.max(vma.end(cpu).min(end));
    }
    if unmapped { Err(Errno::Enomem) } else { Ok(()) }
}
