//! `fs/sync.c`: what was written to a file is on the disk when a call returns.

use sim_core::{BoxFuture, Routine};

use crate::errno::Errno;
use crate::event::Event;
use crate::fs::Inode;
use crate::inode::{is_dev_dax, on_disk};
use crate::kernel::Cpu;
use crate::memfd::{Memfd, fget};
use crate::page_writeback::{SyncMode, filemap_fdatawait_range, filemap_flush, write_cache_pages};

/// `vfs_fsync_range()`: pages `from` up to `to` of the file. A file in memory has nowhere to go, so nothing is done.
///
/// # Errors
/// `EIO`, if some page could not be written since somebody was told of that last, `EINVAL` for a device.
pub(crate) fn vfs_fsync_range(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        if is_dev_dax(cpu, inode) {
            return Err(Errno::Einval);
        }
        if !on_disk(cpu, inode) {
            return Ok(());
        }
        let _routine = cpu.enter("vfs_fsync_range");
        let id = cpu.kernel.next_flush();
        cpu.note(Event::SyncBegun { file: inode.index() as u32, pages: from..to, id });
        // file_write_and_wait_range()
        let written = write_cache_pages(cpu, inode, from, to, SyncMode::All).await;
        filemap_fdatawait_range(cpu, inode, from, to).await;
        // file_check_and_advance_wb_err(): an error is told once.
        let wb_err = cpu.kernel.shmem.inodes.deref(**cpu, inode).wb_err();
        let failed = cpu.xchg(wb_err, false).await;
        let result = if failed { Err(Errno::Eio) } else { written };
        cpu.note(Event::SyncDone { id, kept: result.is_ok() });
        result
    })
}

/// `fsync()`.
///
/// # Errors
/// `EBADF` if the descriptor is not open, `EIO` if a page could not be written.
pub fn sys_fsync<'m>(cpu: Cpu<'m>, fd: &'m Memfd) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("do_fsync"));
        let file = fget(cpu, fd).await?;
        let synced = vfs_fsync_range(cpu, file.inode, 0, u64::MAX).await;
        file.put(cpu).await;
        synced
    })
}

/// `writeback_single_inode()`, as a flusher thread does it: the dirty pages of the file that nobody else is writing. Nobody is told of
/// errors here.
///
/// # Errors
/// `EBADF` if the descriptor is not open.
pub fn writeback_single_inode<'m>(cpu: Cpu<'m>, fd: &'m Memfd) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("writeback_single_inode"));
        let file = fget(cpu, fd).await?;
        if on_disk(cpu, file.inode) {
            filemap_flush(cpu, file.inode).await;
        }
        file.put(cpu).await;
        Ok(())
    })
}
