//! `include/linux/mm_types_task.h`: flushes that a task has put off.

use sim_mmu::VirtAddr;

use crate::mm_types::MmId;

/// `struct tlbflush_unmap_batch` of a task: what it has cleared and not flushed.
#[derive(Default)]
pub(crate) struct TlbUbc {
    /// `arch.cpumask`: the CPUs that may hold translations.
    pub(crate) cpumask: u64,
    /// Which pages, for a machine on which a flush names them.
    pub(crate) pages: Vec<(MmId, VirtAddr)>,
    /// `flush_required`.
    pub(crate) flush_required: bool,
    /// `writable`: a translation may still be written through.
    pub(crate) writable: bool,
}
