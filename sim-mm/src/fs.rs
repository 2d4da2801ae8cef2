//! `include/linux/fs.h`: files, and the tags of their pages.

use std::collections::BTreeMap;

use bitflags::bitflags;
use sim_core::{Ref, Shared, record};

record! {
    /// The words of a file.
    pub struct InodeWords {
        /// `f_count`: the mappings of the file, the descriptors that lead to it, and the system calls that use one.
        pub(crate) f_count: Shared<u64> = "f_count";
        /// `i_size`, in pages.
        pub(crate) i_size: Shared<u64> = "i_size";
        /// `stop_eviction`: those who bring its pages back from swap, for whom it stays.
        pub(crate) stop_eviction: Shared<u64> = "stop_eviction";
        /// Whether the file is on the disk. It does not change.
        pub(crate) on_disk: Shared<bool> = "i_sb";
        /// Whether the file is secret memory (`a_ops == &secretmem_aops`). It does not change.
        pub(crate) secret: Shared<bool> = "a_ops";
        /// Of which size its pages are, if the file is one of hugetlbfs (`hstate_inode()`), as a word. It does not change.
        pub(crate) hstate: Shared<u64> = "i_op";
        /// Whether the file is on a device, of which its pages are the blocks (`S_DAX`). It does not change.
        pub(crate) dax: Shared<bool> = "S_DAX";
        /// Whether the file is the device itself (`dax_fops`), and has no file system. It does not change.
        pub(crate) dev_dax: Shared<bool> = "f_op";
        /// `wb_err`: whether a page could not be written, and nobody was told yet.
        pub(crate) wb_err: Shared<bool> = "wb_err";
        /// `i_writecount`: those of `f_count` that come from an open for writing. Linux counts the opens.
        pub(crate) i_writecount: Shared<u64> = "i_writecount";
        /// `nr_thps`: the huge pages of a file on the disk, whose file system does not know of them.
        pub(crate) nr_thps: Shared<u64> = "nr_thps";
    }
}

/// A file.
pub type Inode = Ref<InodeWords>;

/// `f_mode`: what a file was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FMode {
    /// `FMODE_READ`.
    Read,
    /// `FMODE_READ` and `FMODE_WRITE`.
    ReadWrite,
}

/// `struct file`: a file, as somebody opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) inode: Inode,
    pub(crate) f_mode: FMode,
}

bitflags! {
    /// The tags that the page cache of a file has for a page.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct PageTag: u8 {
        /// `PAGECACHE_TAG_DIRTY`: the page is dirty, or was when it was last looked at.
        const DIRTY = 1 << 0;
        /// `PAGECACHE_TAG_WRITEBACK`: the disk is writing it.
        const WRITEBACK = 1 << 1;
        /// `PAGECACHE_TAG_TOWRITE`: somebody has promised to write it.
        const TOWRITE = 1 << 2;
    }
}

/// The tags of the pages of a file, by their places in it. A page that has none is not there.
pub(crate) type PageTags = BTreeMap<u64, PageTag>;
