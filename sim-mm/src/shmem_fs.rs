//! `include/linux/shmem_fs.h`: files that are nothing but memory, and their page cache.

use std::collections::BTreeMap;

use sim_core::{MemoryBuilder, Object, Slab, WhenFree};

use crate::fs::{Inode, InodeWords};
use crate::mm_types::Page;

/// The page cache of a file.
pub(crate) type Pages = BTreeMap<u64, Page>;

/// The files in memory, and the page cache of each.
pub(crate) struct Shmem {
    pub(crate) inodes: Slab<InodeWords>,
    /// `i_pages`, by the slot of the file.
    i_pages: Vec<Object<Pages>>,
}

impl Shmem {
    pub(crate) fn new(memory: &mut MemoryBuilder, files: usize) -> Shmem {
        let pages = |n: usize| Object::new(&mut *memory, format!("inode[{n}].i_pages"), Pages::new());
        let i_pages = (0..files).map(pages).collect();
        Shmem { inodes: Slab::new(memory, "inode", files, WhenFree::Untouchable), i_pages }
    }

    /// `i_pages` of a file.
    pub(crate) fn i_pages(&self, inode: Inode) -> &Object<Pages> {
        &self.i_pages[inode.index()]
    }

    /// The pages of all files. For those who look at the machine when nothing is going on.
    pub(crate) fn pages(&self) -> Vec<Page> {
        self.i_pages.iter().flat_map(|pages| pages.peek().values().copied().collect::<Vec<_>>()).collect()
    }
}
