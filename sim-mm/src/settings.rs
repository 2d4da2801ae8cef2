//! The settings of the memory manager. The knobs of the platform decide which safeguards matter. The designs are
//! rules of the kernel that changed over time. Each run states all of them.

use crate::registry::setting::{Knob, Settings};
use crate::release::Release;
use crate::safeguards::{ANON_VMA_REUSE_COUNTS, COW_REUSE_COUNTS, UFFD_WP_NOTIFY};

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
        /// A broadcast instruction or a hypervisor flushes. A CPU with disabled interrupts does not delay it.
        NoIpi = "noipi",
    }

    /// The rule by which page tables are freed while lockless walkers may read them. The usual value is that of the release.
    TableFree = platform "table_free" usually [usual_table_free] {
        /// A table is freed after the TLB flush, like any page.
        AfterFlush = "after_flush",
        /// A table is freed after the flush and an RCU-sched grace period.
        RcuSched = "rcu_sched",
        /// A table is freed after an empty interrupt to every CPU. Kernels fall back to this rule if they cannot get a page for the batch.
        RcuThenSyncIpi = "rcu_then_sync_ipi",
    }

    /// The memory model.
    MemoryOrder = platform "memory" {
        /// Memory is sequentially consistent.
        Sc = "sc",
        /// Each CPU has a store buffer (x86-TSO).
        Tso = "tso",
    }

    /// Where faults map huge pages: `/sys/kernel/mm/transparent_hugepage/enabled`.
    Thp = platform "thp" {
        /// They do where user code has asked for it by `MADV_HUGEPAGE`.
        Madvise = "madvise",
        /// They do wherever a huge page fits.
        Always = "always",
        /// They never do.
        Never = "never",
    }

    /// Of which size the large folios are that faults on private memory map page by page: `hugepages-*kB/enabled`. Since v6.8; older kernels have none.
    AnonOrders = platform "anon_orders" {
        /// There are none.
        None = "none",
        /// They have 16 KiB.
        K16 = "16k",
        /// They have 32 KiB.
        K32 = "32k",
        /// They have 64 KiB.
        K64 = "64k",
        /// They have 128 KiB.
        K128 = "128k",
        /// They have 256 KiB.
        K256 = "256k",
        /// They have 512 KiB.
        K512 = "512k",
        /// They have 1 MiB.
        K1024 = "1024k",
        /// They have each of these sizes, and the largest one that fits is tried first.
        All = "all",
    }

    /// What reading of memory maps that was never written, where a huge page fits: `use_zero_page`.
    ZeroThp = platform "zero_thp" {
        /// It maps a huge page of zeroes.
        On = "on",
        /// It maps a huge page as writing does.
        Off = "off",
    }

    /// Which files in memory have huge pages: `/sys/kernel/mm/transparent_hugepage/shmem_enabled`. Since v4.8.
    ShmemThp = platform "shmem_thp" {
        /// None has, but what `MADV_COLLAPSE` makes.
        Never = "never",
        /// They have where a mapping asks for it by `MADV_HUGEPAGE`.
        Advise = "advise",
        /// They also have where all of the huge page lies within the file.
        WithinSize = "within_size",
        /// They have wherever a huge page fits.
        Always = "always",
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
        /// The processor walks only for accesses.
        Off = "off",
        /// The processor may walk at any time, for any page that is mapped when the run starts.
        On = "on",
    }

    /// Whether the kernel checks its own assertions: `CONFIG_DEBUG_VM`.
    DebugVm = platform "debug_vm" {
        /// The kernel does not check them.
        Off = "off",
        /// A `VM_BUG_ON()` whose condition is true is reported.
        On = "on",
    }

    /// Whether reclaim collects its flushes and does several of them at once.
    FlushBatch = platform "flush_batch" {
        /// Every flush is done at once.
        Off = "off",
        /// Reclaim clears entries, and flushes before it writes or frees what they mapped. This is so since v4.3 (`72b252aed506`).
        On = "on",
    }

    /// Whether there is a swap area, and how its device reads and writes.
    Swap = platform "swap" {
        /// There is none. No page is ever swapped out.
        Off = "off",
        /// The device is synchronous, as zram is. A page that one entry names is read without the swap cache.
        Sync = "sync",
        /// The device is not synchronous. Every page is read by way of the swap cache, and is freed only some time after it was written.
        Async = "async",
    }

    /// Whether there is a disk for files. It has as many blocks as there are frames, and a block holds a page.
    Disk = platform "disk" {
        /// There is none. Each file is nothing but memory.
        None = "none",
        /// There is one. While it writes a page, the page may change.
        Plain = "plain",
        /// There is one, and it compares what it writes with a checksum that was computed before. A page that changes meanwhile is not written, and the write fails.
        Checksums = "checksums",
    }

    /// Which transfer of a disk may fail. The schedule chooses which one does; there is at most one in a run.
    DiskErrors = platform "disk_errors" {
        /// None fails.
        None = "none",
        /// One that reads may fail.
        Read = "read",
        /// One that writes may fail.
        Write = "write",
    }

    /// Whether the kernel can move pages to other frames (`CONFIG_MIGRATION`).
    Migration = platform "migration" {
        /// It cannot. `move_pages()` is no system call then.
        Off = "off",
        /// It can. For that, it finds the entries that map a page, and knows on which list of reclaim the page is.
        On = "on",
    }

    /// To how many nodes memory belongs.
    Nodes = platform "nodes" {
        /// All memory is of node 0.
        One = "1",
        /// The second half of memory is node 1, and begins at 4 GiB. All CPUs are of node 0, so memory is taken from there first.
        Two = "2",
    }

    /// Whether a CPU keeps the last address space while it idles.
    LazyTlb = platform "lazy_tlb" {
        /// An idle CPU leaves the address space.
        Off = "off",
        /// An idle CPU is in lazy TLB mode: it keeps the address space and the translations until a flush or another address space comes.
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
        /// The processor sets them, as every processor of x86.
        On = "on",
        /// The kernel does, in a fault: an entry that was not accessed is not there for the processor, and one that is clean is read-only.
        Off = "off",
    }

    /// How the kernel reads an entry that is wider than a word of the processor.
    PteRead = platform "pte_read" {
        /// The kernel reads it in one access.
        Atomic = "atomic",
    } later ["split_lo_hi"]

    /// Which allocations of a run may fail although there is memory (`CONFIG_FAULT_INJECTION`). The schedule chooses which of them fail.
    AllocFailures = platform "alloc_failures" {
        /// No allocation fails.
        None = "none",
        /// One allocation of a run may fail, whichever it is.
        One = "one",
        /// Each allocation may fail.
        Any = "any",
    }

    /// Whether pages wait in a batch of their CPU before they go to a list of reclaim. A batch has a reference to each of its pages.
    LruBatch = platform "lru_batch" {
        /// Pages do not wait: a batch is emptied at once.
        Off = "off",
        /// Pages wait in batches, as in every real kernel.
        On = "on",
    }

    /// Whether the kernel notes which pages were written since somebody asked it to forget (`CONFIG_MEM_SOFT_DIRTY`).
    SoftDirty = platform "soft_dirty" {
        /// It does not.
        Off = "off",
        /// It does: entries and mappings say so, and `/proc/PID/clear_refs` makes them forget.
        On = "on",
    }

    /// How many pages an unmapping collects before it has to flush.
    GatherBatch = platform "gather_batch" {
        /// There is room for all, and no batch takes a page.
        Unbounded = "unbounded",
        /// There is room for one page, and for one more in a batch that takes a page. Each unlinked table needs such a batch as well.
        One = "1",
        /// There is room for 8 pages, and for 510 in each of 19 batches that take a page. 509 tables are a batch.
        Linux = "linux",
    }

    /// Where the frames of memory are.
    MemoryMap = platform "memory_map" {
        /// All of them are below 4 GiB.
        Low = "low",
        /// The second half of them begins at 4 GiB, behind a hole, so that an entry that leads there differs in its upper half.
        Split = "split",
    }

    /// Which frame an allocation gets.
    PageAlloc = platform "page_alloc" {
        /// Any free frame can come next. The schedule chooses.
        AnyFrame = "any_frame",
        /// The frame that the lists of the kernel have next: first the one that this CPU freed last, then one of the smallest free block.
        Buddy = "buddy",
    }

    /// Whether the processor has protection keys.
    Pkeys = platform "pkeys" {
        /// It has them. Memory that may only be executed gets a key of its own, so that nobody reads it.
        On = "on",
        /// It has none. Memory that may only be executed can be read.
        Off = "off",
    }

    /// Whether every process can read the vsyscall page, the gate area: the boot parameter `vsyscall`. The page is the first one of the last page table; with 512 entries a table it is at `0xffffffffff600000`.
    Vsyscall = platform "vsyscall" {
        /// There is no gate area.
        None = "none",
        /// There is a page that every process can read. Kernels before v5.3 have it unless they are told otherwise.
        Emulate = "emulate",
        /// There is a gate area, but nothing is mapped there. This is usual since v5.3 (`625b7b7f79c6`), which has it first.
        Xonly = "xonly",
    }

    /// The rule by which a write fault on an anonymous page decides to reuse the page instead of copying it.
    CowReuse = design "cow_reuse" has COW_REUSE_COUNTS by [Refcount, Exclusive] else Mapcount {
        /// It reuses the page if `page_mapcount() == 1`. This was the rule before v5.9.
        Mapcount = "mapcount",
        /// It reuses the page if `page_count() == 1`. This was the rule from v5.9 to v5.18.
        Refcount = "refcount" since Release::v(5, 9),
        /// It reuses the page if `PageAnonExclusive()` holds. This is the rule since v5.19.
        Exclusive = "exclusive" since Release::v(5, 19),
    }

    /// The rule by which a write fault that reads a page from swap decides to reuse the page instead of copying it.
    SwapReuse = design "swap_reuse" {
        /// It reuses the page if no other entry maps the page or names its slot. This was the rule before v5.18.
        Entries = "entries",
        /// It reuses the page if nobody else holds a reference, and for that the page leaves the swap cache. This is the rule since v5.18 (`c145e0b47c77`).
        References = "references" since Release::v(5, 18),
    }

    /// Whether the page that a write fault has copied gives up its slot of the swap area if no entry names it any more.
    CowFreesSwap = design "cow_frees_swap" {
        /// It keeps the slot until it is freed.
        No = "no",
        /// It gives the slot up. This is the rule since v5.14 (`f4c4a3f48480`).
        Yes = "yes" since Release::v(5, 14),
    }

    /// Which of two neighbouring mappings joins the other if only one of them has had a page faulted in.
    VmaMerge = design "vma_merge" {
        /// A range without pages joins a mapping that has pages. A range with pages does not join a mapping without pages.
        OneWay = "one_way",
        /// Each can join the other. This is the rule since v6.16 (`879bca0a2c4f`).
        BothWays = "both_ways" since Release::v(6, 16),
    }

    /// What becomes of a range that gets other flags if it cannot be merged for want of memory.
    MergeFailure = design "merge_failure" {
        /// It is split off, as if it could not be merged at all.
        Split = "split",
        /// The change fails. This is the rule since v6.14 (`47b16d0462a4`).
        Abort = "abort" since Release::v(6, 14),
    }

    /// Which `anon_vma` of its ancestors the mapping of a child takes over, so that it needs no new one.
    AnonVmaReuse = design "anon_vma_reuse" has ANON_VMA_REUSE_COUNTS by [Children] else Degree {
        /// It takes one that has fewer than two children and mappings together. This was the rule before v6.0 (CVE-2022-42703).
        Degree = "degree",
        /// It takes one that no mapping uses and that has fewer than two children. This is the rule since v6.0 (`2555283eb40d`).
        Children = "children" since Release::v(6, 0),
    }

    /// How pages of locked mappings are known. It matters where reclaim or migration asks, or batches of pages do.
    Mlock = design "mlock" {
        /// A flag says so. Whoever faults pages in sets it, and whoever unlocks a mapping goes through its pages and clears it. This was the rule before v5.18.
        Walk = "walk",
        /// Whoever maps or unmaps a page counts. Here the page is moved from list to list. This is the rule since v5.18 (`cea86fe246b6`).
        Rmap = "rmap" since Release::v(5, 18),
    }

    /// Whether entries of shared memory are read-only from the start where `userfaultfd` may write-protect them.
    UffdWpNotify = design "uffd_wp_notify" has UFFD_WP_NOTIFY by [Yes] else No {
        /// They are not. Whoever gives an entry the bits of its mapping makes it writable. This was the rule before v6.2.
        No = "no",
        /// They are. This is the rule since v6.2 (`51d3d5eb74ff`).
        Yes = "yes" since Release::v(6, 2),
    }

    /// Whether reclaim writes a dirty page of a file on the disk, or leaves that to the flusher, and takes the page afterwards.
    ReclaimDirtyFile = design "reclaim_dirty_file" {
        /// It writes the page. This was the rule before v3.2.
        Writes = "writes",
        /// Only `kswapd` writes it. This was the rule from v3.2 to v4.11.
        Kswapd = "kswapd" since Release::v(3, 2),
        /// Only `kswapd` writes it, and only if it has come to the page before. This was the rule from v4.12 to v6.15.
        SecondTime = "second_time" since Release::v(4, 12),
        /// It never writes it. This is the rule since v6.16.
        Flusher = "flusher" since Release::v(6, 16),
    }

    /// Whether `mprotect()` makes entries of private memory writable.
    MprotectUpgrade = design "mprotect_upgrade" {
        /// It never does. The next write fault makes the entry writable.
        Never = "never",
        /// It does so if the page belongs to this address space alone. This is the rule since v6.0 (`64fe24a3e05e`).
        Exclusive = "exclusive" since Release::v(6, 0),
    }

    /// How the kernel knows whether an entry for NUMA hinting was writable.
    NumaWrite = design "numa_write" {
        /// The entry says so.
        Saved = "saved",
        /// The kernel asks whether the page belongs to this address space alone. This is the rule since v6.2 (`6a56ccbcf6c6`).
        Asked = "asked" since Release::v(6, 2),
    }

    /// The order in which `mremap()` to a given address checks and unmaps.
    MremapTarget = design "mremap_target" {
        /// It first unmaps the target. Then it checks whether there is a mapping to move.
        UnmapFirst = "unmap_first",
        /// It first checks whether there is a mapping. Then it unmaps the target, and then it checks whether the mapping can be moved. This is the rule since v5.16 (`550a7d60bd5e`).
        LookUpFirst = "look_up_first" since Release::v(5, 16),
        /// It first makes all checks, and it can move several mappings at once. This is the rule since v6.17 (`d23cb648e365`).
        CheckFirst = "check_first" since Release::v(6, 17),
    }

    /// When a new mapping is marked whose pages may be merged by KSM, because all of its address space may.
    KsmFlag = design "ksm_flag" {
        /// It is marked when it is there, so that it does not join a neighbour that is marked.
        Late = "late",
        /// It is marked before it looks for neighbours. This is the rule since v6.17 (`cf7e7a3503df`).
        Early = "early" since Release::v(6, 17),
    }

    /// How much `mremap()` moves by one entry of an upper table, where old and new place allow that.
    MremapTables = design "mremap_tables" {
        /// It moves a page table at the most.
        Pmd = "pmd",
        /// It moves a table of page tables as well. This is the rule since v5.11 (`c49dd3401802`).
        Pud = "pud" since Release::v(5, 11),
    }

    /// Whether a mapping that `mremap()` makes longer is merged with the mapping behind it.
    MremapExtend = design "mremap_extend" {
        /// It stays a mapping of its own.
        Alone = "alone",
        /// It is merged. This is the rule since v5.19 (`ca3d76b0aa80`).
        Merge = "merge" since Release::v(5, 19),
    }

    /// Whether memory that was never touched stays counted as committed when `mprotect()` makes it read-only.
    MprotectUncount = design "mprotect_uncount" {
        /// It stays counted.
        Never = "never",
        /// It is not counted any more. This is the rule since v6.0.
        Untouched = "untouched" since Release::v(6, 0),
    }

    /// Which mappings `MREMAP_DONTUNMAP` can leave behind empty.
    MremapDontunmap = design "mremap_dontunmap" {
        /// It accepts only mappings of private anonymous memory.
        Private = "private",
        /// It accepts shared mappings too. This is the rule since v5.13 (`a4609387859f`).
        Any = "any" since Release::v(5, 13),
    }

    /// Which shared mappings `MADV_REMOVE` accepts.
    MadvRemove = design "madv_remove" {
        /// It accepts mappings that are writable.
        Writable = "writable",
        /// It accepts mappings that could be made writable. This is the rule since v6.7 (`e8e17ee90eaf`).
        MayWrite = "may_write" since Release::v(6, 7),
    }

    /// Whether a write fault keeps `mmap_lock` while it makes a page of shared memory dirty, for which it may have to wait.
    SharedWriteFault = design "shared_write_fault" {
        /// The fault keeps the lock.
        Hold = "hold",
        /// The fault drops the lock, and is then handled again. This is the rule since v5.5 (`89b15332af7c`).
        Retry = "retry" since Release::v(5, 5),
        /// The fault drops the lock, and is then complete. This is the rule since v6.0 (`d92725256b4f`).
        Completed = "completed" since Release::v(6, 0),
    }

    /// What becomes of a table for which no batch can be had, where tables are freed after a grace period.
    TableOne = design "table_one" {
        /// It is freed after an empty interrupt to every CPU.
        SyncIpi = "sync_ipi",
        /// It waits for a grace period alone. This is the rule since v6.14 (`718b13861d22`).
        CallRcu = "call_rcu" since Release::v(6, 14),
    }

    /// Which flushes interrupt a CPU in lazy TLB mode.
    LazyFlush = design "lazy_flush" {
        /// Every flush interrupts it.
        Always = "always",
        /// Only a flush after which page tables are freed interrupts it. It learns of other flushes when it leaves lazy mode. This is the rule since v4.20 (`12c4d978fd17`).
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

    /// How somebody who comes to the entry of a page that is being moved waits for the page.
    MigrationWait = design "migration_wait" {
        /// He has a reference to the page while he waits.
        Reference = "reference",
        /// He takes a reference, and gives it up when he is in the queue of the page. This is the rule since v4.20 (`9a1ea439b16b`).
        PutAndWait = "put_and_wait" since Release::v(4, 20),
        /// He takes none: the lock of the page table keeps the page until he is in the queue. This is the rule since v5.17 (`ffa65753c431`).
        Locked = "locked" since Release::v(5, 17),
    }

    /// How a fault for NUMA hinting moves a page to the node of its CPU.
    NumaMove = design "numa_move" {
        /// It makes the entry of a single page present, and then moves the page. It copies a huge page, and maps the copy. No entry says that the huge page is being moved.
        Copied = "copied",
        /// It moves the page in the way in which all pages are moved, instead of making the entry present. This is the rule since v5.13 (`c5b5a3dd2c1f`).
        Migrated = "migrated" since Release::v(5, 13),
    }

    /// How a huge page is moved to other frames.
    ThpMigration = design "thp_migration" {
        /// It is split first, and its pages are moved one by one.
        Split = "split",
        /// As a whole: the entry that maps it says that it is being moved. This is the rule since v4.14 (`616b8371539a`).
        Whole = "whole" since Release::v(4, 14),
    }

    /// What becomes of the accessed and the dirty bit of an entry whose page is moved.
    MigrationAd = design "migration_ad" {
        /// The entry comes back old and clean. That it was dirty is kept in the page.
        Lost = "lost",
        /// The entry comes back as it was. This is the rule since v6.1 (`2e3468778dbe`).
        Kept = "kept" since Release::v(6, 1),
    }

    /// When translations are flushed whose entries migration has taken away.
    MigrateFlush = design "migrate_flush" {
        /// Each as soon as its entry is gone.
        AtOnce = "at_once",
        /// All together before the page is moved, on a machine that collects flushes (`flush_batch`). This is the rule since v6.3 (`7e12beb8ca2a`).
        Batched = "batched" since Release::v(6, 3),
    }

    /// When the contents of a page that is moved are copied.
    MigrateCopy = design "migrate_copy" {
        /// When the new page is in the place of the old one.
        AfterMapping = "after_mapping",
        /// Before that, so that a page that cannot be read stays where it is. This is the rule since v6.11 (`060913999d7a`).
        BeforeMapping = "before_mapping" since Release::v(6, 11),
    }

    /// When a CPU that unmaps pages empties its batches of pages.
    UnmapDrain = design "unmap_drain" {
        /// It empties them before it unmaps anything. A batch has room for 15 pages.
        BeforeUnmap = "before_unmap",
        /// It empties them when it has pages to free. A batch has room for 31 pages. This is the rule since v6.9.
        WithPages = "with_pages" since Release::v(6, 9),
    }

    /// How translations are flushed after `/proc/PID/clear_refs` has write-protected entries.
    ClearRefsFlush = design "clear_refs_flush" {
        /// By a gather of the whole address space, which flushed even though it had gathered nothing.
        Gather = "gather",
        /// By a gather that gathers nothing, and so not at all: from v5.6 (`0758cd830494`) to v5.11.
        Never = "never" since Release::v(5, 6),
        /// By a flush of the whole address space. This is the rule since v5.12 (`912efa17e512`).
        Mm = "mm" since Release::v(5, 12),
    }

    /// Which of two mappings that are merged decides whether all of the merged one counts as written.
    SoftDirtyMerge = design "soft_dirty_merge" {
        /// The one that takes in the other.
        Grown = "grown",
        /// Either of them: if one counts as written, all of the merged one does. This is the rule since v6.19.
        Either = "either" since Release::v(6, 19),
    }

    /// How fork recognizes a mapping that has guards.
    GuardMark = design "guard_mark" {
        /// The mapping gets an `anon_vma`, as if it had pages.
        AnonVma = "anon_vma",
        /// The mapping also gets the flag `VM_MAYBE_GUARD`. This is the rule since v6.19, and in stable releases of v6.18.
        Flag = "flag" since Release::v(6, 18),
    }

    /// Which faults of user code take the lock of their mapping alone, and `mmap_lock` only if that fails.
    VmaLock = design "vma_lock" {
        /// No fault does. Before v6.4 a mapping has no lock.
        None = "none",
        /// Faults in private memory that has had a page do. This is the rule since v6.4 (`0bff0aaea03e`).
        Anonymous = "anonymous" since Release::v(6, 4),
        /// Faults in shared memory do as well. This is the rule since v6.7 (`4ed4379881aa`).
        Files = "files" since Release::v(6, 7),
        /// All faults do. This is the rule since v6.10.
        All = "all" since Release::v(6, 10),
        /// All faults do, and a mapping is freed at once, not after a grace period. This is the rule since v6.15 (`3104138517fc`).
        Refcount = "refcount" since Release::v(6, 15),
    }

    /// Whether the entry of a page of a file that user code fills in is dirty although it is not writable.
    UffdFillDirty = design "uffd_fill_dirty" {
        /// It is dirty only if it is writable.
        Writable = "writable",
        /// It always is. This is the rule since v5.16 (`9ae0f87d009c`).
        Always = "always" since Release::v(5, 16),
    }

    /// Which lock lets a stack grow.
    StackGrowth = design "stack_growth" {
        /// A stack grows under `mmap_lock` for reading, and GUP lets a stack grow as well.
        Shared = "shared",
        /// A stack grows under `mmap_lock` for writing, and GUP lets no stack grow. This is the rule since v6.5 (`8d7071af8907`).
        Exclusive = "exclusive" since Release::v(6, 5),
    }

    /// What a write maps in place of a huge page that others can see, or in place of the huge page of zeroes.
    HugeCow = design "huge_cow" {
        /// It maps a huge page in place of either. This was the rule before v5.8.
        Copy = "copy",
        /// It maps a single page in place of either, and the entry is split for that. This is the rule since v5.8 (`3917c80280c9`).
        Page = "page" since Release::v(5, 8),
        /// It maps a huge page in place of that of zeroes, and a single page otherwise. This is the rule since v6.13 (`c56d9cb9e4ee`).
        Zeroes = "zeroes" since Release::v(6, 13),
    }

    /// The rule by which a write fault decides to reuse a huge page that is mapped as a whole and has no exclusive mark.
    HugeReuse = design "huge_reuse" {
        /// It reuses the page if this entry alone maps it, whoever else holds a reference. This was the rule before v5.18, although small pages had another since v5.9.
        Mapcount = "mapcount",
        /// It reuses the page if nobody else holds a reference. This is the rule since v5.18 (`3bff7e3f1f16`).
        References = "references" since Release::v(5, 18),
    }

    /// Who keeps the huge page of zeroes from being freed.
    HugeZeroCount = design "huge_zero_count" {
        /// Each entry that maps the page does.
        Entries = "entries",
        /// Each address space does that has mapped it, until its end. This is the rule since v4.9 (`6fcb52a56ff6`).
        Mms = "mms" since Release::v(4, 9),
    }

    /// How the mappings of a large folio are counted.
    LargeMapcount = design "large_mapcount" {
        /// Each of its pages counts the entries that map it, and there is a count of entries that map all of it.
        Pages = "pages",
        /// There is a count of all entries besides. This is the rule since v6.9 (`05c5323b2a34`).
        Folio = "folio" since Release::v(6, 9),
        /// Two address spaces are counted by themselves as well, which tells whether one has the folio alone. This is the rule since v6.15 (`6af8cb80d3a9`).
        Mms = "mms" since Release::v(6, 15),
    }

    /// Which small pages can be collapsed into a huge page.
    CollapsePages = design "collapse_pages" {
        /// Those that one entry maps, and that are no part of a huge page.
        Alone = "alone",
        /// Those that others map as well, and those of a huge page whose entry was split. This is the rule since v5.8 (`71a2c112a0f6`, `5503fbf2b0b8`).
        Shared = "shared" since Release::v(5, 8),
    }

    /// Whether pages can be collapsed of which none is mapped writable.
    CollapseReadOnly = design "collapse_read_only" {
        /// They cannot.
        Refused = "refused",
        /// They can. This is the rule since v6.18.
        Accepted = "accepted" since Release::v(6, 18),
    }

    /// What `MADV_FREE`, `MADV_COLD` and `MADV_PAGEOUT` do with a large folio that page table entries map.
    MadviseLarge = design "madvise_large" {
        /// They split it.
        Split = "split",
        /// They split it only if a part of it is meant. This is the rule since v6.10 (`dce7d10be4bb`, `3931b871c494`).
        Whole = "whole" since Release::v(6, 10),
    }

    /// What `mlock()` does with a large folio that page table entries map.
    MlockLarge = design "mlock_large" {
        /// It takes each of its pages for all of it.
        Pages = "pages",
        /// It leaves alone a folio of which the mapping has only a part. This is the rule since v6.7 (`dc68badcede4`).
        Whole = "whole" since Release::v(6, 7),
    }

    /// How a large folio goes to swap.
    ThpSwap = design "thp_swap" {
        /// It is split first.
        Split = "split",
        /// It goes as a whole, if there are as many free slots in a row (`CONFIG_THP_SWAP`). This is the rule since v4.14 (`bd4c82c22c36`).
        Whole = "whole" since Release::v(4, 14),
    }

    /// What becomes of a huge page of a file in memory that is truncated in part.
    TruncateHuge = design "truncate_huge" {
        /// The pages are filled with zeroes, and the huge page stays.
        Zeroes = "zeroes",
        /// It is split into single pages as well. This was the rule from v5.8 (`71725ed10c40`) on.
        Pages = "pages" since Release::v(5, 8),
        /// Only what is truncated is split off. This is the rule since v6.15 (`7460b470a131`).
        Pieces = "pieces" since Release::v(6, 15),
    }

    /// What a file in memory that always has huge pages gets by a write through its descriptor.
    ShmemWriteHuge = design "shmem_write_huge" {
        /// It gets a huge page.
        Huge = "huge",
        /// It gets as much as is written, which is one page here. This is the rule since v6.14 (`acd7ccb284b8`).
        Written = "written" since Release::v(6, 14),
        /// It gets the largest folio that fits. This is the rule since v6.18.
        Orders = "orders" since Release::v(6, 18),
    }

    /// Whether a fault maps a huge page of a file by one entry where user code wants none (`MADV_NOHUGEPAGE`).
    SetPmdAsks = design "set_pmd_asks" {
        /// It does: the file has the huge page already.
        Never = "never",
        /// It maps the pages one by one. This is the rule since v6.12 (`2b0f922323cc`).
        Asks = "asks" since Release::v(6, 12),
    }

    /// Which pages of a huge page of a file a fault maps that maps what lies around.
    FaultAroundFolio = design "fault_around_folio" {
        /// It maps those that lie around.
        Around = "around",
        /// It maps all. This is the rule since v6.18 (`357b92761d94`).
        Folio = "folio" since Release::v(6, 18),
    }

    /// How a huge page of a file in memory goes to swap.
    ShmemSwap = design "shmem_swap" {
        /// It is split first.
        Split = "split",
        /// It goes as a whole, if there are as many free slots in a row. This is the rule since v6.12 (`809bc86517cc`).
        Whole = "whole" since Release::v(6, 12),
    }

    /// How khugepaged takes away the page table through which a file was mapped, when the file has a huge page.
    Retract = design "retract" {
        /// It holds `mmap_lock` for writing, and frees the table at once.
        MmapLock = "mmap_lock",
        /// It holds the locks of the tables, and frees the table after a grace period. This is the rule since v6.6 (`1d65b771bc08`).
        Lockless = "lockless" since Release::v(6, 6),
    }

    /// How a huge page of a file in memory comes back from a swap device that is synchronous.
    ShmemSwapin = design "shmem_swapin" {
        /// Its pages come back one by one.
        Page = "page",
        /// It comes back as a whole. This is the rule since v6.14 (`1dd44c0af4fc`).
        Folio = "folio" since Release::v(6, 14),
    }

    /// How many pages of a huge page of a file in memory a fault maps, where no single entry can map all of it.
    ShmemMapFolio = design "shmem_map_folio" {
        /// It maps the one that was touched.
        Page = "page",
        /// It maps all. This is the rule since v6.11 (`43e027e41423`).
        Folio = "folio" since Release::v(6, 11),
    }

    /// Whether a fault reads slots in a row into one large folio, if the machine has folios of that size (`anon_orders`) and the swap device is synchronous.
    SwapinLarge = design "swapin_large" {
        /// It reads a single page.
        Pages = "pages",
        /// It reads a large folio if the entries around it name slots in a row. This is the rule since v6.12.
        Folios = "folios" since Release::v(6, 12),
    }

    /// Which large folios go to the queue of those that are split when memory is short.
    DeferredSplit = design "deferred_split" {
        /// Those of which a page is unmapped that nobody maps otherwise, even if it was the last one.
        Last = "last",
        /// Those of which nobody maps some of the pages, and somebody maps others. This is the rule since v6.10 (`dafff3f4c850`).
        Part = "part" since Release::v(6, 10),
    }

    /// Which large folios reclaim splits before it gives them slots of the swap area.
    ReclaimSplit = design "reclaim_split" {
        /// Those that no entry maps as a whole.
        Unmapped = "unmapped",
        /// Those of which a part is mapped no more. This is the rule since v6.10 (`5ed890ce5147`).
        Queued = "queued" since Release::v(6, 10),
    }

    /// What maps a page of a split folio that holds only zeroes.
    SplitZeroes = design "split_zeroes" {
        /// The entry maps it as before.
        Kept = "kept",
        /// The entry maps the page of zeroes, and the page is freed. This is the rule since v6.12 (`b1f202060afe`).
        ZeroPage = "zero_page" since Release::v(6, 12),
    }

    /// How the split of a folio knows whether an entry maps it.
    SplitPmdFolio = design "split_pmd_folio" {
        /// It compares the page that the entry names.
        Pages = "pages",
        /// It looks up the folio of that page, whatever sort of entry it is. This was the rule from v5.18 (`af28a988b313`) to v6.14 (CVE-2025-37958).
        Folios = "folios" since Release::v(5, 18),
        /// It passes over entries that say that a page is being moved. This is the rule since v6.15 (`be6e843fc51a`).
        Checked = "checked" since Release::v(6, 15),
    }

    /// What becomes of a split whose folio is mapped still after it was unmapped.
    SplitUnmapBug = design "split_unmap_bug" {
        /// A kernel with `CONFIG_DEBUG_VM` stops.
        Stop = "stop",
        /// The split fails. This is the rule since v5.13 (`504e070dc08f`).
        Fail = "fail" since Release::v(5, 13),
    }

    /// Whether `rcu_read_lock()` delays the grace periods after which page tables are freed.
    RcuFlavor = design "rcu_flavor" {
        /// It does not. Before v4.20 RCU-sched is a flavor of its own, and only disabled preemption delays it.
        Split = "split",
        /// It does. Since v4.20 all flavors are one.
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
