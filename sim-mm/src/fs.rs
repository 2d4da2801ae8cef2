//! `include/linux/fs.h`: files.

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
        /// `wb_err`: whether a page could not be written, and nobody was told yet.
        pub(crate) wb_err: Shared<bool> = "wb_err";
    }
}

/// A file.
pub type Inode = Ref<InodeWords>;
