//! The safeguards of GUP.

use sim_mm::Release;

/// x86 has a lockless walk of its own.
const FAST_GUP: Release = Release::v26(27);

/// x86 has the walk that is common to architectures since v3.18. Its own took a plain reference, and did not look
/// again: a page could not go away while interrupts were off, as long as a flush was an interrupt.
const COMMON_WALK: Release = Release::v(4, 13);

sim_mm::safeguards! {
    above sim_mm::SAFEGUARDS.len();
    // The lockless path.
    GUP_IRQ_OFF = "gup-irq-off" design in "get_user_pages_fast" since FAST_GUP, on X86, commit "8174c430e445", guards [1, 2] =>
        "Interrupts stay disabled during the lockless walk, so that no page table that it reads can be freed.";
    GUP_CURRENT_MM = "gup-current-mm" order in "process_vm_rw" since FAST_GUP, on X86, commit "8174c430e445", guards [4] =>
        "The lockless walk looks at the tables of its own process only, because a flush of others does not interrupt this CPU, and so does not wait for the walk.";
    GUP_ACCESS_OK = "gup-access-ok" check in "get_user_pages_fast" since Release::v26(31), on X86, commit "7f8189068726", guards [5] =>
        "The range must lie in the user half of the address space before the lockless walk may trust it.";
    GUP_RANGE_WRAPS = "gup-range-wraps" check in "gup_fast_permitted" since FAST_GUP, on X86, guards [6] =>
        "A range whose end lies below its start is refused, because the walk would never reach its end.";
    GUP_NR_PAGES = "gup-nr-pages" check in "get_user_pages_fast" since Release::v(4, 17), commit "c61611f70958", guards [7] =>
        "For no pages, and for a negative number of them, nothing is walked, because the walk would begin behind the end of its range.";
    GUP_P4D_ONCE = "gup-p4d-once" order in "gup_p4d_range" since FAST_GUP, on X86, guards [8, 9] =>
        "The entry of the highest table is read once, so that what is tested is what is followed. With tables of four levels it is the PGD entry and the P4D entry.";
    GUP_PUD_ONCE = "gup-pud-once" order in "gup_pud_range" since FAST_GUP, on X86, guards [10] =>
        "The PUD entry is read once, so that what is tested is what is followed.";
    GUP_PMD_ONCE = "gup-pmd-once" order in "gup_pmd_range" since FAST_GUP, on X86, guards [11, 52] =>
        "The PMD entry is read once, so that what is tested is what is followed: a huge page may take the place of the page table at any time.";
    GUP_PMD_LEAF = "gup-pmd-leaf" check in "gup_pmd_range" since FAST_GUP, on X86, guards [16] =>
        "A PMD entry that maps a huge page is not followed, because the lockless walk would take that page for a page table.";
    GUP_PMD_PROTNONE = "gup-pmd-protnone" check in "gup_pmd_range" since Release::v(3, 8), on X86, guards [19] =>
        "A huge page that is due for a NUMA fault is left to the locked path. On x86 its entry allows nobody anything, so that `gup-pmd-permitted` refuses it as well.";
    GUP_PTE_PROTNONE = "gup-pte-protnone" check in "gup_pte_range" since Release::v(3, 8), on X86, guards [20] =>
        "A page that is due for a NUMA fault is left to the locked path. On x86 its entry allows nobody anything, so that `gup-pte-permitted` refuses it as well.";
    GUP_HEAD_FIRST = "gup-head-first" order in "gup_pte_range" since Release::v26(38), on X86, guards [35] =>
        "The reference is taken of the head of a folio, because the count of a page behind it is zero, and stays so.";
    GUP_STORE_LAST = "gup-store-last" order in "gup_pte_range" since FAST_GUP, on X86, guards [50] =>
        "A page is stored in the array when nothing can fail any more, because the caller gives back what the array has.";
    GUP_STOPS = "gup-stops" order in "gup_pmd_range" since FAST_GUP, on X86, guards [51] =>
        "The lockless walk ends with the first page that it cannot have, because the next one would take its place in the array.";
    GUP_P4D_NONE = "gup-p4d-none" check in "gup_p4d_range" since FAST_GUP, on X86, guards [12, 13] =>
        "An empty top-level entry ends the lockless walk, which would otherwise take frame 0 for a page table.";
    GUP_PUD_NONE = "gup-pud-none" check in "gup_pud_range" since FAST_GUP, on X86, guards [14] =>
        "An empty PUD entry ends the lockless walk, which would otherwise take frame 0 for a page table.";
    // Until v4.14 the test was for an empty entry. Those that are neither empty nor present are not modelled yet.
    GUP_PMD_PRESENT = "gup-pmd-present" check in "gup_pmd_range" since FAST_GUP, on X86, guards [15] =>
        "A PMD entry that is not present ends the lockless walk, which would otherwise take some other frame for a page table.";
    GUP_PTE_PERMITTED = "gup-pte-permitted" check in "gup_pte_range" since FAST_GUP, on X86, guards [22] =>
        "The page-table entry must allow the access from user mode; in particular, pinning a page for writing needs a writable entry.";
    GUP_PTE_SPECIAL = "gup-pte-special" check in "gup_pte_range" since FAST_GUP, on X86, guards [33] =>
        "The lockless walk refuses special entries (the zero page, raw frames), because their pages are not reference-counted.";
    GUP_GET_PTE_LOW_AGAIN = "gup-get-pte-low-again" order in "gup_get_pte" since FAST_GUP, on X86, commit "8174c430e445", guards [53] =>
        "Where an entry is read in two halves, its low half is read again after the high half, because the entry may have become another one between the two loads.";
    GUP_PTE_RECHECK = "gup-pte-recheck" check in "gup_pte_range" since COMMON_WALK, on X86, commit "e585513b76f7", guards [39] =>
        "After the reference is taken the page-table entry is read again, because the page may have been freed and reused before that.";
    GUP_REF_THEN_RECHECK = "gup-ref-then-recheck" order in "gup_pte_range" since COMMON_WALK, on X86, commit "e585513b76f7", guards [40] =>
        "The reference is taken before the entry is read again; in the other order, the page could still be freed between the two.";
    GUP_RECHECK_PUT = "gup-recheck-put" order in "gup_pte_range" since COMMON_WALK, on X86, commit "e585513b76f7", guards [43] =>
        "If the entry has changed when it is read again, the reference that was just taken is dropped.";
    GUP_PMD_PERMITTED = "gup-pmd-permitted" check in "gup_huge_pmd" since FAST_GUP, on X86, guards [21] =>
        "An entry that maps a huge page must allow the access from user mode, as a page-table entry must.";
    GUP_PMD_RECHECK = "gup-pmd-recheck" check in "gup_huge_pmd" since COMMON_WALK, on X86, commit "e585513b76f7", guards [41] =>
        "After the references to a huge page are taken its entry is read again, because the page may have been freed or split before that.";
    GUP_PUD_LEAF = "gup-pud-leaf" check in "gup_pud_range" since FAST_GUP, on X86, guards [17] =>
        "A PUD entry that maps a huge page is not followed, because the lockless walk would take that page for a page table.";
    GUP_PUD_PERMITTED = "gup-pud-permitted" check in "gup_huge_pud" since FAST_GUP, on X86, guards [23] =>
        "A PUD entry that maps a huge page must allow the access from user mode, as a page-table entry must.";
    GUP_PUD_RECHECK = "gup-pud-recheck" check in "gup_huge_pud" since COMMON_WALK, on X86, commit "e585513b76f7", guards [42] =>
        "After the references to a page of 1 GiB are taken its entry is read again, because the page may have been freed before that.";
    GUP_HEAD_RECHECK = "gup-head-recheck" check in "try_grab_compound_head" since Release::v(5, 14), commit "c24d37322548", guards [45] =>
        "After the reference is taken the walk asks again to which folio the page belongs, because the folio may have been split before, and the entry can be what it was.";
    GUP_HUGE_PUT_ALL = "gup-huge-put-all" order in "gup_huge_pmd" since COMMON_WALK, on X86, commit "e585513b76f7", guards [44] =>
        "If the entry of a huge page has changed when it is read again, all references that were just taken are dropped, one for each page of the range.";
    GUP_REF_OVERFLOW = "gup-ref-overflow" check in "try_grab_compound_head" since Release::v(5, 1), commit "8fde12ca79af", cve "CVE-2019-11487", guards [47] =>
        "The lockless walk takes no reference while the count of the page is negative, so that the count cannot wrap and free a page that is in use.";
    GUP_WRITE_PROTECT_SEQ = "gup-write-protect-seq" order in "lockless_pages_from_mm" since Release::v(5, 11), commit "57efa1fe5957", guards [48] =>
        "A lockless pin that overlaps a fork is given back, because fork may have looked for pins before this one was there, and share the page.";
    GUP_SLOW_FALLBACK = "gup-slow-fallback" order in "get_user_pages_fast" since FAST_GUP, on X86, guards [54] =>
        "Pages that the lockless walk could not pin are pinned by the locked path.";
    GUP_MERGE_RESULT = "gup-merge-result" order in "get_user_pages_fast" since FAST_GUP, on X86, guards [55] =>
        "If the locked path fails after some pages were pinned, the caller gets their number and not the error.";
    GUP_ADVANCE_START = "gup-advance-start" check in "get_user_pages_fast" since FAST_GUP, on X86, guards [56] =>
        "The locked path starts after the pages that are already pinned, so that it pins no page twice.";
    GUP_READ_BREAKS_COW = "gup-read-breaks-cow" design in "should_force_cow_break" since Release::v(5, 8), until Release::v(5, 9), commit "17839856fd58", cve "CVE-2020-29374" =>
        "Pinning a private page for reading breaks COW first, so that the page cannot later be shared with a writer.";

    // The locked path.
    FOLLOW_PTL = "follow-ptl" order in "follow_page_pte" since Release::v26(12), guards [76, 94] =>
        "The PTE lock is held from reading the entry until the page has its reference, so that the page cannot be freed in between.";
    DUMP_MMAP_LOCK = "dump-mmap-lock" order in "get_dump_page" since Release::v(5, 10), commit "7f3bfab52cab", guards [57, 147] =>
        "A core dump holds mmap_lock while it looks at a page, because others than the dead threads can still change the address space.";
    FOLLOW_PMD_RECHECK = "follow-pmd-recheck" check in "follow_pmd_mask" since Release::v26(38), guards [68, 69, 70] =>
        "An entry that maps a huge page is read again under the lock of its table, because others may have unmapped or split it in the meantime.";
    FOLLOW_PMD_PRESENT = "follow-pmd-present" check in "follow_pmd_mask" since Release::v(4, 14), commit "84c3fc4e9c56", guards [63] =>
        "An entry that says that a huge page is being moved is not followed, because its bits name neither a page table nor a frame.";
    FOLLOW_PMD_NONE_RECHECK = "follow-pmd-none-recheck" check in "follow_pmd_mask" since Release::v(4, 18), commit "688272809fcc", guards [65] =>
        "After a huge page that was being moved was waited for, the entry may be empty, because MADV_DONTNEED has mmap_lock for reading as well.";
    TOUCH_PMD_WRITE = "touch-pmd-write" order in "follow_trans_huge_pmd" since Release::v(4, 15), commit "a8f97366452e", cve "CVE-2017-1000405" =>
        "GUP makes the entry of a huge page dirty only if it is asked for a page to write to, because a forced write takes a dirty entry for one whose page was copied for it.";
    FOLLOW_PTE_PRESENT = "follow-pte-present" check in "follow_page_pte" since Release::v26(12), guards [77] =>
        "The entry must be present, because only a present entry names a frame.";
    FOLLOW_PTE_WRITE = "follow-pte-write" check in "can_follow_write_pte" since Release::v26(12), guards [83] =>
        "Pinning a page for writing needs a writable entry, or one for which a forced write has already broken COW.";
    MLOCK_VMA_RECHECK = "mlock-vma-recheck" check in "follow_page_pte" since Release::v26(38), until Release::v(5, 18), guards [97] =>
        "Whoever faults pages of a locked mapping in marks them only if the mapping is locked still, because munlock() may have come since the mapping was locked.";
    FOLLOW_HUGETLB = "follow-hugetlb" check in "follow_page_mask" since Release::v26(12), guards [59, 112] =>
        "A mapping of huge pages of the pool has a look-up of its own, because its entries have another lock and other rules than those of other mappings.";
    FOLLOW_P4D_NONE = "follow-p4d-none" check in "follow_p4d_mask" since Release::v26(12), guards [58] =>
        "An empty top-level entry ends the look-up, which would otherwise take frame 0 for a page table.";
    FOLLOW_PUD_NONE = "follow-pud-none" check in "follow_pud_mask" since Release::v26(12), guards [58] =>
        "An empty PUD entry ends the look-up, which would otherwise take frame 0 for a page table.";
    FOLLOW_PMD_NONE = "follow-pmd-none" check in "follow_pmd_mask" since Release::v26(12), guards [62] =>
        "An empty PMD entry ends the look-up, because there is no page table that could be looked at.";
    FOLLOW_PMD_ONCE = "follow-pmd-once" order in "follow_pmd_mask" since Release::v(4, 18), commit "688272809fcc", guards [61] =>
        "The PMD entry is read once, so that what is tested is what is followed.";
    FOLLOW_PMD_PROTNONE = "follow-pmd-protnone" check in "follow_pmd_mask" since Release::v(3, 8), guards [67] =>
        "A huge page that is due for a NUMA fault has that fault first, because the page may be about to move.";
    FOLLOW_PMD_BAD = "follow-pmd-bad" check in "follow_page_pte" since Release::v26(12), guards [75] =>
        "The PMD entry must lead to a page table when the table is looked at, because a huge page may have taken its place in the meantime.";
    FOLLOW_PTE_PROTNONE = "follow-pte-protnone" check in "follow_page_pte" since Release::v(3, 8), guards [82] =>
        "A page that is due for a NUMA fault has that fault first, because the page may be about to move.";
    FOLLOW_WAITS_FOR_MIGRATION = "follow-waits-for-migration" check in "follow_page_pte" since Release::v(3, 9), until Release::v(6, 2), commit "5117b3b835f2", guards [79] =>
        "Who waits for pages that are being moved waits only if the entry says that the page is, because nobody would end the wait for a page in swap.";
    FOLLOW_PTE_SPECIAL = "follow-pte-special" check in "follow_page_pte" since Release::v26(12), guards [87] =>
        "A special entry has no page that could be handed out, because nobody counts the references to its frame.";
    FOLLOW_ZERO_PAGE = "follow-zero-page" design in "follow_page_pte" since Release::v26(12), guards [90] =>
        "The zero page is handed out though its entry is special, because memory that was never written can be read.";
    FOLLOW_PFN_GET = "follow-pfn-get" check in "follow_pfn_pte" since Release::v(4, 3), commit "1027e4436b6a", guards [91] =>
        "Who wants a reference gets an error where there is a frame without a reference count, and not the word that something is there.";
    FOLLOW_SPLIT_REF = "follow-split-ref" order in "follow_pmd_mask" since Release::v26(38), commit "500d65d47101", guards [71] =>
        "A huge page that is to be split gets a reference before the lock of its entry goes, because it may be freed while the splitter waits for its lock.";
    FOLLOW_SPLIT_LOCK = "follow-split-lock" order in "follow_pmd_mask" since Release::v26(38), commit "500d65d47101", guards [72] =>
        "A huge page is locked while it is split, because others may want to split it or to take it out of its file.";
    FOLLOW_SPLIT_ZERO = "follow-split-zero" check in "follow_pmd_mask" since Release::v(4, 5), commit "6742d293cbe0", guards [73] =>
        "Of the huge page of zeroes only the entry is split, because the page is everybody's.";
    FOLLOW_SPLIT_NONE = "follow-split-none" check in "follow_pmd_mask" since Release::v(4, 8), commit "baa355fd3314", guards [74] =>
        "After the split of a huge page of a file the entry may be empty, because its pages are only unmapped.";
    FOLLOW_SPLIT_AGAIN = "follow-split-again" check in "follow_page_pte" since Release::v26(38), commit "500d65d47101", guards [93] =>
        "After the split the page is looked up again, because what had been found may be gone, and has no reference.";
    FOLLOW_PFN_LOCKED = "follow-pfn-locked" order in "follow_pfn_pte" since Release::v(4, 3), commit "1027e4436b6a", guards [92] =>
        "The entry of what has no page becomes accessed and dirty under the PTE lock, because it would come back if a driver has just taken its memory away.";
    FOLLOW_WAIT_UNLOCKED = "follow-wait-unlocked" order in "follow_page_pte" since Release::v(3, 9), until Release::v(6, 2), commit "5117b3b835f2", guards [80] =>
        "Who waits for a page that is being moved holds no PTE lock meanwhile, because the wait takes that lock, and sleeps.";
    FOLLOW_AFTER_MOVE = "follow-after-move" check in "follow_page_pte" since Release::v(3, 9), until Release::v(6, 2), commit "5117b3b835f2", guards [81] =>
        "After the wait for a page that is being moved all is read again, because the page is in another frame.";
    FOLLOW_PMD_WAITS = "follow-pmd-waits" order in "follow_pmd_mask" since Release::v(4, 14), until Release::v(6, 2), commit "84c3fc4e9c56", guards [64] =>
        "A huge page that is being moved is waited for, because looking at its entry until it is there lets nobody else run.";
    FOLLOW_WRITE_FORCED = "follow-write-forced" check in "can_follow_write_pte" since Release::v(4, 9), commit "19be0eaffa3a", guards [84] =>
        "Only a forced write may go by an entry that cannot be written. That COW is broken is not enough.";
    FOLLOW_PMD_FORCED = "follow-pmd-forced" order in "follow_trans_huge_pmd" since Release::v(4, 10), commit "8310d48b125d" =>
        "A forced write takes the entry of a huge page that cannot be written as it takes a small one, because no fault makes that entry writable, and GUP would ask for ever.";
    TOUCH_MARKS_DIRTY = "touch-marks-dirty" check in "follow_page_pte" since Release::v26(12), guards [95] =>
        "A page that is about to be written through the pin is marked dirty if its entry is not, because otherwise reclaim drops what is written.";
    TOUCH_AGES_PAGE = "touch-ages-page" order in "follow_page_pte" since Release::v26(12), guards [96] =>
        "That a page was used is noted in the page, and the entry is left alone, because the processor may just make it dirty.";
    DUMP_FILE_HOLES = "dump-file-holes" design in "no_page_table" since Release::v26(32), guards [102] =>
        "A core dump leaves out what was never touched only in memory without a file, because a file can have something there.";
    DUMP_SKIPS_SPECIAL = "dump-skips-special" check in "follow_page_pte" since Release::v26(32), guards [89] =>
        "A core dump leaves out the zero page, and frames that it may not be able to read.";
    DUMP_SWAPPED_PAGES = "dump-swapped-pages" check in "follow_page_pte" since Release::v26(32), guards [101] =>
        "A core dump leaves a page out only if its entry is empty, because a page in swap has contents.";

    // What mappings allow.
    CHECK_VMA_PFNMAP = "check-vma-pfnmap" check in "check_vma_flags" since Release::v26(12), guards [106] =>
        "GUP refuses the memory of drivers, because nobody counts the references to its frames.";
    CHECK_VMA_ANON = "check-vma-anon" check in "check_vma_flags" since Release::v(4, 17), commit "7f7ccc2ccc2e", cve "CVE-2018-1120", guards [107] =>
        "Who reads the command line of a process reads memory without a file only, because the owner of a file could make the reader wait for ever.";
    CHECK_VMA_COW = "check-vma-cow" check in "check_vma_flags" since Release::v(3, 15), commit "cda540ace6a1", guards [109] =>
        "A forced write is refused in a shared mapping, because it would go to the file, and not to a private copy.";
    CHECK_VMA_READ = "check-vma-read" check in "check_vma_flags" since Release::v26(12), guards [110] =>
        "Pinning a page for reading needs a readable mapping; a forced read needs one that could be made readable.";

    // The loop over the pages.
    GUP_NEXT_VMA = "gup-next-vma" check in "__get_user_pages" since Release::v26(12), guards [105] =>
        "At the end of a mapping the next one is looked up, because it may allow less.";
    GUP_FLAGS_ANEW = "gup-flags-anew" order in "__get_user_pages" since Release::v26(12), guards [114] =>
        "The flags start anew with each page, because that COW is broken for one page says nothing about the next.";
    GUP_FATAL_SIGNAL = "gup-fatal-signal" check in "__get_user_pages" since Release::v26(29), commit "4779280d1ea4", guards [115] =>
        "A task that has to die does not go on faulting pages in, because the memory may be what it is killed for.";
    GUP_NO_STRUCT_SKIPS = "gup-no-struct-skips" order in "__get_user_pages" since Release::v(4, 3), commit "1027e4436b6a", guards [119] =>
        "Who only wants memory to be there is content with what has no page that could be handed out.";
    GUP_STRIDE_ONLY_TO_FAULT = "gup-stride-only-to-fault" order in "__get_user_pages" since Release::v(3, 9), commit "240aadeedc4a", guards [120] =>
        "Only who wants no pages passes over the rest of a huge page, because otherwise each page has its place in the array.";
    GUP_CLAMP_STRIDE = "gup-clamp-stride" check in "__get_user_pages" since Release::v(3, 9), commit "240aadeedc4a", guards [121] =>
        "The step over a huge page goes no further than what was asked for, because otherwise the number of pages that are left is wrong from then on.";
    GUP_PARTIAL_COUNT = "gup-partial-count" order in "__get_user_pages" since Release::v26(12), guards [122] =>
        "If an error comes after some pages, the caller gets their number and not the error, because he has to give them back.";
    GUP_NUMA_NOT_FORCED = "gup-numa-not-forced" check in "__get_user_pages" since Release::v(3, 8), until Release::v(6, 6), guards [113] =>
        "A forced access has no NUMA fault first, because in a mapping that nobody may access no fault would ever be such a fault.";
    FAULTIN_WRITE = "faultin-write" order in "faultin_page" since Release::v26(12), guards [125] =>
        "The fault for a page to write to is a write, because a page that was faulted in to be read is looked up in vain.";
    FAULTIN_REMOTE = "faultin-remote" order in "faultin_page" since Release::v(4, 6), commit "1b2ee1266ea6", guards [126] =>
        "A fault in another address space is said to be one, because the protection keys of the caller say nothing about it.";
    FAULTIN_ALLOW_RETRY = "faultin-allow-retry" order in "faultin_page" since Release::v26(38), commit "53a7706d5ed8", guards [127] =>
        "Only who can do without mmap_lock gets a fault that may let go of it, because others go on with what they found under the lock.";
    FAULTIN_NOWAIT_KEEPS = "faultin-nowait-keeps" order in "faultin_page" since Release::v(4, 16), commit "96312e61282a", guards [129] =>
        "A fault that did not wait has kept mmap_lock, and says so, because otherwise nobody lets go of it.";
    FAULTIN_MLOCK_ONLY = "faultin-mlock-only" check in "faultin_page" since Release::v(4, 4), until Release::v(5, 18), commit "de60f5f10c58", guards [124] =>
        "Memory that is to be locked page by page as it is touched is not faulted in by the lock itself.";
    VM_FAULT_TO_ERRNO = "vm-fault-to-errno" order in "faultin_page" since Release::v26(12), guards [130] =>
        "An error of the fault ends the look-up, because the page would be looked up and faulted in for ever.";
    FOLL_COW_FLAG = "foll-cow-flag" check in "can_follow_write_pte" since Release::v(4, 9), until Release::v(6, 0), commit "19be0eaffa3a", guards [85] =>
        "A forced write takes an entry that cannot be written only if its own fault has broken COW, because a page that is dirty may still be a child's as well.";
    GUP_FOLLOWS_AGAIN = "gup-follows-again" order in "__get_user_pages" since Release::v26(12), guards [117] =>
        "After a fault the page is looked up again, because the fault hands out no page, and others may have changed the entry since.";
    FOLL_COW_READ_ONLY = "foll-cow-read-only" check in "faultin_page" since Release::v26(29), guards [131] =>
        "That COW is broken counts only in a mapping that cannot be written, because the next write of the process breaks it once more where it can.";
    GUP_ADVANCE_AFTER_DROP = "gup-advance-after-drop" order in "__get_user_pages_locked" since Release::v(4, 0), commit "f0818f472d8d", guards [134] =>
        "After a fault that let go of mmap_lock the look-up goes on behind the pages that it has, so that no page is taken twice.";
    GUP_RETAKES_LOCK = "gup-retakes-lock" order in "__get_user_pages_locked" since Release::v(4, 0), commit "f0818f472d8d", guards [135] =>
        "After a fault that let go of mmap_lock the lock is taken again, because mappings and tables are looked up under it.";
    GUP_TELLS_DROPPED = "gup-tells-dropped" check in "__get_user_pages_locked" since Release::v(4, 0), commit "f0818f472d8d", guards [136] =>
        "The caller is told that mmap_lock was not held all the time, because what he found under it may be gone.";
    FIXUP_PERMITS = "fixup-permits" check in "fixup_user_fault" since Release::v(3, 15), guards [138] =>
        "A fault that the kernel asks for needs a mapping that allows the access, because the fault itself does not ask.";

    // Populating.
    POPULATE_WRITES_PRIVATE = "populate-writes-private" design in "populate_vma_page_range" since Release::v26(38), guards [142] =>
        "Only private memory is faulted in by a write, because pages of a file would become dirty for nothing.";
    POPULATE_FORCES_ACCESSIBLE = "populate-forces-accessible" design in "populate_vma_page_range" since Release::v26(38), guards [143] =>
        "Memory that nobody may access is not faulted in, though other memory is whatever its mapping allows.";
    POPULATE_FINDS_ANEW = "populate-finds-anew" order in "__mm_populate" since Release::v26(38), guards [145] =>
        "The mapping is looked up again when mmap_lock was let go of, because it may be gone.";
    POPULATE_SKIPS_PFNMAP = "populate-skips-pfnmap" check in "__mm_populate" since Release::v26(38), guards [146] =>
        "Memory of drivers is passed over, because it is there already, and GUP would refuse it.";

    // Pins that last.
    LONGTERM_KEEPS_LOCK = "longterm-keeps-lock" order in "get_user_pages_longterm" since Release::v(4, 15), until Release::v(5, 11), commit "2bb6d2837083", guards [141] =>
        "GUP holds mmap_lock until it has looked at the mappings of the pages, because they may be gone afterwards.";
    LONGTERM_PUTS_ALL = "longterm-puts-all" order in "get_user_pages_longterm" since Release::v(4, 15), until Release::v(5, 11), commit "2bb6d2837083", guards [140] =>
        "If one page must not be pinned for long, all are given back, because the caller gets an error.";
    CHECK_VMA_WRITE = "check-vma-write" check in "check_vma_flags" since Release::v26(12), guards [108] =>
        "Pinning a page for writing needs a writable mapping; only a forced write may use a private mapping that is read-only.";
    CHECK_VMA_PKEY = "check-vma-pkey" check in "check_vma_flags" since Release::v(4, 6), commit "33a709b25a76", guards [111] =>
        "The locked path takes pages of its own address space only as far as the caller's rights for the mapping's protection key go.";
    GUP_KEEP_WRITE = "gup-keep-write" design in "faultin_page" since Release::v(4, 9), commit "19be0eaffa3a", cve "CVE-2016-5195", guards [131] =>
        "A forced write goes on asking for a page that it may write to when COW is broken, because the copy may be gone when the page is looked up again.";
    FOLL_COW_DIRTY = "foll-cow-dirty" check in "can_follow_write_pte" since Release::v(4, 9), commit "19be0eaffa3a", cve "CVE-2016-5195", guards [86] =>
        "A forced write that knows COW to be broken still wants a dirty entry, because somebody may have read the page back from the file meanwhile.";
    CHECK_VMA_SECRETMEM = "check-vma-secretmem" check in "check_vma_flags" since Release::v(5, 14), commit "1507f51255c9" =>
        "GUP refuses mappings of secret memory, because the kernel cannot read its pages, and nobody else may.";
    GUP_SECRETMEM = "gup-secretmem" check in "gup_pte_range" since Release::v(5, 14), commit "1507f51255c9" =>
        "Lockless GUP knows no mapping, and so asks the page that it has got whether it is secret memory.";
    LONGTERM_FILE_WRITE = "longterm-file-write" check in "check_vma_flags" since Release::v(6, 5), commit "8ac268436e6d" =>
        "A page of a file on a disk is not pinned for long to write to it, because writeback makes it clean while a device still writes, and nobody says afterwards that it is dirty.";

    // The gate area.
    GATE_PAGE_WRITE = "gate-page-write" check in "get_gate_page" since Release::v26(12), guards [103] =>
        "The vsyscall page is not pinned for writing, because every process reads it and no entry allows a write.";
    GATE_PAGE_PRESENT = "gate-page-present" check in "get_gate_page" since Release::v26(12), guards [103] =>
        "The tables must lead to an entry for the vsyscall page, because an empty entry names frame 0.";
    GUP_TABLE_RECHECK = "gup-table-recheck" check in "gup_pte_range" since Release::v(6, 1), commit "70cbc3cc78a9", guards [46] =>
        "After the reference is taken the entry that leads to the page table is read again as well, because khugepaged takes the whole table out of reach and leaves its entries as they are.";
    GATE_PAGE_GRAB = "gate-page-grab" order in "get_gate_page" since Release::v(5, 9), commit "9fa2dd946743", cve "CVE-2020-25221", guards [103] =>
        "A pin of the vsyscall page takes what its end gives back; a plain reference is less than that, so that the count goes below zero.";
    LONGTERM_UNSHARES = "longterm-unshares" check in "gup_must_unshare" since Release::v(6, 2), commit "84209e87c696" =>
        "A private mapping gets a page of its own before the zero page or a page of a file is pinned for reading for long, because the next write of the process would go to another page.";
    CHECK_VMA_HUGETLB_FORCE = "check-vma-hugetlb-force" check in "check_vma_flags" since Release::v(6, 2), commit "f347454d0341" =>
        "A forced write is refused in a mapping of huge pages of the pool, because there a fault makes the entry writable, whatever the mapping allows.";
    LONGTERM_MIGRATES = "longterm-migrates" order in "check_and_migrate_movable_pages" since Release::v(5, 13), commit "d1e153fea2a8" =>
        "A page of the zone MOVABLE is moved elsewhere before it is pinned for long, because the memory of that zone cannot be taken out of the machine as long as somebody has a pin.";
    GUP_FAST_LONGTERM_ZONE = "gup-fast-longterm-zone" check in "folio_fast_pin_allowed" since Release::v(5, 13), commit "d1e153fea2a8" =>
        "Lockless GUP cannot move a page, and so it leaves a page of the zone MOVABLE that is to be pinned for long to the locked path.";
    GUP_FAST_LONGTERM_FILE = "gup-fast-longterm-file" check in "folio_fast_pin_allowed" since Release::v(6, 5), commit "a6e79df92e4a" =>
        "Lockless GUP knows no mapping, and so asks the page that it has got whether it is of a file on a disk, before it is pinned for long to write to it.";

    // Pages of a device.
    GUP_DEVMAP_PERMITTED = "gup-devmap-permitted" check in "gup_pte_range" since Release::v(4, 11), on X86, commit "ef947b2529f9" =>
        "The entry of a page of a device must allow the access like any other, because a file that can only be read would be written.";
    GUP_DEV_PAGEMAP = "gup-dev-pagemap" check in "gup_pte_range" since Release::v(4, 5), commit "3565fce3a659", guards [26] =>
        "Before lockless GUP looks at a page of a device it takes a reference to the map of the device, because the descriptor may be gone.";
    GUP_UNDO_PUTS = "gup-undo-puts" order in "undo_dev_pagemap" since Release::v(4, 5), commit "3565fce3a659", guards [27, 28] =>
        "If the map of a device is dying, the pages that lockless GUP has got in this table are put, because the caller is not told of them.";
    GUP_PUT_DEV_PAGEMAP = "gup-put-dev-pagemap" order in "gup_pte_range" since Release::v(4, 5), commit "3565fce3a659", guards [31] =>
        "Lockless GUP puts its reference to the map of a device on every way out, because whoever unbinds the device waits for it.";
    GUP_DEVICE_HUGE_PUT = "gup-device-huge-put" order in "__gup_device_huge" since Release::v(5, 15), commit "6401c4eb57f9", guards [32] =>
        "The reference to the map of a device is also put if a page cannot be had because the device is being unbound.";
    GUP_DEVICE_HUGE_RECHECK = "gup-device-huge-recheck" check in "__gup_device_huge" since Release::v(4, 18), commit "a9b6de77b1a3", guards [29, 30] =>
        "After the blocks that one PMD or PUD entry maps have their references the entry is read again, because they may have been unmapped and given to another file before.";
    GUP_LONGTERM_DEVMAP = "gup-longterm-devmap" check in "gup_pte_range" since Release::v(5, 2), commit "7af75561e171" =>
        "Lockless GUP does not pin a page of a device for long: it knows no mapping, and so leaves it to the locked path to find out whether a file system may take the page away.";
    GUP_LONGTERM_PINNABLE = "gup-longterm-pinnable" check in "folio_fast_pin_allowed" since Release::v(6, 15), commit "e5cb23256347" =>
        "Since entries no longer say that a page is a device's, lockless GUP asks the page itself, because a block must not be pinned for long.";
    FOLLOW_DEV_PAGEMAP = "follow-dev-pagemap" check in "follow_page_pte" since Release::v(4, 5), commit "3565fce3a659", guards [88] =>
        "The locked path takes a reference to the map of a device before it looks at a page of the device.";
    FOLLOW_PUT_DEV_PAGEMAP = "follow-put-dev-pagemap" order in "__get_user_pages" since Release::v(5, 0), commit "df06b37ffe5a", guards [104] =>
        "The reference to the map of a device that is kept from page to page is put at the end, because whoever unbinds the device waits for it.";
    FOLLOW_DEVMAP_PMD_RECHECK = "follow-devmap-pmd-recheck" check in "follow_devmap_pmd" since Release::v(4, 5), commit "3565fce3a659", guards [66] =>
        "An entry that maps blocks of a device is read again under the lock of its table, because the blocks may have been unmapped and given to another file.";
    LONGTERM_FSDAX = "longterm-fsdax" check in "check_vma_flags" since Release::v(4, 15), commit "2bb6d2837083", guards [140] =>
        "Pages of a file on a device are not pinned for long, because the file could not give up their blocks, or would give up blocks that a device still uses.";
    GUP_DEVICE_HUGE = "gup-device-huge" check in "gup_huge_pmd" since Release::v(4, 5), commit "3565fce3a659", guards [24, 25] =>
        "Lockless GUP takes the pages of a device that one PMD or PUD entry maps one by one, because each of them is a page of its own, and has a count of its own.";
    FOLLOW_DEVMAP_PUD_RECHECK = "follow-devmap-pud-recheck" check in "follow_devmap_pud" since Release::v(4, 11), commit "a00cc7d9dd93", guards [60] =>
        "A PUD entry that maps a device is read again under its lock, because the device may have been unmapped.";
    GUP_PUD_PRESENT = "gup-pud-present" check in "gup_pud_range" since Release::v(5, 6), commit "15494520b776" =>
        "Lockless GUP follows no PUD entry that says that its page is being moved, or is broken, because it would take what stands there for a table.";
}
