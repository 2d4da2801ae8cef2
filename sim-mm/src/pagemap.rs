//! `include/linux/pagemap.h`: to which file a page belongs, and the references of caches.

use crate::folio::folio_nr_pages;
use crate::fs::Inode;
use crate::inode::on_disk;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{get_page, page_ref_add, put_page, put_page_refs};
use crate::page_flags::{file_of_mapping, is_anon_mapping};

/// `page->mapping` and `page->index` of a folio that the caller has locked: the file that it is of, and where in it.
pub(crate) fn page_mapping(cpu: Cpu<'_>, page: Page) -> Option<(Inode, u64)> {
    let words = cpu.kernel.page(cpu.kernel.folio_of(page));
    let inode = inode_of_mapping(cpu, cpu.this_cpu_read(words.mapping()))?;
    Some((inode, cpu.this_cpu_read(words.index())))
}

/// The file that `page->mapping` leads to.
pub(crate) fn inode_of_mapping(cpu: Cpu<'_>, mapping: u64) -> Option<Inode> {
    let slot = file_of_mapping(mapping)?;
    cpu.kernel.shmem.inodes.current(cpu.core, slot as usize)
}

/// The same as [`page_mapping`], if the file is on the disk.
pub(crate) fn disk_mapping(cpu: Cpu<'_>, page: Page) -> Option<(Inode, u64)> {
    page_mapping(cpu, page).filter(|(inode, _)| on_disk(cpu, *inode))
}

/// What `page->mapping` of a folio says that is neither locked nor kept from being truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backed {
    /// Nothing: it was truncated, or is none of a file.
    ByNothing,
    /// It is anonymous.
    Anonymous,
    /// It is of a file in memory, of which nobody need know whether it is dirty.
    InMemory,
    /// It is of a file on the disk: writeback makes the page clean, and has to learn of the next write.
    OnDisk,
}

/// What a folio to which the caller has a reference belongs to. The pointer is read once. What it leads to stays as long as the caller has
/// interrupts off, for a file is freed after a grace period of RCU.
pub async fn folio_backing(cpu: Cpu<'_>, head: Page) -> Backed {
    let mapping = cpu.load(cpu.kernel.page(head).mapping()).await;
    match file_of_mapping(mapping) {
        Some(file) if cpu.kernel.is_on_disk(file) => Backed::OnDisk,
        Some(_) => Backed::InMemory,
        None if is_anon_mapping(mapping) => Backed::Anonymous,
        None => Backed::ByNothing,
    }
}

/// The references of the page cache, or of the swap cache, to a folio: one for each page.
pub(crate) async fn get_cache_references(cpu: Cpu<'_>, head: Page) {
    match folio_nr_pages(cpu, head) {
        1 => get_page(cpu, head).await,
        pages => page_ref_add(cpu, head, pages).await,
    }
}

/// The same given up, when the cache has the folio no more.
pub(crate) async fn put_cache_references(cpu: Cpu<'_>, head: Page) {
    match folio_nr_pages(cpu, head) {
        1 => put_page(cpu, head).await,
        pages => put_page_refs(cpu, head, pages).await,
    }
}
