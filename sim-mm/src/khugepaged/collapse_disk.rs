//! What `collapse_file()` does besides with a file on a disk (`CONFIG_READ_ONLY_THP_FOR_FS`).
//!
//! The file system reads and writes single pages. So the huge page must hold what the disk has, and nobody may write to the file as long as it has
//! one.

use super::control::Scan;
use crate::check;
use crate::filemap::{Fgp, filemap_get_entry, filemap_get_page, trylock_page};
use crate::fs::Inode;
use crate::inode::{filemap_nr_thps_dec, filemap_nr_thps_inc, inode_is_open_for_write};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::put_page;
use crate::page_flags::PageFlags;
use crate::page_writeback::filemap_flush;
use crate::safeguards::{COLLAPSE_FILE_CHECK_DIRTY, COLLAPSE_FILE_CHECK_WRITERS};
use crate::shmem_fs::Cached;
use crate::swap::lru_add_drain;

/// The page of the file, locked and with a reference. It is read, if it is not in memory. A dirty one comes from somebody who had the
/// file open for writing before. It is written back now, so that the next attempt finds it clean.
pub(super) async fn lock_page_on_disk(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Page, Scan> {
    let Some(page) = filemap_get_entry(cpu, inode, index).await.and_then(Cached::page) else {
        // page_cache_sync_readahead()
        let read = filemap_get_page(cpu, inode, index, Fgp::Read).await;
        // It has to be on its list to be taken off it.
        lru_add_drain(cpu).await;
        return read.map_err(|_| Scan::Fail);
    };
    if is_dirty(cpu, page).await {
        put_page(cpu, page).await;
        filemap_flush(cpu, inode).await;
        return Err(Scan::Fail);
    }
    if !trylock_page(cpu, page).await {
        put_page(cpu, page).await;
        return Err(Scan::PageLock);
    }
    Ok(page)
}

/// Whether the disk does not have what a page holds. A page under writeback counts too: since v5.15 (`74c42e1baacf`), while kernels before knew it only
/// by the private data of some file systems.
pub(super) async fn is_dirty(cpu: Cpu<'_>, page: Page) -> bool {
    let flags = async || cpu.load(cpu.kernel.page_flags(page)).await;
    check!(cpu, COLLAPSE_FILE_CHECK_DIRTY, flags().await.intersects(PageFlags::DIRTY | PageFlags::WRITEBACK))
}

/// The file has a huge page from now on, unless somebody has opened it for writing. Who opens it looks for huge pages behind that, in
/// `do_dentry_open()`: each counts itself before it looks for the other, so that one of them sees the other.
pub(super) async fn exclude_writers(cpu: Cpu<'_>, inode: Inode) -> Result<(), Scan> {
    let _xa_lock = cpu.lock(cpu.kernel.shmem.xa_lock(inode)).await;
    filemap_nr_thps_inc(cpu, inode).await;
    if check!(cpu, COLLAPSE_FILE_CHECK_WRITERS, inode_is_open_for_write(cpu, inode).await) {
        filemap_nr_thps_dec(cpu, inode).await;
        return Err(Scan::Fail);
    }
    Ok(())
}
