//! The settings of the memory manager: the knobs of the platform, which decide which safeguards matter, and the
//! designs that changed over time. Each run states them all.

use crate::release::Release;
use crate::safeguards::COW_REUSE_COUNTS;

crate::settings! {
    above 0;

    /// How translations of other CPUs are invalidated.
    Flush = platform "flush" {
        /// An interrupt goes to every CPU in the mm's cpumask, and the sender waits for all handlers.
        Ipi = "ipi",
        /// A broadcast instruction or a hypervisor flushes, which disabled interrupts do not hold up.
        NoIpi = "noipi",
    }

    /// What keeps page tables alive under lockless walkers.
    TableFree = platform "table_free" {
        /// A table is freed after the TLB flush, like any page.
        AfterFlush = "after_flush",
        /// A table is freed after the flush and an RCU-sched grace period.
        RcuSched = "rcu_sched",
        /// A table is freed after an empty interrupt to every CPU: the fallback when no batch page can be had.
        RcuThenSyncIpi = "rcu_then_sync_ipi",
    }

    /// The memory model.
    MemoryOrder = platform "memory" {
        /// Sequential consistency.
        Sc = "sc",
        /// Store buffers (x86-TSO).
        Tso = "tso",
    }

    /// Whether kernel code can be preempted.
    Preempt = platform "preempt" {
        /// Code is preempted only in user mode and where it sleeps.
        Off = "off",
        /// Code is preempted wherever neither interrupts nor preemption are disabled.
        On = "on",
    }

    /// Whether the processor walks for addresses that nobody accesses.
    SpeculativeWalk = platform "speculative_walk" {
        /// It does not.
        Off = "off",
        /// It walks at any time, for any page that is mapped when the run starts.
        On = "on",
    }

    /// Whether the kernel checks its own assertions: `CONFIG_DEBUG_VM`.
    DebugVm = platform "debug_vm" {
        /// It does not.
        Off = "off",
        /// A `VM_BUG_ON()` that does not hold is reported.
        On = "on",
    }

    /// Whether unmapping for reclaim gathers its flushes.
    FlushBatch = platform "flush_batch" {
        /// Every flush is done at once.
        Off = "off",
    } later ["on"]

    /// Whether a CPU keeps the last address space while it idles.
    LazyTlb = platform "lazy_tlb" {
        /// It does not.
        Off = "off",
    } later ["on"]

    /// Whether the processor sets Accessed and Dirty itself.
    HwAd = platform "hw_ad" {
        /// It does.
        On = "on",
    } later ["off"]

    /// How an entry is read that is wider than a word of the processor.
    PteRead = platform "pte_read" {
        /// In one access.
        Atomic = "atomic",
    } later ["split_lo_hi"]

    /// By which rule a write fault on a shared anonymous page decides to reuse the page.
    CowReuse = design "cow_reuse" has COW_REUSE_COUNTS by [Refcount, Exclusive] else Mapcount {
        /// `page_mapcount() == 1`: before v5.9.
        Mapcount = "mapcount",
        /// `page_count() == 1`: v5.9 to v5.18.
        Refcount = "refcount" since Release::v(5, 9),
        /// `PageAnonExclusive()`: since v5.19.
        Exclusive = "exclusive" since Release::v(5, 19),
    }

    /// Whether `rcu_read_lock()` holds up the grace periods that free page tables.
    RcuFlavor = design "rcu_flavor" {
        /// Only disabled preemption does: RCU-sched is a flavor of its own, before v4.20.
        Split = "split",
        /// It does: the flavors are one, since v4.20.
        Consolidated = "consolidated" since Release::v(4, 20),
    }
}
