//! `mm/vmscan.c`, where it comes to a page of a file on the disk: nobody needs slots of the swap area for it, since it has a block.

use crate::folio::page_is_anon;
use crate::fs::Inode;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::mpage::mpage_writepage;
use crate::page_flags::PageFlags;
use crate::page_writeback::clear_page_dirty_for_io;
use crate::settings::ReclaimDirtyFile;

/// Who reclaims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reclaimer {
    /// `current_is_kswapd()`.
    Kswapd,
    /// A system call does.
    Caller,
}

/// What `shrink_page_list()` does with a dirty page of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dirty {
    /// It is written.
    Write,
    /// It stays where it is until the flusher has written it: `keep_locked`.
    Keep,
    /// The same, out of the way of reclaim: `activate_locked`.
    Activate,
}

/// Whether reclaim writes a page that is dirty, locked, and mapped nowhere, or leaves that to the flusher. `PG_reclaim` says that the page
/// is to go as soon as it has been written.
pub(crate) async fn what_of_dirty(cpu: Cpu<'_>, page: Page, flags: PageFlags, who: Reclaimer) -> Dirty {
    // page_is_file_lru()
    if flags.contains(PageFlags::SWAPBACKED) || page_is_anon(cpu, page) {
        return Dirty::Write;
    }
    let by_kswapd = who == Reclaimer::Kswapd;
    let left = match cpu.setting::<ReclaimDirtyFile>() {
        ReclaimDirtyFile::Writes => return Dirty::Write,
        ReclaimDirtyFile::Kswapd if by_kswapd => return Dirty::Write,
        ReclaimDirtyFile::Kswapd => Dirty::Keep,
        ReclaimDirtyFile::SecondTime if by_kswapd && flags.contains(PageFlags::RECLAIM) => return Dirty::Write,
        ReclaimDirtyFile::SecondTime | ReclaimDirtyFile::Flusher => Dirty::Activate,
    };
    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::RECLAIM).await;
    left
}

/// The half of `pageout()` for such a page: it goes to its block, and is unlocked. False if it was clean, and is locked still.
pub(crate) async fn pageout_to_disk(cpu: Cpu<'_>, page: Page, (inode, index): (Inode, u64)) -> bool {
    if !clear_page_dirty_for_io(cpu, page).await {
        return false;
    }
    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::RECLAIM).await;
    // handle_write_error(): whoever asks by fsync() is told.
    let _ = mpage_writepage(cpu, inode, index, page).await;
    true
}
