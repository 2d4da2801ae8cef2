//! `mm/truncate.c`, and what `mm/shmem.c` takes out of a file by it.

use std::ops::Range;

use sim_mmu::Pfn;

use crate::check;
use crate::event::Event;
use crate::filemap::{
    Loses, delete_from_page_cache, find_get_entry, find_lock_entry, folio_indices, is_of_file, note_dropped,
    replace_page, trylock_page,
};
use crate::folio::{folio_mapcount, folio_nr_pages, is_large};
use crate::fs::Inode;
use crate::highmem::clear_huge_page;
use crate::huge_memory::{Pieces, Tails, folio_split};
use crate::hugetlb::hugetlb_punch_hole;
use crate::inode::{i_size_read, i_size_write, is_hugetlbfs, on_disk};
use crate::kernel::Cpu;
use crate::memory::{Zap, unmap_mapping_range};
use crate::mm_types::Page;
use crate::mpage::truncate_blocks;
use crate::page::{
    lock_page, page_cache_get_speculative, page_ref_freeze, page_ref_unfreeze, put_page, unlock_page,
    wait_on_page_writeback,
};
use crate::page_flags::PageFlags;
use crate::pagemap::put_cache_references;
use crate::safeguards::{
    INVALIDATE_CHECK_DIRTY, TRUNCATE_UNMAP_AGAIN, TRUNCATE_UNMAP_LOCKED, TRUNCATE_WAIT_WRITEBACK,
};
use crate::settings::TruncateHuge;
use crate::shmem::{shmem_free_swap, shmem_get_partial_folio};
use crate::shmem_fs::Cached;

/// `truncate_cleanup_page()`: nobody maps the folio, which is locked, any more, and nobody has to write it anywhere. Who faulted it
/// in after its mappings were looked for has mapped it before it was locked.
async fn truncate_cleanup_page(cpu: Cpu<'_>, inode: Inode, indices: Range<u64>, head: Page) {
    // page_mapped()
    if check!(cpu, TRUNCATE_UNMAP_LOCKED, folio_mapcount(cpu, head).await > 0) {
        unmap_mapping_range(cpu, inode, indices.start, indices.end, Zap::FilePages).await;
    }
    // cancel_dirty_page()
    let old = cpu.rmw(cpu.kernel.page_flags(head), |flags| flags - PageFlags::DIRTY).await;
    if old.contains(PageFlags::DIRTY) {
        cpu.kernel.folio_pages(head).for_each(|page| cpu.note(Event::PageCleaned { pfn: page.0 }));
    }
}

/// `truncate_inode_page()`, of a folio that is locked. False if it is the file's no more.
async fn truncate_inode_page(cpu: Cpu<'_>, inode: Inode, indices: Range<u64>, page: Page, loses: Loses) -> bool {
    if !is_of_file(cpu, inode, page).await {
        return false;
    }
    let head = cpu.kernel.folio_of(page);
    truncate_cleanup_page(cpu, inode, indices, head).await;
    delete_from_page_cache(cpu, inode, head, loses).await;
    true
}

/// `generic_error_remove_page()`, since v6.8 `generic_error_remove_folio()`: a page that is locked, and whose memory is broken, leaves its file. Answers whether it
/// was the file's. If `lost`, nobody else has what it held.
pub(crate) async fn generic_error_remove_page(cpu: Cpu<'_>, inode: Inode, page: Page, lost: bool) -> bool {
    let loses = if lost { Loses::Contents } else { Loses::Memory };
    let index = cpu.this_cpu_read(cpu.kernel.page(page).index());
    truncate_inode_page(cpu, inode, index..index + 1, page, loses).await
}

/// `truncate_inode_pages()`: takes all pages out of a file on the disk, which keeps what the disk has of it.
pub(crate) async fn truncate_inode_pages(cpu: Cpu<'_>, inode: Inode) {
    undo_range(cpu, inode, 0, u64::MAX, Loses::Memory).await;
}

/// `shmem_undo_range()`: takes pages `from` up to `to` out of the file; all up to the end if `to` is `u64::MAX`.
async fn shmem_undo_range(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    undo_range(cpu, inode, from, to, Loses::Contents).await;
}

/// The two of them.
async fn undo_range(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64, loses: Loses) {
    let name = if loses == Loses::Memory { "truncate_inode_pages_range" } else { "shmem_undo_range" };
    let _routine = cpu.enter(name);
    // First those that nobody has locked.
    let mut next = from;
    while let Some((index, has)) = find_lock_entry(cpu, inode, next, to).await {
        next = match has {
            Cached::Swapped(_, order) if is_partial(&block(index, order), &(from..to)) => index + 1,
            Cached::Swapped(entry, _) => {
                shmem_free_swap(cpu, inode, index, entry).await;
                index + 1
            }
            Cached::Page(page) => {
                let indices = folio_indices(cpu, page, index);
                truncate_inode_page(cpu, inode, indices.clone(), page, loses).await;
                unlock_page(cpu, page).await;
                put_page(cpu, page).await;
                indices.end
            }
        };
    }
    // Then those that are left, or came meanwhile. Each is waited for.
    let mut from = from;
    let mut next = from;
    loop {
        let Some((index, has)) = find_get_entry(cpu, inode, next, to).await else {
            // A hole may be filled again at once. Behind the end of a file nothing may be left.
            if next == from || to != u64::MAX {
                return;
            }
            next = from;
            continue;
        };
        let page = match has {
            Cached::Swapped(entry, order) if is_partial(&block(index, order), &(from..to)) => {
                Box::pin(shmem_get_partial_folio(cpu, inode, index, (entry, order))).await;
                next = index;
                continue;
            }
            Cached::Swapped(entry, _) => {
                let gone = shmem_free_swap(cpu, inode, index, entry).await;
                next = if gone { index + 1 } else { index };
                continue;
            }
            Cached::Page(page) => page,
        };
        lock_page(cpu, page).await;
        if on_disk(cpu, inode) && cpu.has(TRUNCATE_WAIT_WRITEBACK) {
            wait_on_page_writeback(cpu, page).await;
        }
        // A split leaves the first of its pages locked, and with this reference.
        let head = cpu.kernel.folio_of(page);
        let indices = folio_indices(cpu, page, index);
        let done = if is_partial(&indices, &(from..to)) {
            Box::pin(truncate_inode_partial_folio(cpu, inode, head, from..to)).await
        } else if truncate_inode_page(cpu, inode, indices.clone(), page, loses).await {
            Truncated::Gone
        } else {
            Truncated::Changed
        };
        unlock_page(cpu, head).await;
        put_page(cpu, head).await;
        next = match done {
            Truncated::Gone => indices.end,
            Truncated::Changed => index,
            Truncated::Stays => {
                // It is full of zeroes from there on, and is not looked at again.
                if indices.start < from {
                    from = indices.end;
                }
                indices.end
            }
        };
    }
}

/// The places of the folio of this order around a place in a file.
fn block(index: u64, order: u8) -> Range<u64> {
    let first = index & !((1 << order) - 1);
    first..first + (1 << order)
}

/// Whether only a part of a folio, which is at `indices`, lies in a range.
fn is_partial(indices: &Range<u64>, range: &Range<u64>) -> bool {
    indices.start < range.start || range.end < indices.end
}

/// What became of a folio that was to leave its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truncated {
    /// The file does not have it any more.
    Gone,
    /// The file has something else there: the folio was split, or was the file's no more.
    Changed,
    /// The file has it, since it is needed in part.
    Stays,
}

/// `truncate_inode_partial_folio()`, since v5.17; before, `shmem_punch_compound()`: of a folio that is locked only some pages are not needed any
/// more. They are full of zeroes from now on, and leave the file if the folio can be split.
async fn truncate_inode_partial_folio(cpu: Cpu<'_>, inode: Inode, head: Page, gone: Range<u64>) -> Truncated {
    let _routine = cpu.enter("truncate_inode_partial_folio");
    if !is_of_file(cpu, inode, head).await {
        return Truncated::Changed;
    }
    let first = cpu.this_cpu_read(cpu.kernel.page(head).index());
    let nr = folio_nr_pages(cpu, head);
    let (from, to) = (gone.start.max(first), gone.end.min(first + nr));
    let nth = |index: u64| Page(Pfn(head.0.0 + (index - first)));
    // A mapping may lead to them, which must not see what is being given up, even where the split fails.
    clear_huge_page(cpu, nth(from), to - from).await;
    let pieces = |page| match cpu.setting::<TruncateHuge>() {
        TruncateHuge::Zeroes => None,
        TruncateHuge::Pages => Some(Pieces::Pages),
        TruncateHuge::Pieces => Some(Pieces::Around(page)),
    };
    let Some(around) = pieces(nth(from)) else { return Truncated::Stays };
    if folio_split(cpu, head, around, Tails::Listed).await.is_err() {
        return Truncated::Stays;
    }
    // The first page behind may be in a piece with pages that are not needed.
    if to < first + nr && cpu.setting::<TruncateHuge>() == TruncateHuge::Pieces {
        split_before(cpu, inode, nth(to)).await;
    }
    Truncated::Changed
}

/// Splits the folio of a page, if nobody else has it, so that what lies before the page can leave the file.
async fn split_before(cpu: Cpu<'_>, inode: Inode, page: Page) {
    let head = cpu.kernel.folio_of(page);
    if !page_cache_get_speculative(cpu, head).await {
        return;
    }
    if is_large(cpu, head) && trylock_page(cpu, head).await {
        if is_large(cpu, head) && is_of_file(cpu, inode, head).await {
            // If it fails then the pages stay, full of zeroes.
            let _ = folio_split(cpu, head, Pieces::Around(page), Tails::Listed).await;
        }
        unlock_page(cpu, head).await;
    }
    put_page(cpu, head).await;
}

/// `ext2_setsize()` and its kin: another length of a file on the disk. The caller holds `i_rwsem` for writing. When the pages behind the new
/// end are gone, their blocks are free.
pub(crate) async fn truncate_setsize(cpu: Cpu<'_>, inode: Inode, newsize: u64) {
    let _routine = cpu.enter("truncate_setsize");
    let _invalidate_lock = cpu.down_write(cpu.kernel.disk.invalidate_lock(inode)).await;
    shmem_setattr(cpu, inode, newsize).await;
    truncate_blocks(cpu, inode, newsize, u64::MAX).await;
}

/// `invalidate_mapping_pages()`, for `POSIX_FADV_DONTNEED`: pages that are clean and that nobody uses leave the file, and are read from the
/// disk when somebody wants them again. Nobody is waited for. Answers how many pages left.
pub(crate) async fn invalidate_mapping_pages(cpu: Cpu<'_>, inode: Inode) -> u64 {
    let _routine = cpu.enter("invalidate_mapping_pages");
    let (mut next, mut gone) = (0, 0);
    while let Some((index, has)) = find_lock_entry(cpu, inode, next, u64::MAX).await {
        next = index + 1;
        let Some(page) = has.page() else { continue };
        let busy = PageFlags::DIRTY | PageFlags::WRITEBACK;
        let is_busy = cpu.load(cpu.kernel.page_flags(page)).await.intersects(busy);
        let head = cpu.kernel.folio_of(page);
        let nr = folio_nr_pages(cpu, head);
        next = index + nr;
        if !is_busy && folio_mapcount(cpu, head).await == 0 && remove_mapping(cpu, inode, head).await {
            gone += nr;
        }
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
    }
    gone
}

/// `remove_mapping()`, of a folio that is locked and has looked clean: it leaves its file, if only the file and the caller have a reference.
///
/// Who has a reference may make the page dirty and then put it. So the count is frozen first, and the flag is looked at behind it.
async fn remove_mapping(cpu: Cpu<'_>, inode: Inode, page: Page) -> bool {
    let _routine = cpu.enter("remove_mapping");
    // Whoever looks the page up meanwhile finds it frozen, and waits for this lock.
    let xa_lock = cpu.lock(cpu.kernel.shmem.xa_lock(inode)).await;
    let count = 1 + folio_nr_pages(cpu, page);
    if !page_ref_freeze(cpu, page, count).await {
        return false;
    }
    let dirty = check!(
        cpu,
        INVALIDATE_CHECK_DIRTY,
        cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::DIRTY)
    );
    page_ref_unfreeze(cpu, page, count).await;
    if !dirty {
        let index = cpu.this_cpu_read(cpu.kernel.page(page).index());
        note_dropped(cpu, inode, index, page);
        replace_page(cpu, inode, page, None).await;
        drop(xa_lock);
        put_cache_references(cpu, page).await;
    }
    !dirty
}

/// `shmem_setattr()` with another length. The caller holds `i_rwsem` for writing.
///
/// The length changes first, so that no further page comes in behind it. Private mappings may still copy a page that they had mapped,
/// while pages are taken out of the file. So mappings are looked for a second time.
pub(crate) async fn shmem_setattr(cpu: Cpu<'_>, inode: Inode, newsize: u64) {
    let oldsize = i_size_read(cpu, inode).await;
    if newsize != oldsize {
        i_size_write(cpu, inode, newsize).await;
    }
    if newsize <= oldsize {
        if oldsize > newsize {
            unmap_mapping_range(cpu, inode, newsize, u64::MAX, Zap::Pages).await;
        }
        shmem_undo_range(cpu, inode, newsize, u64::MAX).await;
        if oldsize > newsize && cpu.has(TRUNCATE_UNMAP_AGAIN) {
            unmap_mapping_range(cpu, inode, newsize, u64::MAX, Zap::Pages).await;
        }
    }
}

/// `shmem_fallocate()` with `FALLOC_FL_PUNCH_HOLE`: pages `from` up to `to` are a hole. What private mappings have copied stays
/// theirs.
pub(crate) async fn shmem_punch_hole(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    if is_hugetlbfs(cpu, inode) {
        return Box::pin(hugetlb_punch_hole(cpu, inode, from..to)).await;
    }
    let _routine = cpu.enter("shmem_fallocate");
    let _inode = cpu.down_write(cpu.kernel.shmem.i_rwsem(inode)).await;
    let on_disk = on_disk(cpu, inode);
    let _invalidate_lock =
        if on_disk { Some(cpu.down_write(cpu.kernel.disk.invalidate_lock(inode)).await) } else { None };
    // Not modelled: a fault in the range waits until the hole is there (shmem_falloc_wait()), so that it does not fill what is
    // being emptied.
    unmap_mapping_range(cpu, inode, from, to, Zap::FilePages).await;
    shmem_undo_range(cpu, inode, from, to).await;
    if on_disk {
        truncate_blocks(cpu, inode, from, to).await;
    }
}
