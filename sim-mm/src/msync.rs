//! `mm/msync.c`: what was written through a mapping of a file is on the disk. Of memory that no disk is behind, only the errors are left.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::inode::{dev_dax_of, get_file};
use crate::kernel::Cpu;
use crate::mman::MsFlags;
use crate::mmap::find_vma;
use crate::shmem::shmem_put;
use crate::sync::vfs_fsync_range;
use crate::vm_flags::VmFlags;

/// `msync()`.
///
/// # Errors
/// `EINVAL` for an unaligned start or both `MS_SYNC` and `MS_ASYNC`, `ENOMEM` where nothing is mapped, `EBUSY` for
/// `MS_INVALIDATE` of locked memory, `EIO` if a page could not be written.
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
    let mut mmap_lock = Some(cpu.down_read(mm.mmap_lock).await);
    while at < end {
        if mmap_lock.is_none() {
            mmap_lock = Some(cpu.down_read(mm.mmap_lock).await);
        }
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
        let (from, upto) = (at.max(vma.start(cpu)), end.min(vma.end(cpu)));
        at = vma.end(cpu);
        let has_fsync = vma.flags(cpu).contains(VmFlags::DIRTY_TRACKING) || dev_dax_of(cpu, vma).is_some();
        let is_synced = flags.contains(MsFlags::SYNC) && has_fsync;
        if let Some(file) = vma.file(cpu).filter(|_| is_synced) {
            let index = vma.index_of(cpu, from);
            let pages = upto.vpn().0 - from.vpn().0;
            // The disk is not waited for with the lock held, so the file is kept by a reference.
            get_file(cpu, file);
            mmap_lock = None;
            let synced = vfs_fsync_range(cpu, file, index, index + pages).await;
            shmem_put(cpu, file).await;
            synced?;
        }
    }
    if hole { Err(Errno::Enomem) } else { Ok(()) }
}
