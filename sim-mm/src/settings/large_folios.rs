//! The designs for large folios: how huge pages and the folios between them and a small page are mapped, counted, copied, collapsed, split and
//! swapped.

use crate::release::Release;

crate::settings! {
    above super::platform::SETTINGS.len() + super::designs::SETTINGS.len();

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

    /// By which mappings the pages of a file on a disk are collapsed, where such files may have huge pages (`file_thp`).
    FileThpMappings = design "file_thp_mappings" {
        /// By those of the text of a program that runs, and such mappings are not modelled.
        Text = "text",
        /// By those that may be executed. This was the rule from v5.14 (`eb6ecbed0aa2`) on.
        Exec = "exec" since Release::v(5, 14),
        /// By each. This is the rule since v6.8 (`7fbb5e188248`).
        Any = "any" since Release::v(6, 8),
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
}
