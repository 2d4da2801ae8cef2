//! `fs/open.c`: changing the length of files, and their holes.

use sim_core::{BoxFuture, Routine};

use crate::check;
use crate::dax_file::{dax_punch_hole, dax_setattr};
use crate::errno::Errno;
use crate::fs::{FMode, File, Inode};
use crate::hugetlb::hugetlb_setattr;
use crate::inode::{
    filemap_nr_thps, get_file, get_write_access, is_dax, is_dev_dax, is_hugetlbfs, is_secret, on_disk,
};
use crate::kernel::Cpu;
use crate::memfd::{Memfd, fget, fget_write, install_new};
use crate::memory::{Zap, unmap_mapping_range};
use crate::mpage::{fill_blocks, has_room};
use crate::safeguards::{OPEN_KEEPS_PRIVATE_PAGES, OPEN_TRUNCATES_HUGE_PAGES};
use crate::shmem::shmem_file_setup;
use crate::truncate::{
    invalidate_mapping_pages, shmem_punch_hole, shmem_setattr, truncate_inode_pages, truncate_setsize,
};

/// What `open()` opens.
#[derive(Clone, Copy, Debug)]
pub enum Open<'m> {
    /// `O_CREAT`: a file of so many pages, under a name of its own, which keeps the file, whoever closes it. If it `holds` something, it is there
    /// already, and has a block for each page, of which the first word holds that. Otherwise all of its pages are holes.
    Create {
        /// Its length in pages.
        pages: u64,
        /// What is in it.
        holds: Option<u64>,
    },
    /// The file that this descriptor was made with, by its name.
    Existing(&'m Memfd),
}

/// `open()` of a file on the disk.
///
/// # Errors
/// `ENOENT` on a machine without a disk, or if there is no such file, `EBUSY` if the descriptor is open already, `ENOMEM` if the machine has no
/// room for one more file, `ENOSPC` if the disk has no room for its pages.
pub fn sys_open<'m>(
    cpu: Cpu<'m>,
    fd: &'m Memfd,
    what: Open<'m>,
    f_mode: FMode,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("do_sys_open"));
        if cpu.kernel.disk.len() == 0 {
            return Err(Errno::Enoent);
        }
        match what {
            Open::Create { pages, holds } => create(cpu, fd, pages, holds, f_mode).await,
            Open::Existing(of) => open_again(cpu, fd, of, f_mode).await,
        }
    })
}

/// `ext2_create()` and its kin, with the first open of the file.
async fn create(cpu: Cpu<'_>, fd: &Memfd, pages: u64, holds: Option<u64>, f_mode: FMode) -> Result<(), Errno> {
    install_new(cpu, fd, f_mode, || {
        if holds.is_some() && !has_room(cpu, pages) {
            return Err(Errno::Enospc);
        }
        let inode = shmem_file_setup(cpu, pages)?;
        cpu.this_cpu_write(cpu.kernel.shmem.inodes.deref(**cpu, inode).on_disk(), true);
        // The name has a reference as well.
        get_file(cpu, inode);
        fd.dentry().poke(cpu.core, |dentry| *dentry = Some(inode));
        if let Some(value) = holds {
            fill_blocks(cpu, inode, pages, value);
        }
        Ok(inode)
    })
    .await
}

/// The open of a file that is there. `fd_install()` comes last.
async fn open_again(cpu: Cpu<'_>, fd: &Memfd, of: &Memfd, f_mode: FMode) -> Result<(), Errno> {
    let inode = cpu.read(of.dentry(), |dentry| *dentry).await.ok_or(Errno::Enoent)?;
    let file = do_dentry_open(cpu, inode, f_mode).await;
    let is_free = cpu
        .update(fd.file_of(), |open| {
            let is_free = open.is_none();
            if is_free {
                *open = Some(file);
            }
            is_free
        })
        .await;
    if !is_free {
        file.put(cpu).await;
        return Err(Errno::Ebusy);
    }
    Ok(())
}

/// `do_dentry_open()`. A file system of which the pages are single ones cannot write to a huge page. So who opens a file for writing first takes its
/// pages out of memory, if there are huge ones among them. Who collapses pages looks for writers behind that, in `collapse_file()`: each counts
/// itself before it looks for the other.
async fn do_dentry_open(cpu: Cpu<'_>, inode: Inode, f_mode: FMode) -> File {
    let _routine = cpu.enter("do_dentry_open");
    let file = File { inode, f_mode };
    get_file(cpu, inode);
    if file.writes() {
        get_write_access(cpu, inode).await;
        if check!(cpu, OPEN_TRUNCATES_HUGE_PAGES, filemap_nr_thps(cpu, inode).await > 0) {
            let _invalidate_lock = cpu.down_write(cpu.kernel.disk.invalidate_lock(inode)).await;
            let zap = if cpu.has(OPEN_KEEPS_PRIVATE_PAGES) { Zap::FilePages } else { Zap::Pages };
            unmap_mapping_range(cpu, inode, 0, u64::MAX, zap).await;
            truncate_inode_pages(cpu, inode).await;
        }
    }
    file
}

/// `posix_fadvise()` with `POSIX_FADV_DONTNEED`; answers how many pages left the file.
///
/// # Errors
/// `EBADF`, if the descriptor is not open.
pub fn sys_fadvise_dontneed<'m>(cpu: Cpu<'m>, fd: &'m Memfd) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("generic_fadvise"));
        let file = fget(cpu, fd).await?;
        let inode = file.inode;
        // What is in memory alone has nowhere to come back from.
        let gone = if on_disk(cpu, inode) { invalidate_mapping_pages(cpu, inode).await } else { 0 };
        file.put(cpu).await;
        Ok(gone)
    })
}

/// `ftruncate()` to `pages` pages.
///
/// # Errors
/// `EBADF` if the descriptor is not open, `EINVAL` if it is not open for writing, or leads to secret memory, to a device, or to huge pages of which the length is no number.
pub fn sys_ftruncate<'m>(cpu: Cpu<'m>, fd: &'m Memfd, pages: u64) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("do_truncate"));
        let file = fget(cpu, fd).await?;
        // Secret memory has got its length by now: secretmem_setattr().
        if !file.writes() || is_secret(cpu, file.inode) || is_dev_dax(cpu, file.inode) {
            file.put(cpu).await;
            return Err(Errno::Einval);
        }
        let inode = file.inode;
        let mut done = Ok(());
        {
            let _inode = cpu.down_write(cpu.kernel.shmem.i_rwsem(inode)).await;
            if is_dax(cpu, inode) {
                Box::pin(dax_setattr(cpu, inode, pages)).await;
            } else if on_disk(cpu, inode) {
                Box::pin(truncate_setsize(cpu, inode, pages)).await;
            } else if is_hugetlbfs(cpu, inode) {
                done = Box::pin(hugetlb_setattr(cpu, inode, pages)).await;
            } else {
                shmem_setattr(cpu, inode, pages).await;
            }
        }
        file.put(cpu).await;
        done
    })
}

/// `fallocate()` with `FALLOC_FL_PUNCH_HOLE` and `FALLOC_FL_KEEP_SIZE`: of pages `from` on, `pages` become a hole.
///
/// # Errors
/// `EBADF` if the descriptor is not open for writing, `EINVAL` for a hole of no length, `EFBIG` for one that no file can have,
/// `EOPNOTSUPP` for secret memory, `ENODEV` for a device.
pub fn sys_punch_hole<'m>(cpu: Cpu<'m>, fd: &'m Memfd, from: u64, pages: u64) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("vfs_fallocate"));
        let file = fget_write(cpu, fd).await?;
        let done = match from.checked_add(pages) {
            _ if pages == 0 => Err(Errno::Einval),
            None => Err(Errno::Efbig),
            Some(_) if is_secret(cpu, file.inode) => Err(Errno::Eopnotsupp),
            Some(_) if is_dev_dax(cpu, file.inode) => Err(Errno::Enodev),
            Some(to) if is_dax(cpu, file.inode) => {
                Box::pin(dax_punch_hole(cpu, file.inode, from, to)).await;
                Ok(())
            }
            Some(to) => {
                shmem_punch_hole(cpu, file.inode, from, to).await;
                Ok(())
            }
        };
        file.put(cpu).await;
        done
    })
}
