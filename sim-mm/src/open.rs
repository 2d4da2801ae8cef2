//! `fs/open.c`: changing the length of files, and their holes.

use sim_core::{BoxFuture, Routine};

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::memfd::{Memfd, fget};
use crate::shmem::shmem_put;
use crate::truncate::{shmem_punch_hole, shmem_setattr};

/// `ftruncate()` to `pages` pages.
///
/// # Errors
/// `EBADF`, if the descriptor is not open.
pub fn sys_ftruncate<'m>(cpu: Cpu<'m>, fd: &'m Memfd, pages: u64) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("do_truncate"));
        let inode = fget(cpu, fd).await?;
        {
            let _inode = cpu.down_write(cpu.kernel.shmem.i_rwsem(inode)).await;
            shmem_setattr(cpu, inode, pages).await;
        }
        shmem_put(cpu, inode).await;
        Ok(())
    })
}

/// `fallocate()` with `FALLOC_FL_PUNCH_HOLE` and `FALLOC_FL_KEEP_SIZE`: of pages `from` on, `pages` become a hole.
///
/// # Errors
/// `EBADF` if the descriptor is not open, `EINVAL` for a hole of no length, `EFBIG` for one that no file can have.
pub fn sys_punch_hole<'m>(cpu: Cpu<'m>, fd: &'m Memfd, from: u64, pages: u64) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("vfs_fallocate"));
        let inode = fget(cpu, fd).await?;
        let done = match from.checked_add(pages) {
            _ if pages == 0 => Err(Errno::Einval),
            None => Err(Errno::Efbig),
            Some(to) => {
                shmem_punch_hole(cpu, inode, from, to).await;
                Ok(())
            }
        };
        shmem_put(cpu, inode).await;
        done
    })
}
