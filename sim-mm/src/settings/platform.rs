//! The knobs of the platform: how the machine behaves, and how the kernel was built and set up.

use crate::registry::setting::{Knob, Settings};
use crate::release::Release;

/// Whether x86 kernels of a release were built that free tables so, on machines that flush so.
///
/// All of v4.14 to v4.18 wait for a grace period (9e52fc2b50de); from v4.19 on only those do that can be guests whose
/// hypervisor flushes for them (48a8b97cfd80); since v6.14 all do again, because
/// `MADV_DONTNEED` frees tables (4817f70c25b6). Before v4.14 none did, whatever a flush was.
fn is_built(version: Release, flush: Flush, table_free: TableFree) -> bool {
    let by_rcu = version >= Release::v(4, 14);
    let by_interrupt = version >= Release::v(4, 19) && version < Release::v(6, 14) && flush == Flush::Ipi;
    match table_free {
        TableFree::AfterFlush => !by_rcu || by_interrupt,
        TableFree::RcuSched | TableFree::RcuThenSyncIpi => by_rcu,
    }
}

fn usual_table_free(version: Release, chosen: &Settings) -> TableFree {
    let is_built = |table_free: &&TableFree| is_built(version, chosen.get(), **table_free);
    TableFree::VALUES.iter().find(is_built).copied().unwrap_or(TableFree::AfterFlush)
}

impl Dax {
    /// The number of pages.
    pub(crate) fn pages(self) -> u64 {
        match self {
            Dax::None => 0,
            Dax::Pages2 => 2,
            Dax::Pages4 => 4,
            Dax::Pages8 => 8,
            Dax::Pages16 => 16,
        }
    }
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
        /// None has, and `MADV_COLLAPSE` makes none either.
        Deny = "deny",
        /// They have where a mapping asks for it by `MADV_HUGEPAGE`.
        Advise = "advise",
        /// They also have where all of the huge page lies within the file.
        WithinSize = "within_size",
        /// They have wherever a huge page fits.
        Always = "always",
        /// They have wherever a huge page fits, and nothing smaller than a huge page.
        Force = "force",
    }

    /// Of which size else the large folios of files in memory are: `hugepages-*kB/shmem_enabled`. Since v6.11; older kernels have none.
    ShmemOrders = platform "shmem_orders" {
        /// There are none besides huge pages.
        None = "none",
        /// They have 8 KiB.
        K8 = "8k",
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

    /// Where a file in memory has the folios of `shmem_orders`: what `hugepages-*kB/shmem_enabled` says for these sizes.
    ShmemOrdersWhere = platform "shmem_orders_where" {
        /// It has them wherever they fit.
        Always = "always",
        /// It has them where all of the folio lies within the file.
        WithinSize = "within_size",
        /// It has them where a mapping asks for it by `MADV_HUGEPAGE`.
        Advise = "advise",
        /// It has them where `shmem_thp` gives huge pages.
        Inherit = "inherit",
    }

    /// Whether files on a disk may have huge pages while nobody has them open for writing (`CONFIG_READ_ONLY_THP_FOR_FS`), made by khugepaged and by `MADV_COLLAPSE`.
    FileThp = platform "file_thp" {
        /// They have none.
        Off = "off",
        /// They may have huge pages. Kernels before v5.4 cannot have them.
        On = "on",
    }

    /// Whether processes can have secret memory (`CONFIG_SECRETMEM`, v5.14).
    Secretmem = platform "secretmem" {
        /// They cannot.
        Off = "off",
        /// They can, by `memfd_secret`.
        On = "on",
    }

    /// Whether processes can have huge pages of a pool (`CONFIG_HUGETLBFS`). An operation makes the pool (`nr_hugepages`).
    HugetlbPool = platform "hugetlbfs" {
        /// They cannot.
        Off = "off",
        /// They can, by `memfd_create` and `mmap` with the flag `hugetlb`.
        On = "on",
    }

    /// Whether ksmd merges equal pages where mappings allow it (`/sys/kernel/mm/ksm/run`).
    KsmRun = platform "ksm" {
        /// It does not.
        Off = "off",
        /// It does, when an operation says that it comes by (`ksmd`).
        On = "on",
    }

    /// Whether the kernel deals with memory that is broken (`CONFIG_MEMORY_FAILURE`). Without it `MADV_HWPOISON` fails with EINVAL.
    MemoryFailure = platform "hwpoison" {
        /// It does not.
        Off = "off",
        /// It takes the pages away, and tells those who come to them.
        On = "on",
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
        /// There is none. Reclaim takes pages of files on a disk, and leaves the rest, but for what `MADV_FREE` gave up.
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

    /// How many of the last pages of memory are a device's, on which files can be made whose pages are the device's blocks (`CONFIG_FS_DAX`, v4.5), or which is mapped by itself (`CONFIG_DEV_DAX`).
    Dax = platform "dax" {
        /// None is.
        None = "none",
        /// Two are.
        Pages2 = "2",
        /// Four are.
        Pages4 = "4",
        /// Eight are.
        Pages8 = "8",
        /// Sixteen are.
        Pages16 = "16",
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

    /// Whether a part of memory can be taken out of the machine.
    MovableZone = platform "movable_zone" {
        /// No part can.
        Off = "off",
        /// The second half of memory is the zone MOVABLE, and begins at 4 GiB. Only single pages that can be moved are put there, and they are put there first.
        On = "on",
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
        /// It reads and writes the halves of an entry one after the other, as with PAE. The low half has the flags and 4 bits of the frame number.
        SplitLoHi = "split_lo_hi",
    }

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
