//! Memory that processes share: `mm/shmem.c`, and the parts of `mm/filemap.c` on which it stands.
//!
//! Shared anonymous memory is a file without a name. Its pages belong to the file, and the page cache holds a
//! reference to each. A process that touches a page maps it from there. The file is freed with its last mapping.

use sim_core::Routine;

use crate::errno::Errno;
use crate::event::{Event, SharedPage};
use crate::fault_inject::should_fail;
use crate::fs::Inode;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page::{page_cache_get_speculative, put_page};
use crate::page_alloc::alloc_zeroed_user_highpage_movable;
use crate::page_flags::file_mapping;
use crate::swap::folio_add_lru;

/// `get_file()`.
pub(crate) fn get_file(cpu: Cpu<'_>, inode: Inode) {
    let count = cpu.kernel.shmem.inodes.deref(**cpu, inode).f_count();
    cpu.this_cpu_write(count, cpu.this_cpu_read(count) + 1);
}

/// `fput()` by a holder who knows of another reference; answers whether there is none after all.
pub(crate) fn fput(cpu: Cpu<'_>, inode: Inode) -> bool {
    let count = cpu.kernel.shmem.inodes.deref(**cpu, inode).f_count();
    let left = cpu.this_cpu_read(count).wrapping_sub(1);
    cpu.this_cpu_write(count, left);
    left == 0
}

/// `shmem_zero_setup()`: a file of `pages` pages for a shared anonymous mapping, which holds the one reference to it.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn shmem_zero_setup(cpu: Cpu<'_>, pages: u64) -> Result<Inode, Errno> {
    if should_fail(cpu, "a file") {
        return Err(Errno::Enomem);
    }
    let inode = cpu.kernel.shmem.inodes.alloc(cpu.core).ok_or(Errno::Enomem)?;
    let words = cpu.kernel.shmem.inodes.deref(**cpu, inode);
    cpu.this_cpu_write(words.f_count(), 1);
    cpu.this_cpu_write(words.i_size(), pages);
    Ok(inode)
}

/// `fput()`; with the last reference, `shmem_evict_inode()`: the pages lose that of the cache.
pub(crate) async fn shmem_put(cpu: Cpu<'_>, inode: Inode) {
    if fput(cpu, inode) {
        let _routine = cpu.enter(Routine::helper("shmem_evict_inode"));
        shmem_undo_range(cpu, inode, 0, u64::MAX).await;
        cpu.kernel.shmem.inodes.free(cpu.core, inode);
    }
}

/// `shmem_undo_range()`: takes pages `from` up to `to` out of the file.
pub(crate) async fn shmem_undo_range(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    loop {
        let kernel: &Kernel = cpu.kernel;
        let taken = cpu
            .update(kernel.shmem.i_pages(inode), |pages| {
                let index = *pages.range(from..to).next()?.0;
                pages.remove(&index)
            })
            .await;
        let Some(page) = taken else { return };
        cpu.this_cpu_write(cpu.kernel.page(page).mapping(), 0);
        put_page(cpu, page).await;
    }
}

/// `find_get_page()`: the page of the file, with a reference; `None` if it has none there.
pub(crate) async fn find_get_page(cpu: Cpu<'_>, inode: Inode, index: u64) -> Option<Page> {
    let kernel: &Kernel = cpu.kernel;
    loop {
        let page = cpu.read(kernel.shmem.i_pages(inode), |pages| pages.get(&index).copied()).await?;
        if !page_cache_get_speculative(cpu, page).await {
            continue;
        }
        // The page may have left the file, and be another's, before the reference was there.
        if is_cached(cpu, inode, index, page).await {
            return Some(page);
        }
        put_page(cpu, page).await;
    }
}

/// Whether the file has this very page there.
pub(crate) async fn is_cached(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page) -> bool {
    let kernel: &Kernel = cpu.kernel;
    cpu.read(kernel.shmem.i_pages(inode), |pages| pages.get(&index) == Some(&page)).await
}

/// Why a file has no page for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShmemError {
    /// The file is shorter.
    BeyondEnd,
    /// No frame is free.
    NoFrame,
}

/// `shmem_getpage()`: the page of the file, with a reference; a new one full of zeroes if it has none there.
///
/// # Errors
/// Beyond the end of the file, or if no frame is free.
pub(crate) async fn shmem_getpage(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Page, ShmemError> {
    let _routine = cpu.enter(Routine::helper("shmem_getpage"));
    let kernel: &Kernel = cpu.kernel;
    if index >= cpu.this_cpu_read(kernel.shmem.inodes.deref(**cpu, inode).i_size()) {
        return Err(ShmemError::BeyondEnd);
    }
    loop {
        if let Some(page) = find_get_page(cpu, inode, index).await {
            return Ok(page);
        }
        let page = alloc_zeroed_user_highpage_movable(cpu).await.ok_or(ShmemError::NoFrame)?;
        // The reference of the page cache, before anybody can find the page there.
        crate::page::get_page(cpu, page).await;
        let added = cpu
            .update(kernel.shmem.i_pages(inode), |pages| {
                let free = !pages.contains_key(&index);
                if free {
                    pages.insert(index, page);
                }
                free
            })
            .await;
        if added {
            let cached = SharedPage { file: inode.index() as u32, index };
            cpu.note(Event::PageCached { pfn: page.0, page: cached });
            cpu.this_cpu_write(cpu.kernel.page(page).mapping(), file_mapping(inode.index()));
            cpu.this_cpu_write(cpu.kernel.page(page).index(), index);
            folio_add_lru(cpu, page).await;
            return Ok(page);
        }
        put_page(cpu, page).await;
        put_page(cpu, page).await;
    }
}
