//! `include/linux/rmap.h`: the objects to which pages of private memory point.

use sim_core::{Ref, RwSem, Shared, record};

record! {
    /// The words of an `anon_vma`.
    pub struct AnonVmaWords {
        /// The first of the tree: it has the lock of all.
        pub(crate) root: Shared<Option<AnonVma>> = "root";
        /// The one that it was made beside, at fork; the root is its own.
        pub(crate) parent: Shared<Option<AnonVma>> = "parent";
        /// `num_children`: those that have it for a parent.
        pub(crate) num_children: Shared<u64> = "num_children";
        /// `num_active_vmas`: the mappings whose new pages hang on it.
        pub(crate) num_active_vmas: Shared<u64> = "num_active_vmas";
        /// `rb_root`: how many mappings hang on it altogether.
        pub(crate) chained: Shared<u64> = "rb_root";
        /// `refcount`: one while mappings hang on it, and one for each that has it for a root.
        pub(crate) refcount: Shared<u64> = "refcount";
        /// `rwsem` of a root.
        pub(crate) rwsem: RwSem = "rwsem";
    }
}

/// A pointer to an `anon_vma`.
pub type AnonVma = Ref<AnonVmaWords>;

/// `struct anon_vma_chain`: that a mapping, by its slot, hangs on an `anon_vma`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avc {
    vma: usize,
    anon_vma: AnonVma,
}

impl Avc {
    pub(crate) fn new(vma: usize, anon_vma: AnonVma) -> Avc {
        Avc { vma, anon_vma }
    }

    /// The slot of the mapping.
    pub fn vma(self) -> usize {
        self.vma
    }

    /// What it hangs on.
    pub fn anon_vma(self) -> AnonVma {
        self.anon_vma
    }
}
