//! A folio of a file becomes smaller ones: what `__folio_split()` does for files.
//!
//! The entries that map the folio become empty, since the file keeps its pages. Whoever wants one comes to the lock of the folio. Pages behind
//! the end of the file, which only the folio had kept there, leave it.

use super::split_pieces::{__split_huge_page, Piece, Tails, can_split_folio, counts_references, give_back};
use crate::errno::Errno;
use crate::event::Event;
use crate::filemap::{filemap_unaccount_huge, replace_page};
use crate::folio::folio_nr_pages;
use crate::fs::Inode;
use crate::inode::i_size_read;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::page_ref_freeze;
use crate::page_flags::PageFlags;
use crate::pagemap::{page_mapping, put_cache_references};
use crate::rmap::{Mlocked, RmapLock, Ttu, try_to_unmap, try_to_unmap_flush};
use crate::tlb_types::TlbUbc;

/// The part of `__folio_split()` for a folio of a file, which the caller has locked.
///
/// # Errors
/// `EBUSY` if it is the file's no more, `EAGAIN` if others have references to it.
pub(super) async fn split_file_folio(
    cpu: Cpu<'_>,
    head: Page,
    pieces: &[Piece],
    tails: Tails<'_>,
) -> Result<(), Errno> {
    // Truncation takes it out of the file under its lock, so it stays there.
    let (inode, index) = page_mapping(cpu, head).ok_or(Errno::Ebusy)?;
    let _i_mmap = cpu.down_read(cpu.kernel.shmem.i_mmap_rwsem(inode)).await;
    let end = i_size_read(cpu, inode).await;
    let counts = counts_references(cpu);
    if !can_split_folio(cpu, head).await && counts {
        return Err(Errno::Eagain);
    }
    let mut ubc = TlbUbc::default();
    try_to_unmap(cpu, head, RmapLock::FileLocked, Ttu::batched(Mlocked::Ignored), &mut ubc).await;
    try_to_unmap_flush(cpu, &mut ubc).await;
    {
        let _xa_lock = cpu.lock(cpu.kernel.shmem.xa_lock(inode)).await;
        // The caller's reference, and those of the file.
        if !page_ref_freeze(cpu, head, 1 + folio_nr_pages(cpu, head)).await && counts {
            return Err(Errno::Eagain);
        }
        filemap_unaccount_huge(cpu, inode, head).await;
        __split_huge_page(cpu, pieces, true).await;
        for piece in &pieces[1..] {
            if index + (piece.head.0.0 - head.0.0) >= end {
                drop_behind_end(cpu, inode, piece.head).await;
            }
        }
    }
    give_back(cpu, &pieces[1..], tails).await;
    Ok(())
}

/// A part that lies behind the end of the file: nobody can reach it any more.
async fn drop_behind_end(cpu: Cpu<'_>, inode: Inode, head: Page) {
    cpu.rmw(cpu.kernel.page_flags(head), |flags| flags - PageFlags::DIRTY).await;
    cpu.kernel.folio_pages(head).for_each(|page| cpu.note(Event::PageCleaned { pfn: page.0 }));
    replace_page(cpu, inode, head, None).await;
    put_cache_references(cpu, head).await;
}
