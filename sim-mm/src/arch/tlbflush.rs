//! `arch/x86/include/asm/tlbflush.h`: what a CPU has loaded, and the request of a flush.

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
        /// `loaded_mm_asid`: the slot of the address space that is loaded.
        pub(crate) loaded_mm_asid: Shared<u64> = "loaded_mm_asid";
        /// `next_asid`: how many slots were given away since the first one was.
        pub(crate) next_asid: Shared<u64> = "next_asid";
    }
}

record! {
    /// `ctxs[]` of a CPU: a slot, whose translations are tagged with a PCID of its own.
    pub(crate) struct TlbContext {
        /// `ctx_id`: the address space that it belongs to; zero for none yet.
        pub(crate) ctx_id: Shared<u64> = "ctx_id";
        /// `tlb_gen`: the flushes of that address space that this CPU has caught up with.
        pub(crate) tlb_gen: Shared<u64> = "tlb_gen";
    }
}

/// `TLB_NR_DYN_ASIDS`: the slots that a CPU has room for.
pub(crate) const TLB_NR_DYN_ASIDS: usize = 6;

/// `LOADED_MM_SWITCHING`: what `loaded_mm` says while it changes.
pub(crate) const LOADED_MM_SWITCHING: u64 = u64::MAX;

/// `context.ctx_id`: no two address spaces ever have the same. That of `init_mm` is the first.
pub(crate) fn ctx_id(mm: Option<MmId>) -> u64 {
    MmId::into_word(mm) + 1
}

/// `struct flush_tlb_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlushTlbInfo {
    pub(crate) mm: MmId,
    pub(crate) start: VirtAddr,
    pub(crate) end: VirtAddr,
    pub(crate) new_tlb_gen: u64,
}
