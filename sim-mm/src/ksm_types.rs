//! What ksmd knows of pages: `struct ksm_rmap_item`, `struct ksm_stable_node`.

use sim_core::{MemoryBuilder, Object, RwSem};
use sim_mmu::VirtAddr;

use crate::mm_types::{MmId, Page};

/// A page of a process that ksmd has come to: `struct ksm_rmap_item`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RmapItem {
    pub(crate) mm: MmId,
    pub(crate) address: VirtAddr,
    /// `oldchecksum`: of what the page held when ksmd came to it last. A page that changes often is not worth merging.
    pub(crate) oldchecksum: u64,
    /// `UNSTABLE_FLAG`: whether the page waits in the unstable tree for an equal one.
    pub(crate) is_unstable: bool,
}

/// A merged page: `struct ksm_stable_node`. It has no reference to the page, which goes with its last mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StableNode {
    pub(crate) kpage: Page,
    /// By this `page->mapping` says that the page is still that of the node. It is never zero.
    pub(crate) id: u64,
}

/// What ksmd knows.
pub(crate) struct Ksm {
    /// `ksm_thread_mutex`: ksmd works.
    pub(crate) mutex: RwSem,
    /// The items, in the order in which ksmd came to them. Those that are marked are `root_unstable_tree`.
    pub(crate) items: Object<Vec<RmapItem>>,
    /// `root_stable_tree`.
    pub(crate) stable: Object<Vec<StableNode>>,
}

impl Ksm {
    /// Whether ksmd keeps an address space, for those who look at the machine when nothing is going on.
    pub(crate) fn knows(&self, mm: MmId) -> bool {
        self.items.peek().iter().any(|item| item.mm == mm)
    }

    pub(crate) fn new(memory: &mut MemoryBuilder) -> Ksm {
        Ksm {
            mutex: memory.alone("ksm_thread_mutex".to_owned()),
            items: Object::new(memory, "ksm.rmap_items".to_owned(), Vec::new()),
            stable: Object::new(memory, "ksm.root_stable_tree".to_owned(), Vec::new()),
        }
    }
}
