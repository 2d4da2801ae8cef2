//! The settings of the memory manager: the knobs of the platform, which decide which safeguards matter, and the
//! designs that changed over time. Each run states them all.

use crate::registry::setting::{Knob, Settings};
use crate::release::Release;
use crate::safeguards::COW_REUSE_COUNTS;

/// Whether x86 kernels of a release were built that free tables so, on machines that flush so.
///
/// All of v4.14 to v4.18 wait for a grace period (9e52fc2b50de); from v4.19 on only those do that can be guests whose
/// hypervisor flushes for them (48a8b97cfd80); since v6.15 all do again. Before v4.14 none did, whatever a flush was.
fn is_built(version: Release, flush: Flush, table_free: TableFree) -> bool {
    let by_rcu = version >= Release::v(4, 14);
    let by_interrupt = version >= Release::v(4, 19) && version < Release::v(6, 15) && flush == Flush::Ipi;
    match table_free {
        TableFree::AfterFlush => !by_rcu || by_interrupt,
        TableFree::RcuSched | TableFree::RcuThenSyncIpi => by_rcu,
    }
}

fn usual_table_free(version: Release, chosen: &Settings) -> TableFree {
    let is_built = |table_free: &&TableFree| is_built(version, chosen.get(), **table_free);
    TableFree::VALUES.iter().find(is_built).copied().unwrap_or(TableFree::AfterFlush)
}

/// Says so if no Linux kernel of the release was ever built for such a platform: what goes wrong there need not be a
/// fault of Linux.
pub fn never_built(version: Release, platform: &Settings) -> Option<String> {
    let (flush, table_free) = (platform.get::<Flush>(), platform.get::<TableFree>());
    (!is_built(version, flush, table_free)).then(|| {
        format!(
            "flush {} with table_free {} is no configuration of Linux {version}",
            flush.name(),
            table_free.name()
        )
    })
}

crate::settings! {
    above 0;

    /// How translations of other CPUs are invalidated.
    Flush = platform "flush" {
        /// An interrupt goes to every CPU in the mm's cpumask, and the sender waits for all handlers.
        Ipi = "ipi",
        /// A broadcast instruction or a hypervisor flushes, which disabled interrupts do not hold up.
        NoIpi = "noipi",
    }

    /// What keeps page tables alive under lockless walkers; if it is not said, what kernels of the release do.
    TableFree = platform "table_free" usually [usual_table_free] {
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
        /// It does, with its translations, until a flush or another address space comes: lazy TLB mode.
        On = "on",
    }

    /// For how many address spaces a CPU keeps translations at a time, if it has PCIDs: `TLB_NR_DYN_ASIDS`.
    AsidSlots = platform "asid_slots" {
        /// Six, as in every kernel.
        Six = "6",
        /// Two, so that two processes and the kernel do not all have room.
        Two = "2",
    }

    /// What INVLPG does to global translations while PCIDs are on.
    InvlpgGlobal = platform "invlpg_global" {
        /// It drops them, as the manual says.
        Dropped = "dropped",
        /// It may leave them, as on some processors of Intel (an erratum of 2022).
        Kept = "kept",
    }

    /// Whether the processor sets Accessed and Dirty itself.
    HwAd = platform "hw_ad" {
        /// It does, as every processor of x86.
        On = "on",
        /// The kernel does, in a fault: an entry that was not accessed is not there for the processor, and one that is clean is read-only.
        Off = "off",
    }

    /// How an entry is read that is wider than a word of the processor.
    PteRead = platform "pte_read" {
        /// In one access.
        Atomic = "atomic",
    } later ["split_lo_hi"]

    /// Which allocations of a run may fail although there is memory: `CONFIG_FAULT_INJECTION`. Which of them do is a choice.
    AllocFailures = platform "alloc_failures" {
        /// None.
        None = "none",
        /// One of a run, whichever it is.
        One = "one",
        /// Each.
        Any = "any",
    }

    /// Whether pages wait in batches of their CPU, with a reference, before they go to a list of reclaim.
    LruBatch = platform "lru_batch" {
        /// They do not: every batch is worked off at once.
        Off = "off",
        /// They do, as in every kernel.
        On = "on",
    }

    /// By which rule a write fault on a shared anonymous page decides to reuse the page.
    CowReuse = design "cow_reuse" has COW_REUSE_COUNTS by [Refcount, Exclusive] else Mapcount {
        /// `page_mapcount() == 1`: before v5.9.
        Mapcount = "mapcount",
        /// `page_count() == 1`: v5.9 to v5.18.
        Refcount = "refcount" since Release::v(5, 9),
        /// `PageAnonExclusive()`: since v5.19.
        Exclusive = "exclusive" since Release::v(5, 19),
    }

    /// Which mappings are merged if only one of two neighbours has had a page faulted in.
    VmaMerge = design "vma_merge" {
        /// A range without pages joins a mapping that has some; a range with pages joins none that has none.
        OneWay = "one_way",
        /// Either joins the other: since v6.16 (`879bca0a2c4f`).
        BothWays = "both_ways" since Release::v(6, 16),
    }

    /// Which `anon_vma` of its ancestors a child's mapping takes over instead of getting one of its own.
    AnonVmaReuse = design "anon_vma_reuse" {
        /// One with fewer than two children and mappings together: before v6.0 (CVE-2022-42703).
        Degree = "degree",
        /// One that no mapping uses, with fewer than two children: since v6.0 (`2555283eb40d`).
        Children = "children" since Release::v(6, 0),
    }

    /// Whether `mprotect()` makes entries of private memory writable.
    MprotectUpgrade = design "mprotect_upgrade" {
        /// It leaves that to the next write fault.
        Never = "never",
        /// It does so where the page is this address space's alone: since v6.0 (`64fe24a3e05e`).
        Exclusive = "exclusive" since Release::v(6, 0),
    }

    /// What `mremap()` to a given address does first.
    MremapTarget = design "mremap_target" {
        /// It unmaps what is there, and then looks whether there is something to move.
        UnmapFirst = "unmap_first",
        /// It looks whether anything is mapped, unmaps, and then looks whether it can be moved: since v5.16 (`550a7d60bd5e`).
        LookUpFirst = "look_up_first" since Release::v(5, 16),
        /// It looks first, and moves several mappings at once: since v6.17 (`d23cb648e365`).
        CheckFirst = "check_first" since Release::v(6, 17),
    }

    /// Whether a mapping that `mremap()` makes longer is merged with the one behind it.
    MremapExtend = design "mremap_extend" {
        /// It is not.
        Alone = "alone",
        /// It is: since v5.19 (`ca3d76b0aa80`).
        Merge = "merge" since Release::v(5, 19),
    }

    /// Whether memory that was never touched stays counted as committed when `mprotect()` makes it read-only.
    MprotectUncount = design "mprotect_uncount" {
        /// It stays counted.
        Never = "never",
        /// It is not counted any more: since v6.0.
        Untouched = "untouched" since Release::v(6, 0),
    }

    /// Which mappings `MREMAP_DONTUNMAP` can leave behind empty.
    MremapDontunmap = design "mremap_dontunmap" {
        /// Those of private anonymous memory.
        Private = "private",
        /// Shared ones as well: since v5.13 (`a4609387859f`).
        Any = "any" since Release::v(5, 13),
    }

    /// Which shared mappings `MADV_REMOVE` accepts.
    MadvRemove = design "madv_remove" {
        /// Those that are writable.
        Writable = "writable",
        /// Those that could be made so: since v6.7 (`e8e17ee90eaf`).
        MayWrite = "may_write" since Release::v(6, 7),
    }

    /// What becomes of `mmap_lock` in a write fault that makes a page of shared memory dirty, and so may have to wait.
    SharedWriteFault = design "shared_write_fault" {
        /// It is held.
        Hold = "hold",
        /// It is let go of, and the fault is handled once more: since v5.5 (`89b15332af7c`).
        Retry = "retry" since Release::v(5, 5),
        /// It is let go of, and the fault is done: since v6.0 (`d92725256b4f`).
        Completed = "completed" since Release::v(6, 0),
    }

    /// Which flushes interrupt a CPU in lazy TLB mode.
    LazyFlush = design "lazy_flush" {
        /// All of them.
        Always = "always",
        /// Those after which page tables are freed; of others it learns when it goes on. Since v4.20 (`12c4d978fd17`).
        Tables = "tables" since Release::v(4, 20),
    }

    /// Whether the translations of an address space outlive a switch to another: CR4.PCIDE.
    Pcid = design "pcid" {
        /// They do not: every switch drops them, as with `nopcid`.
        Off = "off",
        /// They do, tagged with a PCID, and are used again if no flush was missed: since v4.14 (`10af6235e0d3`).
        On = "on" since Release::v(4, 14),
    }

    /// When a CPU is taken out of the cpumask of an address space that it has left.
    MmCpumask = design "mm_cpumask" {
        /// When it leaves.
        Eager = "eager",
        /// When an interrupt of a flush finds it elsewhere; before that, whoever flushes looks what it has loaded. Since v6.14 (`209954cbc7d0`).
        Lazy = "lazy" since Release::v(6, 14),
    }

    /// When an unmapping CPU works off its batches of pages.
    UnmapDrain = design "unmap_drain" {
        /// Before it unmaps anything. A batch has room for 15 pages.
        BeforeUnmap = "before_unmap",
        /// When it has pages to free: since v6.9. A batch has room for 31 pages.
        WithPages = "with_pages" since Release::v(6, 9),
    }

    /// How a mapping with guards is known to fork.
    GuardMark = design "guard_mark" {
        /// It gets an `anon_vma`, as if it had pages.
        AnonVma = "anon_vma",
        /// It gets a flag as well, `VM_MAYBE_GUARD`: since v6.19, and in stable releases of v6.18.
        Flag = "flag" since Release::v(6, 18),
    }

    /// Which faults of user code take the lock of their mapping alone, and `mmap_lock` only if that fails.
    VmaLock = design "vma_lock" {
        /// None: before v6.4 there are no such locks.
        None = "none",
        /// Those in private memory that has had a page: since v6.4 (`0bff0aaea03e`).
        Anonymous = "anonymous" since Release::v(6, 4),
        /// Those in shared memory as well: since v6.7 (`4ed4379881aa`).
        Files = "files" since Release::v(6, 7),
        /// All of them: since v6.10.
        All = "all" since Release::v(6, 10),
        /// All, and a mapping is freed at once, not after a grace period: since v6.15 (`3104138517fc`).
        Refcount = "refcount" since Release::v(6, 15),
    }

    /// Which lock lets a stack grow.
    StackGrowth = design "stack_growth" {
        /// `mmap_lock` for reading, with which GUP lets a stack grow as well.
        Shared = "shared",
        /// `mmap_lock` for writing: since v6.5 (`8d7071af8907`). GUP lets none grow.
        Exclusive = "exclusive" since Release::v(6, 5),
    }

    /// Whether `rcu_read_lock()` holds up the grace periods that free page tables.
    RcuFlavor = design "rcu_flavor" {
        /// Only disabled preemption does: RCU-sched is a flavor of its own, before v4.20.
        Split = "split",
        /// It does: the flavors are one, since v4.20.
        Consolidated = "consolidated" since Release::v(4, 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CATALOGUE, Choices};

    #[test]
    fn a_default_is_a_configuration_that_exists() {
        for version in Release::known().chain([Release::LATEST]) {
            for flush in Flush::VALUES {
                let platform = CATALOGUE.platform(version, &Choices::default().with(*flush));
                assert_eq!(never_built(version, &platform), None);
            }
        }
    }

    #[test]
    fn what_a_flush_without_interrupts_brings_goes_by_release() {
        let table_free = |version, flush| {
            CATALOGUE.platform(version, &Choices::default().with::<Flush>(flush)).get::<TableFree>()
        };
        assert_eq!(table_free(Release::v(4, 13), Flush::NoIpi), TableFree::AfterFlush);
        assert_eq!(table_free(Release::v(4, 14), Flush::NoIpi), TableFree::RcuSched);
        assert_eq!(table_free(Release::v(5, 0), Flush::NoIpi), TableFree::RcuSched);
        assert_eq!(table_free(Release::v(5, 0), Flush::Ipi), TableFree::AfterFlush);
        assert_eq!(table_free(Release::LATEST, Flush::Ipi), TableFree::RcuSched);
    }

    #[test]
    fn what_is_asked_for_is_had_and_named() {
        let asked = Choices::default().with(Flush::NoIpi).with(TableFree::AfterFlush);
        let platform = CATALOGUE.platform(Release::v(5, 0), &asked);
        assert_eq!(platform.get::<TableFree>(), TableFree::AfterFlush);
        let said = never_built(Release::v(5, 0), &platform).expect("there is no such kernel");
        assert_eq!(said, "flush noipi with table_free after_flush is no configuration of Linux v5.0");
        assert_eq!(never_built(Release::v(4, 13), &platform), None);
    }
}
