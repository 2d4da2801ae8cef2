//! `include/linux/shmem_fs.h`: files that are nothing but memory, and their page cache.

use std::collections::BTreeMap;

use sim_core::{MemoryBuilder, Object, RwSem, Slab, SpinLock, WhenFree};
use sim_mmu::Pfn;

use crate::event::SharedPage;
use crate::fs::{Inode, InodeWords};
use crate::mm_types::{MmId, Page, Vma};
use crate::swapops::SwpEntry;

/// What a file has at an index: a page, or, as a value entry of `i_pages`, the slot of the swap area to which its page went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cached {
    /// The page.
    Page(Page),
    /// `swp_to_radix_entry()`: the page is in swap. It went there with a folio of this order, whose pages have slots in a row.
    Swapped(SwpEntry, u8),
}

impl Cached {
    /// What is so many places behind it, if it is the first of a folio, or of slots in a row.
    pub(crate) fn nth(self, nth: u64) -> Cached {
        match self {
            Cached::Page(page) => Cached::Page(Page(Pfn(page.0.0 + nth))),
            Cached::Swapped(entry, order) => Cached::Swapped(SwpEntry(entry.0 + nth), order),
        }
    }

    /// The page, if it is not in swap.
    pub(crate) fn page(self) -> Option<Page> {
        match self {
            Cached::Page(page) => Some(page),
            Cached::Swapped(..) => None,
        }
    }
}

/// The page cache of a file.
pub(crate) type Pages = BTreeMap<u64, Cached>;

/// The mappings of a file, each with its address space.
pub(crate) type Mappings = Vec<(MmId, Vma)>;

/// The files in memory, and the page cache of each.
pub(crate) struct Shmem {
    pub(crate) inodes: Slab<InodeWords>,
    /// `shmem_swaplist`: the files that may have pages in swap.
    pub(crate) swaplist: Object<Vec<Inode>>,
    /// `shmem_swaplist_mutex`.
    pub(crate) swaplist_mutex: RwSem,
    /// `i_pages`, by the slot of the file.
    i_pages: Vec<Object<Pages>>,
    /// `i_rwsem`, by the slot of the file: who changes its length, or writes to it.
    i_rwsem: Vec<RwSem>,
    /// `xa_lock` of `i_pages`, by the slot of the file: held while a page that is frozen goes out of it.
    xa_lock: Vec<SpinLock>,
    /// `i_mmap`, by the slot of the file: its mappings. Who takes one out of it excludes those who go through it.
    i_mmap: Vec<(RwSem, Object<Mappings>)>,
}

impl Shmem {
    pub(crate) fn new(memory: &mut MemoryBuilder, files: usize) -> Shmem {
        let pages = |n: usize| Object::new(&mut *memory, format!("inode[{n}].i_pages"), Pages::new());
        let i_pages = (0..files).map(pages).collect();
        let i_rwsem = (0..files).map(|n| memory.alone(format!("inode[{n}].i_rwsem"))).collect();
        let xa_lock = (0..files).map(|n| memory.alone(format!("inode[{n}].xa_lock"))).collect();
        let mut mappings = |n: usize| {
            let lock = memory.alone(format!("inode[{n}].i_mmap_rwsem"));
            (lock, Object::new(&mut *memory, format!("inode[{n}].i_mmap"), Vec::new()))
        };
        let i_mmap = (0..files).map(&mut mappings).collect();
        let swaplist = Object::new(&mut *memory, "shmem_swaplist".to_owned(), Vec::new());
        let swaplist_mutex = memory.alone("shmem_swaplist_mutex".to_owned());
        let inodes = Slab::new(memory, "inode", files, WhenFree::Untouchable);
        Shmem { inodes, swaplist, swaplist_mutex, i_pages, i_rwsem, xa_lock, i_mmap }
    }

    /// `i_pages` of a file.
    pub(crate) fn i_pages(&self, inode: Inode) -> &Object<Pages> {
        &self.i_pages[inode.index()]
    }

    /// `i_rwsem` of a file.
    pub(crate) fn i_rwsem(&self, inode: Inode) -> RwSem {
        self.i_rwsem[inode.index()]
    }

    /// `xa_lock` of `i_pages` of a file.
    pub(crate) fn xa_lock(&self, inode: Inode) -> SpinLock {
        self.xa_lock[inode.index()]
    }

    /// `i_mmap_rwsem` of a file.
    pub(crate) fn i_mmap_rwsem(&self, inode: Inode) -> RwSem {
        self.i_mmap[inode.index()].0
    }

    /// `i_mmap` of a file.
    pub(crate) fn i_mmap(&self, inode: Inode) -> &Object<Mappings> {
        &self.i_mmap[inode.index()].1
    }

    /// The pages of all files, in memory and in swap, and where each is. For those who look at the machine when nothing is going on.
    pub(crate) fn cached(&self) -> Vec<(SharedPage, Cached)> {
        let mut cached = Vec::new();
        for (file, pages) in (0..).zip(&self.i_pages) {
            cached.extend(pages.peek().iter().map(|(index, has)| (SharedPage { file, index: *index }, *has)));
        }
        cached
    }

    /// Whether a file has this very page there. For the same.
    pub(crate) fn has(&self, at: SharedPage, page: Page) -> bool {
        self.i_pages[at.file as usize].peek().get(&at.index) == Some(&Cached::Page(page))
    }
}
