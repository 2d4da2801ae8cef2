//! `mm/filemap.c`: the page cache. A file has a reference to each of its pages.
//!
//! Whoever finds a page there, and wants it to stay the file's, locks it and then asks `page->mapping` whether it
//! still is: a page leaves its file only while it is locked. A page of a file in memory is full of zeroes before it is put into its
//! file, so it is up to date. A page of a file on the disk is put there first and read then, while it is locked.

use std::ops::Range;

use crate::check;
use crate::event::{Event, SharedPage};
use crate::folio::folio_nr_pages;
use crate::fs::{Inode, PageTag};
use crate::highmem::clear_page;
use crate::hwpoison::page_hwpoison;
use crate::inode::{filemap_nr_thps_dec, i_size_read, is_secret, on_disk};
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::mpage::mpage_readpage;
use crate::page::{lock_page, page_cache_get_speculative, put_page, test_and_set_flags, unlock_page};
use crate::page_alloc::alloc_page;
use crate::page_flags::{PageFlags, file_mapping};
use crate::page_tags::clear_tags;
use crate::pagemap::{get_cache_references, put_cache_references};
use crate::safeguards::{FAULT_AROUND_HWPOISON, FAULT_MAPPING_RECHECK, FILEMAP_INVALIDATE_LOCK};
use crate::shmem_fs::Cached;
use crate::swap::folio_add_lru;
use crate::swapops::SwpEntry;

/// What the file has at the first index in `from..to` at which it has something.
async fn first_entry(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<(u64, Cached)> {
    let kernel: &Kernel = cpu.kernel;
    cpu.read(kernel.shmem.i_pages(inode), |pages| {
        pages.range(from.min(to)..to).next().map(|(at, has)| (*at, *has))
    })
    .await
}

/// The same for pages alone: what is in swap is passed over.
async fn first_page(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<(u64, Page)> {
    let kernel: &Kernel = cpu.kernel;
    let page = |(at, has): (&u64, &Cached)| has.page().map(|page| (*at, page));
    cpu.read(kernel.shmem.i_pages(inode), |pages| pages.range(from.min(to)..to).find_map(page)).await
}

/// `xas_reload()`: whether the file still has this very page there.
async fn has_entry(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page) -> bool {
    let kernel: &Kernel = cpu.kernel;
    cpu.read(kernel.shmem.i_pages(inode), |pages| pages.get(&index) == Some(&Cached::Page(page))).await
}

/// `find_get_entry()`: what the file has first in `from..to`, a page with a reference, and where it is.
pub(crate) async fn find_get_entry(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<(u64, Cached)> {
    loop {
        let (index, has) = first_entry(cpu, inode, from, to).await?;
        let Cached::Page(page) = has else { return Some((index, has)) };
        let head = cpu.kernel.folio_of(page);
        if !page_cache_get_speculative(cpu, head).await {
            // It has left the file, or another is taking its place. Linux looks again until that is done; here it is waited for.
            drop(cpu.lock(cpu.kernel.shmem.xa_lock(inode)).await);
            continue;
        }
        // The page may have left the file, and be another's, or its folio may have been split, before the reference was there.
        if has_entry(cpu, inode, index, page).await && cpu.kernel.folio_of(page) == head {
            return Some((index, has));
        }
        put_page(cpu, head).await;
    }
}

/// `find_get_entry()` of one index, since v6.2 `filemap_get_entry()`: what the file has there, a page with a reference.
pub(crate) async fn filemap_get_entry(cpu: Cpu<'_>, inode: Inode, index: u64) -> Option<Cached> {
    find_get_entry(cpu, inode, index, index + 1).await.map(|(_, has)| has)
}

/// `find_get_pages_tag()`, since v6.2 `filemap_get_folios_tag()`, one page at a time: the first page of a file on the disk in `from..to` that has
/// the tag, and where it is. It has a reference.
pub(crate) async fn find_get_page_tag(
    cpu: Cpu<'_>,
    inode: Inode,
    from: u64,
    to: u64,
    tag: PageTag,
) -> Option<(u64, Page)> {
    let mut from = from;
    loop {
        let tagged = cpu.read(cpu.kernel.disk.tags(inode), |tags| {
            let mut tagged = tags.range(from.min(to)..to).filter(|(_, tags)| tags.contains(tag));
            tagged.next().map(|(index, _)| *index)
        });
        let index = tagged.await?;
        if let Some(page) = filemap_get_entry(cpu, inode, index).await.and_then(Cached::page) {
            return Some((index, page));
        }
        // It has left the file.
        from = index + 1;
    }
}

/// `page->mapping == mapping`, by somebody who has the page locked: whether it is the file's.
pub(crate) async fn is_of_file(cpu: Cpu<'_>, inode: Inode, page: Page) -> bool {
    let head = cpu.kernel.folio_of(page);
    cpu.load(cpu.kernel.page(head).mapping()).await == file_mapping(inode.index())
}

/// Locks a page that was found in the file. If it is the file's no more, because it was truncated before it was locked, that is all for
/// nothing, and the reference is given up.
pub(crate) async fn lock_if_of_file(cpu: Cpu<'_>, inode: Inode, page: Page) -> bool {
    lock_page(cpu, page).await;
    if check!(cpu, FAULT_MAPPING_RECHECK, !is_of_file(cpu, inode, page).await) {
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return false;
    }
    true
}

/// `trylock_page()`.
pub(crate) async fn trylock_page(cpu: Cpu<'_>, page: Page) -> bool {
    test_and_set_flags(cpu, page, PageFlags::LOCKED).await
}

/// `find_lock_entries()`, one folio at a time: the first in `from..to` that is not locked, locked now and with a reference; or
/// what is in swap before it. A folio that is only in part in the range is passed over. Linux locks up to 15 at once.
pub(crate) async fn find_lock_entry(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<(u64, Cached)> {
    let mut from = from;
    loop {
        let (index, has) = find_get_entry(cpu, inode, from, to).await?;
        let Cached::Page(page) = has else { return Some((index, has)) };
        let (_, at) = cpu.kernel.mapping_of(page);
        cpu.vm_bug_on(at != index, "VM_BUG_ON_PAGE(page_to_pgoff(page) != index)");
        let indices = folio_indices(cpu, page, index);
        if from <= indices.start && indices.end <= to && trylock_page(cpu, page).await {
            if is_of_file(cpu, inode, page).await && !is_written_back(cpu, inode, page).await {
                return Some((index, has));
            }
            unlock_page(cpu, page).await;
        }
        put_page(cpu, page).await;
        from = indices.end;
    }
}

/// `folio->index` up to `folio_next_index()`: where the file has the folio of the page that it has at this index.
pub(crate) fn folio_indices(cpu: Cpu<'_>, page: Page, index: u64) -> Range<u64> {
    let head = cpu.kernel.folio_of(page);
    let first = index - (page.0.0 - head.0.0);
    first..first + folio_nr_pages(cpu, head)
}

/// `PageWriteback()`, which a page of a file in memory never is.
async fn is_written_back(cpu: Cpu<'_>, inode: Inode, page: Page) -> bool {
    on_disk(cpu, inode) && cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::WRITEBACK)
}

/// `next_uptodate_page()`: the first page of the file in `from..to`, locked and with a reference. Nobody is waited for: a page that
/// somebody else has locked is passed over.
pub(crate) async fn next_uptodate_page(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<(u64, Page)> {
    let mut from = from;
    loop {
        let (index, page) = first_page(cpu, inode, from, to).await?;
        from = index + 1;
        let flags = cpu.load(cpu.kernel.page_flags(page)).await;
        let is_ready = flags & (PageFlags::LOCKED | PageFlags::UPTODATE) == PageFlags::UPTODATE;
        let head = cpu.kernel.folio_of(page);
        if !is_ready || !page_cache_get_speculative(cpu, head).await {
            continue;
        }
        let is_same = has_entry(cpu, inode, index, page).await && cpu.kernel.folio_of(page) == head;
        if is_same && trylock_page(cpu, page).await {
            // It was up to date before it was locked, and so it is still: only truncation takes that away. Whoever finds that its memory is broken
            // marks it before he locks it.
            if is_of_file(cpu, inode, page).await
                && index < i_size_read(cpu, inode).await
                && !check!(cpu, FAULT_AROUND_HWPOISON, page_hwpoison(cpu, page).await)
            {
                return Some((index, page));
            }
            unlock_page(cpu, page).await;
        }
        put_page(cpu, head).await;
    }
}

/// `add_to_page_cache_locked()`, `shmem_add_to_page_cache()`: the folio is the file's from now on, and locked. Nobody else knows it, or
/// the caller has it locked already. False if the file has something else there than `expected`, which is nothing or slots in a row.
pub(crate) async fn add_to_page_cache(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    page: Page,
    expected: Option<Cached>,
) -> bool {
    let kernel: &Kernel = cpu.kernel;
    // __SetPageLocked(), and the reference of the page cache, before anybody can find the page there. A page that comes from swap is
    // known already, and locked by the caller.
    let flags = kernel.page_flags(page);
    let is_new = !cpu.this_cpu_read(flags).contains(PageFlags::LOCKED);
    let in_memory = PageFlags::SWAPBACKED | PageFlags::UPTODATE;
    let kind = match (on_disk(cpu, inode), is_secret(cpu, inode)) {
        (true, _) => PageFlags::empty(),
        (false, true) => PageFlags::UPTODATE,
        (false, false) => in_memory,
    };
    cpu.this_cpu_write(flags, cpu.this_cpu_read(flags) | PageFlags::LOCKED | kind);
    if is_new {
        cpu.note(Event::PageLocked { pfn: page.0 });
    }
    let nr = folio_nr_pages(cpu, page);
    get_cache_references(cpu, page).await;
    let added = cpu
        .update(kernel.shmem.i_pages(inode), |pages| {
            let is_expected =
                (0..nr).all(|nth| pages.get(&(index + nth)).copied() == expected.map(|first| first.nth(nth)));
            if is_expected {
                pages.extend((0..nr).map(|nth| (index + nth, Cached::Page(page).nth(nth))));
            }
            is_expected
        })
        .await;
    if added {
        note_cached(cpu, inode, index, page);
        cpu.this_cpu_write(kernel.page(page).mapping(), file_mapping(inode.index()));
        cpu.this_cpu_write(kernel.page(page).index(), index);
    } else {
        if is_new {
            // Nobody else knows the page, so this is a plain store.
            cpu.this_cpu_write(flags, cpu.this_cpu_read(flags) - PageFlags::LOCKED);
            cpu.note(Event::PageUnlocked { pfn: page.0 });
        }
        put_cache_references(cpu, page).await;
    }
    added
}

/// Tells, in the step in which a file gets a folio, which page of the file each page of it is.
pub(crate) fn note_cached(cpu: Cpu<'_>, inode: Inode, index: u64, head: Page) {
    for (index, page) in (index..).zip(cpu.kernel.folio_pages(head)) {
        cpu.note(Event::PageCached { pfn: page.0, page: SharedPage { file: inode.index() as u32, index } });
    }
}

/// The same of a folio that leaves its file.
pub(crate) fn note_uncached(cpu: Cpu<'_>, inode: Inode, index: u64, head: Page) {
    for (index, page) in (index..).zip(cpu.kernel.folio_pages(head)) {
        cpu.note(Event::PageUncached { pfn: page.0, page: SharedPage { file: inode.index() as u32, index } });
    }
}

/// Tells that a folio goes because the disk has what it holds.
pub(crate) fn note_dropped(cpu: Cpu<'_>, inode: Inode, index: u64, head: Page) {
    for (index, page) in (index..).zip(cpu.kernel.folio_pages(head)) {
        cpu.note(Event::PageDropped { pfn: page.0, page: SharedPage { file: inode.index() as u32, index } });
    }
}

/// What a file loses with a page that is taken out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loses {
    /// What the page holds: the file is shorter, or has a hole, or is gone.
    Contents,
    /// Nothing: the disk is taken to have what the page holds.
    Memory,
}

/// `delete_from_page_cache()`: the folio of the page, which the caller has locked and mapped nowhere, leaves its file.
pub(crate) async fn delete_from_page_cache(cpu: Cpu<'_>, inode: Inode, page: Page, loses: Loses) {
    let head = cpu.kernel.folio_of(page);
    let index = cpu.this_cpu_read(cpu.kernel.page(head).index());
    // Whoever gives the page a tag meanwhile has seen that it is the file's.
    let xa_lock = if on_disk(cpu, inode) { Some(cpu.lock(cpu.kernel.shmem.xa_lock(inode)).await) } else { None };
    replace_page(cpu, inode, head, None).await;
    if loses == Loses::Memory {
        note_dropped(cpu, inode, index, head);
    }
    drop(xa_lock);
    free_folio(cpu, inode, head).await;
    put_cache_references(cpu, head).await;
}

/// `a_ops->free_folio()`, which secret memory alone has: `secretmem_free_folio()`. The kernel can read the page again, and it is empty.
async fn free_folio(cpu: Cpu<'_>, inode: Inode, head: Page) {
    if is_secret(cpu, inode) {
        clear_page(cpu, head.0).await;
        cpu.note(Event::PageCleared { pfn: head.0 });
    }
}

/// `__delete_from_page_cache()`, since v5.17 `__filemap_remove_folio()`; and `shmem_replace_entry()`, with the slots that stand in the folio's
/// place: the folio is the file's no more. The references of the file are the caller's.
pub(crate) async fn replace_page(cpu: Cpu<'_>, inode: Inode, head: Page, by: Option<SwpEntry>) {
    let kernel: &Kernel = cpu.kernel;
    let index = cpu.this_cpu_read(kernel.page(head).index());
    let (nr, order) = (folio_nr_pages(cpu, head), kernel.folio_order(head));
    filemap_unaccount_huge(cpu, inode, head).await;
    cpu.update(kernel.shmem.i_pages(inode), |pages| {
        for nth in 0..nr {
            match by {
                Some(entry) => pages.insert(index + nth, Cached::Swapped(entry, order).nth(nth)),
                None => pages.remove(&(index + nth)),
            };
        }
    })
    .await;
    // page->mapping = NULL, in the same critical section of the page cache's lock.
    cpu.this_cpu_write(kernel.page(head).mapping(), 0);
    clear_tags(cpu, inode, index);
    note_uncached(cpu, inode, index, head);
}

/// The part of `filemap_unaccount_folio()` and of the split for a huge page of a file on the disk: the file has one less.
pub(crate) async fn filemap_unaccount_huge(cpu: Cpu<'_>, inode: Inode, head: Page) {
    if cpu.kernel.folio_order(head) == cpu.pmd_order() && on_disk(cpu, inode) {
        filemap_nr_thps_dec(cpu, inode).await;
    }
}

/// What somebody wants of a page of a file on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fgp {
    /// `filemap_fault()`, `filemap_read()`: what the file has there. Beyond its end there is nothing.
    Read,
    /// `grab_cache_page_write_begin()`: the page to write to it, beyond the end of the file as well.
    Write,
}

/// Why a file on the disk has no page for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilemapError {
    /// The file is shorter.
    BeyondEnd,
    /// No frame is free.
    NoFrame,
    /// The disk cannot read it.
    Io,
}

/// The body of `filemap_fault()`, and what reading and writing do with `page_cache_get_page()`: the page of the file, locked, up to date and
/// with a reference. It is read from the disk if it has to be.
///
/// # Errors
/// Beyond the end of the file, if no frame is free, or if the disk cannot read the page.
pub(crate) async fn filemap_get_page(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    fgp: Fgp,
) -> Result<Page, FilemapError> {
    let _routine = cpu.enter("filemap_fault");
    let is_behind = async || fgp == Fgp::Read && index >= i_size_read(cpu, inode).await;
    let mut invalidate_lock = None;
    loop {
        if is_behind().await {
            return Err(FilemapError::BeyondEnd);
        }
        let found = filemap_get_entry(cpu, inode, index).await.and_then(Cached::page);
        let is_ready = match found {
            None => false,
            Some(page) if !lock_if_of_file(cpu, inode, page).await => continue,
            Some(page) => cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::UPTODATE),
        };
        // Whoever writes holds i_rwsem, and so excludes truncation. Others must: a page that comes to the file while its blocks are
        // given up would stay behind the end of the file, with what was there.
        if !is_ready && fgp == Fgp::Read && invalidate_lock.is_none() && cpu.has(FILEMAP_INVALIDATE_LOCK) {
            if let Some(page) = found {
                unlock_page(cpu, page).await;
                put_page(cpu, page).await;
            }
            invalidate_lock = Some(cpu.down_read(cpu.kernel.disk.invalidate_lock(inode)).await);
            continue;
        }
        let page = match found {
            Some(page) => page,
            // page_cache_alloc(): whatever the frame holds is overwritten before anybody sees it.
            None => {
                let page = alloc_page(cpu).await.ok_or(FilemapError::NoFrame)?;
                if !add_to_page_cache(cpu, inode, index, page, None).await {
                    put_page(cpu, page).await;
                    continue;
                }
                folio_add_lru(cpu, page).await;
                page
            }
        };
        let is_read = is_ready || mpage_readpage(cpu, inode, index, page).await.is_ok();
        // The file may have become shorter since it was asked.
        let error = match is_read {
            false => FilemapError::Io,
            true if is_behind().await => FilemapError::BeyondEnd,
            true => return Ok(page),
        };
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return Err(error);
    }
}
