//! `include/linux/fs.h`: files.

use sim_core::{Ref, Shared, record};

record! {
    /// The words of a file in memory.
    pub struct InodeWords {
        /// `f_count`: the mappings of the file, the descriptors that lead to it, and the system calls that use one.
        pub(crate) f_count: Shared<u64> = "f_count";
        /// `i_size`, in pages.
        pub(crate) i_size: Shared<u64> = "i_size";
    }
}

/// A file in memory.
pub type Inode = Ref<InodeWords>;
