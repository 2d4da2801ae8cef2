//! `mm/msync.c`. No file has a device behind it, so nothing is ever written back, and only the errors are left.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mman::MsFlags;
use crate::mmap::find_vma;
use crate::vm_flags::VmFlags;

/// `msync()`.
///
/// # Errors
/// `EINVAL` for an unaligned start or both `MS_SYNC` and `MS_ASYNC`, `ENOMEM` where nothing is mapped, `EBUSY` for
/// `MS_INVALIDATE` of locked memory.
pub fn sys_msync(
    cpu: Cpu<'_>,
    start: VirtAddr,
    end: VirtAddr,
    flags: MsFlags,
) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(do_msync(cpu, start, end, flags))
}

async fn do_msync(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr, flags: MsFlags) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("msync"));
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    if start.offset() != 0 || flags.contains(MsFlags::ASYNC | MsFlags::SYNC) {
        return Err(Errno::Einval);
    }
    let end = end.page_align();
    if end < start {
        return Err(Errno::Enomem);
    }
    let mut at = start;
    let mut hole = false;
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    while at < end {
        let vma = find_vma(cpu, mm, at).await.ok_or(Errno::Enomem)?;
        if at < vma.start(cpu) {
            if flags == MsFlags::ASYNC || vma.start(cpu) >= end {
                return Err(Errno::Enomem);
            }
            hole = true;
        }
        if flags.contains(MsFlags::INVALIDATE) && vma.flags(cpu).contains(VmFlags::LOCKED) {
            return Err(Errno::Ebusy);
        }
        at = vma.end(cpu);
    }
    if hole { Err(Errno::Enomem) } else { Ok(()) }
}
