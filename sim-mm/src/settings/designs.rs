//! The designs of the memory manager: rules of the kernel that changed over time. Those for large folios stand by themselves.

use crate::release::Release;
use crate::safeguards::{ANON_VMA_REUSE_COUNTS, COW_REUSE_COUNTS, HWPOISON_KEEPS_REFERENCE, UFFD_WP_NOTIFY};

crate::settings! {
    above super::platform::SETTINGS.len();

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

    /// Which fault that brings a page from swap makes its entry writable, if the page belongs to this address space alone.
    SwapinWritable = design "swapin_writable" {
        /// Only that of a write. This was the rule before v6.11.
        Write = "write",
        /// Any, if nobody is to learn of the next write (`userfaultfd`, soft-dirty). This is the rule since v6.11 (`c18160dba5ff`).
        Read = "read" since Release::v(6, 11),
    }

    /// Whether the page that a write fault has copied gives up its slot of the swap area if no entry names it any more.
    CowFreesSwap = design "cow_frees_swap" {
        /// It keeps the slot until it is freed.
        No = "no",
        /// It gives the slot up. This is the rule since v5.14 (`f4c4a3f48480`).
        Yes = "yes" since Release::v(5, 14),
    }

    /// How `munmap()` holds `mmap_lock` while it clears entries.
    MunmapLock = design "munmap_lock" {
        /// For writing, as while it takes the mappings out of the tree.
        Write = "write",
        /// For reading. This is the rule since v4.20 (`dd2283f2605e`).
        Read = "read" since Release::v(4, 20),
    }

    /// How much a pin adds to the reference count of a page.
    PinCount = design "pin_count" {
        /// One, as any reference.
        Reference = "reference",
        /// So much that pins can be told from references. This is the rule since v5.7 (`3faa52c03f44`).
        Bias = "bias" since Release::v(5, 7),
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

    /// By which tag of the page cache a writeback that waits finds its pages.
    SyncTag = design "sync_tag" {
        /// By the tag of dirty pages. What becomes dirty before it has come there is written as well.
        Dirty = "dirty",
        /// By a tag that those pages get which are dirty when it begins, so that it ends however fast others write. This is the rule since v2.6.36 (`f446daaea9d4`).
        ToWrite = "towrite" since Release::v26(36),
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

    /// How lockless GUP knows that a page is secret memory.
    SecretmemCheck = design "secretmem_check" {
        /// It looks at the file of a page that is on a list of reclaim, and takes each other page for none.
        Lru = "lru",
        /// It looks at the file of each page. This is the rule since v6.9 (`65291dcfcf89`, CVE-2024-35872).
        Mapping = "mapping" since Release::v(6, 9),
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

    /// What becomes of a page table of which `MADV_DONTNEED` has unmapped everything: `CONFIG_PT_RECLAIM`.
    PtReclaim = design "pt_reclaim" {
        /// It stays until its mapping goes.
        Kept = "kept",
        /// It is freed, if all its entries are empty. This is the rule since v6.14 (`6375e95f381e`).
        Freed = "freed" since Release::v(6, 14),
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

    /// How `move_pages()` looks for the page at an address.
    MovePagesLook = design "move_pages_look" {
        /// By `follow_page()` of GUP. Where nothing is mapped in private memory, it says EFAULT as for the zero page (`FOLL_DUMP`).
        Follow = "follow",
        /// By a walk of its own. This is the rule since v6.12 (`7dff875c9436`).
        Walk = "walk" since Release::v(6, 12),
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

    /// Which lock `MADV_DONTNEED` and `MADV_FREE` take.
    MadviseLock = design "madvise_lock" {
        /// `mmap_lock`, for reading.
        Mmap = "mmap",
        /// That of the mapping alone, if the range lies in one that no `userfaultfd` watches. This is the rule since v6.17 (`a6fde7add78d`).
        Vma = "vma" since Release::v(6, 17),
    }

    /// Whether the entry of a page of a file that user code fills in is dirty although it is not writable.
    UffdFillDirty = design "uffd_fill_dirty" {
        /// It is dirty only if it is writable.
        Writable = "writable",
        /// It always is. This is the rule since v5.16 (`9ae0f87d009c`).
        Always = "always" since Release::v(5, 16),
    }

    /// What keeps the table of a huge page of the pool from being unshared during a fault.
    HugetlbLock = design "hugetlb_fault_lock" {
        /// Nothing does.
        None = "none",
        /// The lock of the mappings of the file does. This is the rule since v5.7 (`c0d0381ade79`).
        Mapping = "mapping" since Release::v(5, 7),
        /// A lock that each shared mapping has does. This is the rule since v6.1 (`40549ba8f8e0`).
        Vma = "vma" since Release::v(6, 1),
    }

    /// What is flushed when the change of a range makes an address space give up a shared table of the pool.
    HugetlbUnshareFlush = design "hugetlb_unshare_flush" {
        /// The range is, and the rest of the table only if the mapping covers all that the table translates.
        Mapping = "mapping",
        /// All that the table translates is. This is the rule since v6.19 (`8ce720d5bd91`).
        Table = "table" since Release::v(6, 19),
    }

    /// What fork does with a mapping of huge pages of the pool that has none of its own.
    HugetlbFork = design "hugetlb_fork" {
        /// The child gets the entries of the parent.
        Copies = "copies",
        /// The child finds the pages in the file when it needs them. This is the rule since v6.0 (`bcd51a3c679d`).
        Lazy = "lazy" since Release::v(6, 0),
    }

    /// What a fault for a forced write (`FOLL_FORCE`) does in a mapping of huge pages of the pool that is not writable.
    HugetlbForce = design "hugetlb_force" {
        /// The entry becomes writable.
        Writable = "writable",
        /// The fault fails, and the kernel warns. This is the rule since v6.0 (`1d8d14641fd9`).
        Warns = "warns" since Release::v(6, 0),
    }

    /// What `MADV_DONTNEED` does with huge pages of the pool.
    HugetlbDontneed = design "hugetlb_dontneed" {
        /// It fails with EINVAL.
        Refused = "refused",
        /// It unmaps those that lie in the range as a whole. This is the rule since v5.18 (`90e7e7f5ef3f`).
        Zaps = "zaps" since Release::v(5, 18),
    }

    /// How entries map the blocks of a device.
    DaxPages = design "dax_pages" {
        /// They say that the page is a device's, and have no reference to it. A page that nobody uses has a count of 1.
        Devmap = "devmap",
        /// They map it as any page, with a reference. A page that nobody uses has none. This is the rule since v6.15 (`38607c62b34b`).
        Counted = "counted" since Release::v(6, 15),
    }

    /// Whether a mapping of a device that is mapped by itself counts as one of pages with and without descriptors: `VM_MIXEDMAP`.
    DaxMixedMap = design "dax_mixedmap" {
        /// It does. So fork copies its entries, and it is never merged with another.
        Mixed = "mixed",
        /// It does not. The child faults the pages in. This is the rule since v4.19 (`e1fb4a086495`).
        Normal = "normal" since Release::v(4, 19),
    }

    /// What keeps the map of a device beside those who look a page up.
    PgmapPages = design "pgmap_pages" {
        /// Each page has a reference to it, which goes with the last reference to the page once the device is unbound.
        Each = "each",
        /// All pages together do, and whoever unbinds the device puts these references. This is the rule since v5.18 (`27674ef6c73f`).
        All = "all" since Release::v(5, 18),
    }

    /// Whether several pages may be dealt with at once whose memory is broken.
    MemoryFailureLock = design "memory_failure_lock" {
        /// They may.
        None = "none",
        /// `memory_failure()` takes a mutex. This is the rule since v5.13 (`171936ddaf97`).
        Mutex = "mutex" since Release::v(5, 13),
    }

    /// What `MADV_HWPOISON` does with the reference by which it found a page.
    HwpoisonInject = design "hwpoison_inject" has HWPOISON_KEEPS_REFERENCE by [Kept, KeptAgain] else Put {
        /// It hands it to `memory_failure()`.
        Kept = "kept",
        /// It gives it up, and `memory_failure()` takes another one. This was the rule from v4.19 to v5.10.
        Put = "put" since Release::v(4, 19),
        /// It hands it to `memory_failure()` again. This is the rule since v5.11 (`1e8aaedb182d`).
        KeptAgain = "kept_again" since Release::v(5, 11),
    }

    /// What becomes of a page of which `memory_failure()` is told again.
    HwpoisonAgain = design "hwpoison_again" {
        /// `MADV_HWPOISON` passes over it.
        Skipped = "skipped",
        /// It is dealt with already, and nothing is wrong with that.
        Done = "done" since Release::v(5, 10),
        /// The call fails with EHWPOISON. This is the rule since v5.14 (`a3f5d80ea401`).
        Error = "error" since Release::v(5, 14),
    }

    /// What `memory_failure()` does with a huge page.
    HwpoisonThp = design "hwpoison_thp" {
        /// It splits one of private memory. If it cannot, the page is not marked as broken any more.
        Clears = "clears",
        /// It splits one of private memory, and the mark stays. This was the rule from v5.11 to v5.15.
        Anonymous = "anonymous" since Release::v(5, 11),
        /// It splits those of files as well. This is the rule since v5.16 (`4966455d9100`).
        All = "all" since Release::v(5, 16),
    }

    /// What `memory_failure()` does with a page of a file in memory.
    HwpoisonShmem = design "hwpoison_shmem" {
        /// The file has a hole there from then on, and nobody learns that something is lost.
        Truncated = "truncated",
        /// The file keeps the page, and whoever comes to it is told. This is the rule since v5.16 (`a76054266661`).
        Kept = "kept" since Release::v(5, 16),
    }

    /// Which entries of a page say that its memory is broken, when the page is unmapped.
    HwpoisonUnmap = design "hwpoison_unmap" {
        /// All do, if the page is marked so, whoever unmaps it.
        ByFlag = "by_flag",
        /// Those do that `memory_failure()` unmaps. This is the rule since v6.3 (`6da6b1d4a7df`).
        ByCaller = "by_caller" since Release::v(6, 3),
    }

    /// What `MADV_FREE` does with an entry that says that the memory of its page is broken.
    HwpoisonFree = design "hwpoison_free" {
        /// It stays.
        Stays = "stays",
        /// It goes, so that the next access finds an empty page. This is the rule since v5.19.
        Cleared = "cleared" since Release::v(5, 19),
    }

    /// What `memory_failure()` does with a huge page of the pool.
    HwpoisonHugetlb = design "hwpoison_hugetlb" {
        /// Nothing.
        Refused = "refused",
        /// All pages of it count as broken, and stay away. This was the rule from v2.6.36 to v4.12.
        Whole = "whole" since Release::v26(36),
        /// If nobody else has it then it leaves the pool, and only the broken page stays away. This is the rule since v4.13 (`78bb920344b8`).
        Dissolved = "dissolved" since Release::v(4, 13),
    }

    /// What `memory_failure()` does with a huge page of a file of the pool, if the huge page can leave the pool at all.
    HwpoisonHugetlbFile = design "hwpoison_hugetlb_file" {
        /// The file has a hole there from then on, and nobody learns that something is lost.
        Truncated = "truncated",
        /// The file keeps the page, and whoever comes to it is told. This is the rule since v6.2 (`8625147cafaa`).
        Kept = "kept" since Release::v(6, 2),
    }

    /// Whether `memory_failure()` deals with gigantic pages.
    HwpoisonGigantic = design "hwpoison_gigantic" {
        /// It does.
        Taken = "taken",
        /// It does not. This was the rule from v4.17 to v5.19 (`31286a8484a8`).
        Refused = "refused" since Release::v(4, 17),
        /// It does again. This is the rule since v6.0 (`6f4614886baa`).
        TakenAgain = "taken_again" since Release::v(6, 0),
    }

    /// What GUP says of a huge page of the pool whose memory is broken, if its caller wants to know (`FOLL_HWPOISON`).
    HwpoisonHugetlbGup = design "hwpoison_hugetlb_gup" {
        /// It says EFAULT, as to everybody else.
        Untold = "untold",
        /// It says EHWPOISON. This is the rule since v4.13 (`9a291a7c9428`, `2be7cfed995e`).
        Told = "told" since Release::v(4, 13),
    }

    /// Whether `move_pages()` moves gigantic pages.
    GiganticMigration = design "gigantic_migration" {
        /// It does not find them. Since v5.1 (`9b553bf5eb99`) others could move them, who are not modelled.
        Unfound = "unfound",
        /// It does, if the pool of the other node has a free one. This is the rule since v6.0 (`3a194f3f8ad0`).
        Moved = "moved" since Release::v(6, 0),
    }

    /// Which lock lets a stack grow.
    StackGrowth = design "stack_growth" {
        /// A stack grows under `mmap_lock` for reading, and GUP lets a stack grow as well.
        Shared = "shared",
        /// A stack grows under `mmap_lock` for writing, and GUP lets no stack grow. This is the rule since v6.5 (`8d7071af8907`).
        Exclusive = "exclusive" since Release::v(6, 5),
    }

    /// Whether `rcu_read_lock()` delays the grace periods after which page tables are freed.
    RcuFlavor = design "rcu_flavor" {
        /// It does not. Before v4.20 RCU-sched is a flavor of its own, and only disabled preemption delays it.
        Split = "split",
        /// It does. Since v4.20 all flavors are one.
        Consolidated = "consolidated" since Release::v(4, 20),
    }
}
