//! `fs/read_write.c`: reading and writing a file, and not its mapping. A page stands for its first word.

use sim_core::{BoxFuture, Op, OpKind, Routine};

use crate::errno::Errno;
use crate::fs::Inode;
use crate::inode::{i_size_read, i_size_write};
use crate::kernel::Cpu;
use crate::memfd::{Memfd, fget};
use crate::mm_types::Page;
use crate::page::{put_page, set_page_dirty, unlock_page};
use crate::shmem::{Sgp, ShmemError, shmem_getpage, shmem_put};
use crate::swap::mark_page_accessed;

/// `pread()` of the first word of a page; `None` at the end of the file and behind it.
///
/// # Errors
/// `EBADF`, if the descriptor is not open.
pub fn sys_pread<'m>(cpu: Cpu<'m>, fd: &'m Memfd, index: u64) -> BoxFuture<'m, Result<Option<u64>, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("vfs_read"));
        let inode = fget(cpu, fd).await?;
        let read = shmem_file_read_iter(cpu, inode, index).await;
        shmem_put(cpu, inode).await;
        read
    })
}

/// `shmem_file_read_iter()`: a hole is read as zero, and stays a hole.
async fn shmem_file_read_iter(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Option<u64>, Errno> {
    let _routine = cpu.enter("shmem_file_read_iter");
    let page = match shmem_getpage(cpu, inode, index, Sgp::Read).await {
        Ok(page) => page,
        Err(ShmemError::BeyondEnd) => return Ok(None),
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

/// `pwrite()` of the first word of a page. A file that ends before is longer then.
///
/// # Errors
/// `EBADF` if the descriptor is not open, `ENOMEM` if no frame is free.
pub fn sys_pwrite<'m>(cpu: Cpu<'m>, fd: &'m Memfd, index: u64, value: u64) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("vfs_write"));
        let inode = fget(cpu, fd).await?;
        let written = {
            let _inode = cpu.down_write(cpu.kernel.shmem.i_rwsem(inode)).await;
            generic_perform_write(cpu, inode, index, value).await
        };
        shmem_put(cpu, inode).await;
        written
    })
}

/// `generic_perform_write()`, from `shmem_write_begin()` to `shmem_write_end()`.
async fn generic_perform_write(cpu: Cpu<'_>, inode: Inode, index: u64, value: u64) -> Result<(), Errno> {
    let _routine = cpu.enter("generic_perform_write");
    let Ok(Some(page)) = shmem_getpage(cpu, inode, index, Sgp::Write).await else {
        return Err(Errno::Enomem);
    };
    write_word(cpu, page, value).await;
    if index >= i_size_read(cpu, inode).await {
        i_size_write(cpu, inode, index + 1).await;
    }
    set_page_dirty(cpu, page).await;
    unlock_page(cpu, page).await;
    put_page(cpu, page).await;
    Ok(())
}

/// `copy_page_from_iter_atomic()`, by the kernel's own mapping of the page.
async fn write_word(cpu: Cpu<'_>, page: Page, value: u64) {
    let op = Op::new(OpKind::Write, cpu.mmu.phys.word(page.0, 0));
    cpu.step(op, move |hw| hw.perform_store(&op, value)).await;
}
