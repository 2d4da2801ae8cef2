//! `fs/read_write.c`: reading and writing a file, and not its mapping. A page stands for its first word.

use sim_core::{BoxFuture, Bytes, Op, OpKind, Routine};
use sim_mmu::{DataOp, Privilege, VirtAddr};

use crate::arch::fault::user_access;
use crate::dax::{dax_read, dax_write};
use crate::errno::Errno;
use crate::event::Event;
use crate::filemap::{Fgp, FilemapError, filemap_get_page};
use crate::fs::Inode;
use crate::inode::{i_size_read, i_size_write, is_dax, is_dev_dax, is_hugetlbfs, is_secret, on_disk};
use crate::kernel::Cpu;
use crate::memfd::{Memfd, fget, fget_write};
use crate::mm_types::Page;
use crate::mpage::get_block;
use crate::page::{put_page, unlock_page};
use crate::page_tags::set_page_dirty;
use crate::page_writeback::wait_for_stable_page;
use crate::safeguards::WRITE_COPY_ATOMIC;
use crate::shmem::{Sgp, ShmemError, shmem_getpage};
use crate::swap::mark_page_accessed;

/// `pread()` of the first word of a page; `None` at the end of the file and behind it.
///
/// # Errors
/// `EBADF` if the descriptor is not open, `EINVAL` if it leads to secret memory, `EIO` if the disk cannot read the page.
pub fn sys_pread<'m>(cpu: Cpu<'m>, fd: &'m Memfd, index: u64) -> BoxFuture<'m, Result<Option<u64>, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("vfs_read"));
        let file = fget(cpu, fd).await?;
        let inode = file.inode;
        let read = if is_secret(cpu, inode) || is_dev_dax(cpu, inode) {
            Err(Errno::Einval)
        } else if is_dax(cpu, inode) {
            let _inode = cpu.down_read(cpu.kernel.shmem.i_rwsem(inode)).await;
            Box::pin(dax_read(cpu, inode, index)).await
        } else if on_disk(cpu, inode) {
            generic_file_read_iter(cpu, inode, index).await
        } else {
            shmem_file_read_iter(cpu, inode, index).await
        };
        file.put(cpu).await;
        read
    })
}

/// `shmem_file_read_iter()`: a hole is read as zero, and stays a hole.
async fn shmem_file_read_iter(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Option<u64>, Errno> {
    let _routine = cpu.enter("shmem_file_read_iter");
    let page = match shmem_getpage(cpu, inode, index, Sgp::Read).await {
        Ok(page) => page,
        Err(ShmemError::BeyondEnd) => return Ok(None),
        Err(ShmemError::Io) => return Err(Errno::Eio),
        Err(_) => return Err(Errno::Enomem),
    };
    if let Some(page) = page {
        unlock_page(cpu, page).await;
    }
    // Once more: readers do not exclude who makes the file shorter.
    let word = if index >= i_size_read(cpu, inode).await {
        None
    } else if let Some(page) = page {
        mark_page_accessed(cpu, page).await;
        let op = Op::new(OpKind::Read, cpu.mmu.phys.word(page.0, 0));
        Some(cpu.step(op, move |hw| hw.perform_load(&op)).await)
    } else {
        Some(0)
    };
    if let Some(page) = page {
        put_page(cpu, page).await;
    }
    Ok(word)
}

/// `generic_file_read_iter()`, `filemap_read()`: a page that is not in memory is read from the disk.
async fn generic_file_read_iter(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Option<u64>, Errno> {
    let _routine = cpu.enter("generic_file_read_iter");
    let page = match filemap_get_page(cpu, inode, index, Fgp::Read).await {
        Ok(page) => page,
        Err(FilemapError::BeyondEnd) => return Ok(None),
        Err(FilemapError::NoFrame) => return Err(Errno::Enomem),
        Err(FilemapError::Io) => return Err(Errno::Eio),
    };
    unlock_page(cpu, page).await;
    let word = if index >= i_size_read(cpu, inode).await {
        None
    } else {
        mark_page_accessed(cpu, page).await;
        let op = Op::new(OpKind::Read, cpu.mmu.phys.word(page.0, 0));
        Some(cpu.step(op, move |hw| hw.perform_load(&op)).await)
    };
    put_page(cpu, page).await;
    Ok(word)
}

/// `block_write_begin()`: the page to write to, locked, with a block.
async fn block_write_begin(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Page, Errno> {
    let page = filemap_get_page(cpu, inode, index, Fgp::Write).await.map_err(|error| match error {
        FilemapError::Io => Errno::Eio,
        FilemapError::BeyondEnd | FilemapError::NoFrame => Errno::Enomem,
    })?;
    wait_for_stable_page(cpu, page).await;
    if let Err(errno) = get_block(cpu, inode, index).await {
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return Err(errno);
    }
    Ok(page)
}

/// Whether a file has no `write_iter()`: only mappings of it can be written.
fn cannot_be_written(cpu: Cpu<'_>, inode: Inode) -> bool {
    is_secret(cpu, inode) || is_hugetlbfs(cpu, inode) || is_dev_dax(cpu, inode)
}

/// `pwrite()` of the first word of a page. A file that ends before is longer then.
///
/// # Errors
/// `EBADF` if the descriptor is not open for writing, `EINVAL` if it leads to secret memory or to a file of hugetlbfs, `ENOMEM` if no frame is free, `EIO` or `ENOSPC` of a disk.
pub fn sys_pwrite<'m>(cpu: Cpu<'m>, fd: &'m Memfd, index: u64, value: u64) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("vfs_write"));
        let file = fget_write(cpu, fd).await?;
        let inode = file.inode;
        let written = if cannot_be_written(cpu, inode) {
            Err(Errno::Einval)
        } else {
            let _inode = cpu.down_write(cpu.kernel.shmem.i_rwsem(inode)).await;
            generic_perform_write(cpu, inode, index, value).await
        };
        file.put(cpu).await;
        written
    })
}

/// `pwrite()` of the first word of a page, from the memory of the caller.
///
/// # Errors
/// As [`sys_pwrite`]; `EFAULT` if nothing can be read there.
pub fn sys_pwrite_from<'m>(
    cpu: Cpu<'m>,
    fd: &'m Memfd,
    index: u64,
    from: VirtAddr,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("vfs_write"));
        let file = fget_write(cpu, fd).await?;
        let inode = file.inode;
        let written = if cannot_be_written(cpu, inode) {
            Err(Errno::Einval)
        } else {
            let _inode = cpu.down_write(cpu.kernel.shmem.i_rwsem(inode)).await;
            Box::pin(generic_perform_write_from(cpu, inode, index, from)).await
        };
        file.put(cpu).await;
        written
    })
}

/// `generic_perform_write()` with a source in user memory. The source may be a mapping of the very page that is written. So it is faulted in
/// before the page is locked, and copied without faults while it is. If the source has gone meanwhile, all begins anew.
async fn generic_perform_write_from(cpu: Cpu<'_>, inode: Inode, index: u64, from: VirtAddr) -> Result<(), Errno> {
    if is_dax(cpu, inode) {
        let value = user_access(cpu, from, DataOp::Read).await.map_err(|_| Errno::Efault)?;
        return dax_file_write(cpu, inode, index, value).await;
    }
    let _routine = cpu.enter("generic_perform_write");
    loop {
        // iov_iter_fault_in_readable()
        user_access(cpu, from, DataOp::Read).await.map_err(|_| Errno::Efault)?;
        let page = write_begin(cpu, inode, index).await?;
        let copied = if cpu.has(WRITE_COPY_ATOMIC) {
            let _pagefault_disabled = cpu.preempt_disable();
            cpu.access_bytes(Privilege::User, from, Bytes::ALL, DataOp::Read).await.ok().map(|read| read.value)
        } else {
            user_access(cpu, from, DataOp::Read).await.ok()
        };
        let Some(value) = copied else {
            unlock_page(cpu, page).await;
            put_page(cpu, page).await;
            continue;
        };
        write_end(cpu, inode, index, page, value).await;
        return Ok(());
    }
}

/// `generic_perform_write()`, from `shmem_write_begin()` to `shmem_write_end()`.
async fn generic_perform_write(cpu: Cpu<'_>, inode: Inode, index: u64, value: u64) -> Result<(), Errno> {
    if is_dax(cpu, inode) {
        return Box::pin(dax_file_write(cpu, inode, index, value)).await;
    }
    let _routine = cpu.enter("generic_perform_write");
    let page = write_begin(cpu, inode, index).await?;
    write_end(cpu, inode, index, page, value).await;
    Ok(())
}

/// `dax_iomap_rw()` that writes. A file that ends before is longer then.
async fn dax_file_write(cpu: Cpu<'_>, inode: Inode, index: u64, value: u64) -> Result<(), Errno> {
    dax_write(cpu, inode, index, value).await?;
    if index >= i_size_read(cpu, inode).await {
        i_size_write(cpu, inode, index + 1).await;
    }
    Ok(())
}

/// `a_ops->write_begin()`: the page to write to, locked and with a reference.
async fn write_begin(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Page, Errno> {
    if on_disk(cpu, inode) {
        return Box::pin(block_write_begin(cpu, inode, index)).await;
    }
    match shmem_getpage(cpu, inode, index, Sgp::Write).await {
        Ok(Some(page)) => Ok(page),
        Err(ShmemError::Io) => Err(Errno::Eio),
        _ => Err(Errno::Enomem),
    }
}

/// The copy, and `a_ops->write_end()`: the page is dirty, and unlocked.
async fn write_end(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page, value: u64) {
    write_word(cpu, page, value).await;
    if index >= i_size_read(cpu, inode).await {
        i_size_write(cpu, inode, index + 1).await;
    }
    set_page_dirty(cpu, page).await;
    // Only now: fsync() promises nothing of a write that has not come to its end, and finds the page by its tag.
    cpu.note(Event::PageWritten { pfn: page.0 });
    unlock_page(cpu, page).await;
    put_page(cpu, page).await;
}

/// `copy_page_from_iter_atomic()`, by the kernel's own mapping of the page.
async fn write_word(cpu: Cpu<'_>, page: Page, value: u64) {
    let op = Op::new(OpKind::Write, cpu.mmu.phys.word(page.0, 0));
    cpu.step(op, move |hw| hw.perform_store(&op, value)).await;
}
