//! `fs/open.c`: changing the length of files, and their holes.

use sim_core::{BoxFuture, Routine};

use crate::errno::Errno;
use crate::inode::{get_file, on_disk};
use crate::kernel::Cpu;
use crate::memfd::{Memfd, fget};
use crate::mpage::{fill_blocks, has_room};
use crate::shmem::{shmem_file_setup, shmem_put};
use crate::truncate::{invalidate_mapping_pages, shmem_punch_hole, shmem_setattr, truncate_setsize};

/// `open()` with `O_CREAT` of a file on the disk that has `pages` pages. With `holds`, it is there already, and has a block for each page, of
/// which the first word holds that. Without, all of its pages are holes. Its name keeps the file, whoever closes it.
///
/// # Errors
/// `ENOENT` on a machine without a disk, `EBUSY` if the descriptor is open already, `ENOMEM` if the machine has no room for one more file,
/// `ENOSPC` if the disk has no room for its pages.
pub fn sys_open<'m>(
    cpu: Cpu<'m>,
    fd: &'m Memfd,
    pages: u64,
    holds: Option<u64>,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("do_sys_open"));
        if cpu.kernel.disk.len() == 0 {
            return Err(Errno::Enoent);
        }
        cpu.update(fd.file_of(), |file| {
            if file.is_some() {
                return Err(Errno::Ebusy);
            }
            if holds.is_some() && !has_room(cpu, pages) {
                return Err(Errno::Enospc);
            }
            let inode = shmem_file_setup(cpu, pages)?;
            cpu.this_cpu_write(cpu.kernel.shmem.inodes.deref(**cpu, inode).on_disk(), true);
            // The name has a reference as well.
            get_file(cpu, inode);
            if let Some(value) = holds {
                fill_blocks(cpu, inode, pages, value);
            }
            *file = Some(inode);
            Ok(())
        })
        .await
    })
}

/// `posix_fadvise()` with `POSIX_FADV_DONTNEED`; answers how many pages left the file.
///
/// # Errors
/// `EBADF`, if the descriptor is not open.
pub fn sys_fadvise_dontneed<'m>(cpu: Cpu<'m>, fd: &'m Memfd) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("generic_fadvise"));
        let inode = fget(cpu, fd).await?;
        // What is in memory alone has nowhere to come back from.
        let gone = if on_disk(cpu, inode) { invalidate_mapping_pages(cpu, inode).await } else { 0 };
        shmem_put(cpu, inode).await;
        Ok(gone)
    })
}

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
            if on_disk(cpu, inode) {
                Box::pin(truncate_setsize(cpu, inode, pages)).await;
            } else {
                shmem_setattr(cpu, inode, pages).await;
            }
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
