//! `mm/page-writeback.c`: dirty pages of a file go to the disk, and nobody writes to a page without its becoming dirty.
//!
//! A page is dirty by its flag, or by an entry that maps it. A page with the flag is found by its tag in the page cache.

use crate::errno::Errno;
use crate::event::Event;
use crate::filemap::{find_get_page_tag, is_of_file};
use crate::fs::{Inode, PageTag};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::mpage::mpage_writepage;
use crate::page::{lock_page, put_page, unlock_page, wait_on_page_writeback};
use crate::page_flags::PageFlags;
use crate::page_tags::{set_page_dirty, tag_pages_for_writeback};
use crate::rmap::page_mkclean;
use crate::safeguards::STABLE_PAGE_WAIT;
use crate::settings::{Disk, SyncTag};

/// Whether a writeback waits for pages that are being written already: `enum writeback_sync_modes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// `WB_SYNC_NONE`: it passes them over. It writes what can be written now.
    None,
    /// `WB_SYNC_ALL`: it waits, and writes them once more if they are dirty.
    All,
}

/// `clear_page_dirty_for_io()`, of a page that is locked: whether it has to be written. It is not dirty any more when this returns.
///
/// First the entries become clean, so that each later write makes the page dirty in a fault. Then the flag is cleared. Such a fault holds the
/// lock of the page, so it cannot come between the two. The tag of the page stays until the page is under writeback: who writes all dirty pages
/// and waits for them finds the page by the one tag or by the other.
pub(crate) async fn clear_page_dirty_for_io(cpu: Cpu<'_>, page: Page) -> bool {
    let _routine = cpu.enter("clear_page_dirty_for_io");
    if page_mkclean(cpu, page).await {
        set_page_dirty(cpu, page).await;
    }
    let old = cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::DIRTY).await;
    cpu.note(Event::PageCleaned { pfn: page.0 });
    old.contains(PageFlags::DIRTY)
}

/// `write_cache_pages()`: writes those pages of the file in `from..to` that are dirty. Goes on behind a page that cannot be written.
///
/// # Errors
/// The first error of the disk.
pub(crate) async fn write_cache_pages(
    cpu: Cpu<'_>,
    inode: Inode,
    from: u64,
    to: u64,
    mode: SyncMode,
) -> Result<(), Errno> {
    let _routine = cpu.enter("write_cache_pages");
    let tag = match (mode, cpu.setting::<SyncTag>()) {
        (SyncMode::All, SyncTag::ToWrite) => {
            tag_pages_for_writeback(cpu, inode, from, to).await;
            PageTag::TOWRITE
        }
        _ => PageTag::DIRTY,
    };
    let mut result = Ok(());
    let mut next = from;
    while let Some((index, page)) = find_get_page_tag(cpu, inode, next, to, tag).await {
        next = index + 1;
        lock_page(cpu, page).await;
        let written = write_one(cpu, inode, index, page, mode).await;
        put_page(cpu, page).await;
        result = result.and(written);
    }
    result
}

/// `filemap_flush()`: the dirty pages of the file that nobody else is writing. Nobody is told of errors here.
pub(crate) async fn filemap_flush(cpu: Cpu<'_>, inode: Inode) {
    let _ = write_cache_pages(cpu, inode, 0, u64::MAX, SyncMode::None).await;
}

/// One page of `write_cache_pages()`, which is locked, and unlocked when this returns.
async fn write_one(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page, mode: SyncMode) -> Result<(), Errno> {
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    // Somebody may have truncated it or written it back before it was locked.
    if !is_of_file(cpu, inode, page).await || !flags.contains(PageFlags::DIRTY) {
        unlock_page(cpu, page).await;
        return Ok(());
    }
    if flags.contains(PageFlags::WRITEBACK) {
        if mode == SyncMode::None {
            unlock_page(cpu, page).await;
            return Ok(());
        }
        wait_on_page_writeback(cpu, page).await;
    }
    if !clear_page_dirty_for_io(cpu, page).await {
        unlock_page(cpu, page).await;
        return Ok(());
    }
    mpage_writepage(cpu, inode, index, page).await
}

/// `filemap_fdatawait_range()`: waits for the pages of the file in `from..to` that are being written, by whomever.
pub(crate) async fn filemap_fdatawait_range(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    let mut next = from;
    while let Some((index, page)) = find_get_page_tag(cpu, inode, next, to, PageTag::WRITEBACK).await {
        next = index + 1;
        wait_on_page_writeback(cpu, page).await;
        put_page(cpu, page).await;
    }
}

/// `wait_for_stable_page()`: who is about to write to a page waits, if the disk wants it to stay as it is.
pub(crate) async fn wait_for_stable_page(cpu: Cpu<'_>, page: Page) {
    if cpu.setting::<Disk>() == Disk::Checksums && cpu.has(STABLE_PAGE_WAIT) {
        wait_on_page_writeback(cpu, page).await;
    }
}

/// `set_page_dirty_lock()`: for somebody who has a reference to a page, and nothing else. The lock keeps the page in its file meanwhile.
pub async fn set_page_dirty_lock(cpu: Cpu<'_>, page: Page) {
    lock_page(cpu, page).await;
    set_page_dirty(cpu, page).await;
    unlock_page(cpu, page).await;
}
