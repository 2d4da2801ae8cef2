//! `mm/filemap.c`: the page cache. A file has a reference to each of its pages.
//!
//! Whoever finds a page there, and wants it to stay the file's, locks it and then asks `page->mapping` whether it
//! still is: a page leaves its file only while it is locked. A page is full of zeroes before it is put into its
//! file, so each page of a file is up to date.

use crate::event::{Event, SharedPage};
use crate::fs::Inode;
use crate::inode::i_size_read;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page::{get_page, page_cache_get_speculative, put_page, test_and_set_flags, unlock_page};
use crate::page_flags::{PageFlags, file_mapping};

/// What the file has at the first index in `from..to` at which it has something.
async fn first_entry(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<(u64, Page)> {
    let kernel: &Kernel = cpu.kernel;
    cpu.read(kernel.shmem.i_pages(inode), |pages| pages.range(from..to).next().map(|(at, page)| (*at, *page)))
        .await
}

/// `xas_reload()`: whether the file still has this very page there.
async fn has_entry(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page) -> bool {
    let kernel: &Kernel = cpu.kernel;
    cpu.read(kernel.shmem.i_pages(inode), |pages| pages.get(&index) == Some(&page)).await
}

/// `find_get_entry()`: the first page of the file in `from..to`, with a reference, and where it is.
pub(crate) async fn find_get_entry(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<(u64, Page)> {
    loop {
        let (index, page) = first_entry(cpu, inode, from, to).await?;
        if !page_cache_get_speculative(cpu, page).await {
            continue;
        }
        // The page may have left the file, and be another's, before the reference was there.
        if has_entry(cpu, inode, index, page).await {
            return Some((index, page));
        }
        put_page(cpu, page).await;
    }
}

/// `find_get_page()`: the page of the file, with a reference; `None` if it has none there.
pub(crate) async fn find_get_page(cpu: Cpu<'_>, inode: Inode, index: u64) -> Option<Page> {
    find_get_entry(cpu, inode, index, index + 1).await.map(|(_, page)| page)
}

/// `page->mapping == mapping`, by somebody who has the page locked: whether it is the file's.
pub(crate) async fn is_of_file(cpu: Cpu<'_>, inode: Inode, page: Page) -> bool {
    cpu.load(cpu.kernel.page(page).mapping()).await == file_mapping(inode.index())
}

/// `trylock_page()`.
async fn trylock_page(cpu: Cpu<'_>, page: Page) -> bool {
    test_and_set_flags(cpu, page, PageFlags::LOCKED).await
}

/// `find_lock_entries()`, one page at a time: the first in `from..to` that is not locked, locked now and with a reference.
/// Linux locks up to 15 at once.
pub(crate) async fn find_lock_entry(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<(u64, Page)> {
    let mut from = from;
    loop {
        let (index, page) = find_get_entry(cpu, inode, from, to).await?;
        if trylock_page(cpu, page).await {
            if is_of_file(cpu, inode, page).await {
                return Some((index, page));
            }
            unlock_page(cpu, page).await;
        }
        put_page(cpu, page).await;
        from = index + 1;
    }
}

/// `next_uptodate_page()`: the first page of the file in `from..to`, locked and with a reference. Nobody is waited for: a page that
/// somebody else has locked is passed over.
pub(crate) async fn next_uptodate_page(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<(u64, Page)> {
    let mut from = from;
    loop {
        let (index, page) = first_entry(cpu, inode, from, to).await?;
        from = index + 1;
        let is_locked = cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::LOCKED);
        if is_locked || !page_cache_get_speculative(cpu, page).await {
            continue;
        }
        if has_entry(cpu, inode, index, page).await && trylock_page(cpu, page).await {
            if is_of_file(cpu, inode, page).await && index < i_size_read(cpu, inode).await {
                return Some((index, page));
            }
            unlock_page(cpu, page).await;
        }
        put_page(cpu, page).await;
    }
}

/// `add_to_page_cache_locked()`: the page, which nobody else knows, is the file's from now on, and locked. False if the file has
/// another one there.
pub(crate) async fn add_to_page_cache(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page) -> bool {
    let kernel: &Kernel = cpu.kernel;
    // __SetPageLocked(), and the reference of the page cache, before anybody can find the page there.
    let flags = kernel.page_flags(page);
    cpu.this_cpu_write(flags, cpu.this_cpu_read(flags) | PageFlags::LOCKED | PageFlags::SWAPBACKED);
    get_page(cpu, page).await;
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
        cpu.this_cpu_write(kernel.page(page).mapping(), file_mapping(inode.index()));
        cpu.this_cpu_write(kernel.page(page).index(), index);
    } else {
        put_page(cpu, page).await;
    }
    added
}

/// `delete_from_page_cache()`: the page, which the caller has locked and mapped nowhere, leaves its file.
pub(crate) async fn delete_from_page_cache(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page) {
    let kernel: &Kernel = cpu.kernel;
    cpu.update(kernel.shmem.i_pages(inode), |pages| pages.remove(&index)).await;
    // page->mapping = NULL, in the same critical section of the page cache's lock.
    cpu.this_cpu_write(kernel.page(page).mapping(), 0);
    let left = SharedPage { file: inode.index() as u32, index };
    cpu.note(Event::PageUncached { pfn: page.0, page: left });
    put_page(cpu, page).await;
}
