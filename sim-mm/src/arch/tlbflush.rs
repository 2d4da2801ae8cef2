//! `arch/x86/include/asm/tlbflush.h`: what a CPU has loaded, and what a flush asks for.

use sim_core::{Shared, record};
use sim_mmu::VirtAddr;

use crate::mm_types::MmId;

record! {
    /// `cpu_tlbstate` of a CPU.
    pub(crate) struct TlbState {
        /// The address space that is loaded: one more than its number; zero is `init_mm`.
        pub(crate) loaded_mm: Shared<u64> = "loaded_mm";
        /// `is_lazy`: what runs here has no address space of its own, and uses none of what is loaded.
        pub(crate) is_lazy: Shared<bool> = "is_lazy";
        /// `ctxs[].tlb_gen`: the flushes that this CPU has caught up with.
        pub(crate) tlb_gen: Shared<u64> = "tlb_gen";
    }
}

/// `struct flush_tlb_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlushTlbInfo {
    pub(crate) mm: MmId,
    pub(crate) start: VirtAddr,
    pub(crate) end: VirtAddr,
    pub(crate) new_tlb_gen: u64,
}
