//! The safeguards of the memory manager.

use crate::release::Release;

crate::safeguards! {
    above 0;
    // For who looks up pages without a lock. The page cache has it since v2.6.27 (e286781d5f2e), and is not modelled;
    // lockless GUP took plain references on x86 until it became the common code, which has it since v3.18.
    GUP_REF_UNLESS_ZERO = "gup-ref-unless-zero" check in "page_cache_get_speculative" since Release::v(4, 13), on X86, commit "e585513b76f7" =>
        "A reference is taken only if the page's count is not zero, because a page with a count of zero is free or frozen.";
    COW_REUSE_COUNTS = "cow-reuse-counts" design in "do_wp_page" since Release::v(5, 9), commit "09854ba94c6a", cve "CVE-2020-29374" =>
        "A write fault reuses a page only if nobody else holds a reference to it; that nobody else maps it is not enough.";
    ANON_FAULT_RECHECK = "anon-fault-recheck" check in "do_anonymous_page" since Release::v26(12) =>
        "A page fault reads the entry again under the PTE lock, because another thread may have filled it in the meantime.";
    ANON_FAULT_ENTRY_LAST = "anon-fault-entry-last" order in "do_anonymous_page" since Release::v26(12) =>
        "A page fault sets up the new page before it sets the entry, because from then on lockless GUP finds the page and sets flags of it.";
    WP_FAULT_RECHECK = "wp-fault-recheck" check in "wp_page_copy" since Release::v26(12) =>
        "A COW copy is mapped only if the entry still names the page that was copied.";
    PTE_ALLOC_RECHECK = "pte-alloc-recheck" check in "__pte_alloc" since Release::v26(12) =>
        "A new page table is linked only if no other thread has linked one in the meantime.";
    GATHER_FLUSH_FIRST = "gather-flush-first" order in "tlb_flush_mmu" since Release::v26(12) =>
        "The TLB is flushed before the unmapped pages are freed, so that no CPU can reach a page that is free.";
    TABLE_NO_SHORTCUT = "table-no-shortcut" order in "tlb_remove_table" since Release::v(4, 19), commit "a6f572084fbe" =>
        "A page table waits for its grace period even if the address space has a single user, because a lazy CPU may still walk it on speculation.";
    LAZY_FLUSH_SWITCHES = "lazy-flush-switches" check in "flush_tlb_func_common" since Release::v(4, 14), commit "b956575bed91" =>
        "A lazy CPU that is asked to flush leaves the address space altogether, because it could walk freed page tables on speculation.";
    OOM_REAP_GATHER_VMA = "oom-reap-gather-vma" order in "__oom_reap_task_mm" since Release::v(4, 15), commit "687cb0884a71", cve "CVE-2017-18202" =>
        "The OOM reaper gathers each mapping by itself, because a gather of a whole dying address space flushes nothing on arm64, and threads of the victim still run.";
    GATHER_NESTED_TABLES = "gather-nested-tables" order in "tlb_finish_mmu" since Release::v(5, 2), commit "7a30df49f63a" =>
        "If two threads unmap at the same time, the flush of the whole range still says that page tables were freed, so that lazy CPUs are interrupted.";
    TABLE_INVALIDATE = "table-invalidate" order in "tlb_table_invalidate" since Release::v(4, 19), commit "d86564a2f085" =>
        "The paging-structure caches are flushed before a page table is freed, because neither RCU nor an empty interrupt removes the entries that lead to it.";
    GATHER_FLUSH_PFNMAP = "gather-flush-pfnmap" order in "unmap_vmas" since Release::v(5, 19), commit "b67fbebd4cf9", cve "CVE-2022-39188" =>
        "Translations of raw frames are flushed before their mapping disappears, because the driver frees the frames as soon as it finds no mapping of them.";
    MUNMAP_STACK_NO_DOWNGRADE = "munmap-stack-no-downgrade" check in "__do_munmap" since Release::v(5, 8), commit "246c320a8cfe", cve "CVE-2020-29369" =>
        "Below a stack, munmap() keeps mmap_lock for writing, because the stack could grow into the range whose page tables are being freed.";
    GATHER_FLUSH_NESTED = "gather-flush-nested" check in "tlb_finish_mmu" since Release::v(4, 13), commit "99baac21e458" =>
        "If two threads unmap at the same time, each flushes its whole range, because the other may have cleared entries there and not flushed them yet.";
    FLUSH_WAITS = "flush-waits" order in "smp_call_function_many" since Release::v26(12) =>
        "A CPU that flushes translations on other CPUs waits until each of them has done so.";
    FORK_FLUSH = "fork-flush" order in "dup_mmap" since Release::v26(12) =>
        "After fork has write-protected the parent's entries, the writable translations that the TLBs still hold are flushed.";
    FORK_WRITE_PROTECT = "fork-write-protect" order in "copy_one_pte" since Release::v26(12) =>
        "Fork write-protects private pages in the parent and in the child, so that the next write copies the page.";
    FORK_LOCK_VMAS = "fork-lock-vmas" order in "dup_mmap" since Release::v(6, 5), commit "fb49c455323f" =>
        "Fork locks the parent's mappings for writing, because a fault that holds only the lock of its mapping would work on entries that are being copied.";
    VMA_LOCK_ANON_VMA = "vma-lock-anon-vma" order in "lock_vma_under_rcu" since Release::v(6, 5), commit "657b5146955e", cve "CVE-2024-1312" =>
        "A fault looks for its mapping's anon_vma after it has locked the mapping, because mremap() may take the anon_vma away before.";
    VMA_PUT_GRABS_MM = "vma-put-grabs-mm" order in "vma_start_read" since Release::v(6, 17), commit "9bbffee67ffd", cve "CVE-2025-38554" =>
        "Who has locked a mapping that is another process's by now holds that address space while it lets go, because its last user may be waiting for the mapping.";
    FORK_COPIES_PINNED = "fork-copies-pinned" check in "copy_one_pte" since Release::v(5, 9), commit "70e806e4e645" =>
        "Fork copies a pinned page for the child at once, so that the page that the device uses stays the parent's.";
    FORK_WRITE_PROTECT_SEQ = "fork-write-protect-seq" order in "copy_page_range" since Release::v(5, 11), commit "57efa1fe5957" =>
        "Fork counts when it write-protects entries, so that a lockless pin that overlaps it notices and gives up.";
    PAGE_REF_OVERFLOW = "page-ref-overflow" check in "try_get_page" since Release::v(5, 1), commit "8fde12ca79af", cve "CVE-2019-11487" =>
        "A reference is refused while the count of a page is negative, so that the count cannot wrap and free a page that is in use.";
    MREMAP_FLUSH_LOCKED = "mremap-flush-locked" order in "move_ptes" since Release::v(4, 19), commit "eb66ae030829", cve "CVE-2018-18281" =>
        "The translations of the old place are flushed before mremap() lets go of the page-table locks, because whoever unmaps the new place does not flush the old one.";
    MPROTECT_FLUSH = "mprotect-flush" order in "change_protection_range" since Release::v26(12) =>
        "After mprotect() has changed entries, the translations that allow more are flushed.";
    WP_FLUSH = "wp-flush" order in "ptep_clear_flush" since Release::v26(12) =>
        "Translations of the old page are flushed before its COW copy is mapped, so that no CPU goes on reading the old page.";
    MADVISE_MMAP_LOCK = "madvise-mmap-lock" order in "do_madvise" since Release::v26(16) =>
        "MADV_DONTNEED holds mmap_lock while it works on a mapping, so that the mapping cannot be freed in the meantime.";
    MUNMAP_MMAP_LOCK = "munmap-mmap-lock" order in "__do_munmap" since Release::v26(12) =>
        "The mappings that munmap() detaches are guarded by mmap_lock for writing, so that no page fault works on them in the meantime.";
    SWITCH_TLB_GEN = "switch-tlb-gen" check in "choose_new_asid" since Release::v(4, 14), commit "10af6235e0d3" =>
        "A CPU that returns to an address space drops the translations that it still has of it if a flush was missed in the meantime.";
    ASID_FLUSH_NEW = "asid-flush-new" order in "choose_new_asid" since Release::v(4, 14), commit "10af6235e0d3" =>
        "A PCID that is given to another address space is flushed first, because translations of the old one are tagged with it.";
    FLUSH_SEES_SWITCH = "flush-sees-switch" check in "should_flush_tlb" since Release::v(6, 15), commit "fea4e317f9e7", cve "CVE-2025-37964" =>
        "A CPU that is just switching is interrupted by a flush, because it may have decided already that it missed none.";
    SWITCH_MM_BARRIER = "switch-mm-barrier" order in "switch_mm_irqs_off" since Release::v(6, 18), commit "83b0177a6c48", cve "CVE-2025-40174" =>
        "A CPU says that it is switching before it reads how many flushes there were, even if its bit in the cpumask was set already and no locked instruction sets it.";
    FLUSH_PREEMPT_OFF = "flush-preempt-off" order in "__native_flush_tlb" since Release::v(4, 8), commit "5cf0791da5c1" =>
        "A kernel for one CPU cannot be preempted between reading CR3 and writing it back, because another address space may be loaded by then.";
    PCID_OFF_BY_ERRATUM = "pcid-off-by-erratum" check in "setup_pcid" since Release::v(6, 4), commit "ce0b15d11ad8" =>
        "PCIDs stay off on processors whose INVLPG leaves global translations while they are on.";
    FLUSH_BARRIER = "flush-barrier" order in "flush_tlb_mm_range" since Release::v(4, 5), on X86, commit "71b3c126e611", cve "CVE-2016-2069" =>
        "A CPU that flushes an address space which is not loaded on it has a full barrier between what it changed and its look at the cpumask.";
    PTEP_GET_AND_CLEAR = "ptep-get-and-clear" order in "ptep_get_and_clear" since Release::v26(12) =>
        "An entry is read and cleared by one locked operation, because the hardware may set its dirty bit between a load and a store, and nobody would know.";
    PTEP_SET_WRPROTECT = "ptep-set-wrprotect" order in "copy_one_pte" since Release::v26(12) =>
        "Fork takes write permission from an entry by one locked operation, because a store of what was read before undoes the dirty bit that the hardware has set since.";
    ZAP_SET_PAGE_DIRTY = "zap-set-page-dirty" order in "zap_pte_range" since Release::v26(12) =>
        "The dirty bit of an entry that maps a page of a file is kept in the page when the entry goes, because nothing else knows that the page was written.";
    MREMAP_TABLE_RMAP_LOCK = "mremap-table-rmap-lock" order in "move_page_tables" since Release::v(5, 14), commit "97113eb39fa7", cve "CVE-2022-41222" =>
        "While mremap() moves a whole page table, nobody unmaps the file behind it, because he could find the table by its old place and flush only that.";
}
