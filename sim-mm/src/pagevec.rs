//! `include/linux/pagevec.h`: batches of pages, one of each kind on every CPU.

use sim_core::{CpuId, MemoryBuilder, Object};

use crate::mm_types::Page;

/// What is done with the pages of a batch: the fields of `struct cpu_fbatches`, `lru_pvecs` before v5.16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// `lru_add`: they go on a list.
    Add,
    /// `lru_deactivate`: they become candidates for reclaim.
    Deactivate,
    /// `lru_lazyfree`: they may be dropped.
    LazyFree,
    /// `lru_activate`: they are in use.
    Activate,
    /// `mlock_fbatch`: they stay in memory.
    Mlock,
    /// The same for pages that need not stay any longer.
    Munlock,
}

impl Batch {
    /// Whether pages for both wait in the same batch: `mlock_fbatch` takes those to be locked and those to be unlocked.
    pub(crate) fn is_with(self, other: Batch) -> bool {
        let is_mlock = |batch| matches!(batch, Batch::Mlock | Batch::Munlock);
        self == other || is_mlock(self) && is_mlock(other)
    }
}

/// The batches of the CPUs.
pub(crate) struct LruBatches(Vec<Object<Vec<(Batch, Page)>>>);

impl LruBatches {
    pub(crate) fn new(memory: &mut MemoryBuilder, cpus: usize) -> LruBatches {
        LruBatches((0..cpus).map(|n| Object::new(memory, format!("cpu_fbatches[{n}]"), Vec::new())).collect())
    }

    /// Those of a CPU.
    pub(crate) fn of(&self, cpu: CpuId) -> &Object<Vec<(Batch, Page)>> {
        &self.0[cpu.index()]
    }

    /// Tells the pages that wait in some batch, as often as they do. For those who look at the machine when nothing is going on.
    pub(crate) fn each_page(&self, mut hear: impl FnMut(Page)) {
        self.0.iter().for_each(|batches| batches.peek().iter().for_each(|(_, page)| hear(*page)));
    }
}
