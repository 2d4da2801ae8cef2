//! The safeguards of the memory manager.

use crate::release::Release;

crate::safeguards! {
    above 0;
    // For lockless GUP, which took plain references on x86 until it became the common code, which has it since v3.18. Look-ups in the page
    // cache have it since v2.6.27 (e286781d5f2e), and so in every release.
    GUP_REF_UNLESS_ZERO = "gup-ref-unless-zero" check in "page_cache_get_speculative" since Release::v(4, 13), on X86, commit "e585513b76f7", guards [36, 37, 38] =>
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
    UFFD_WP_FLUSH = "uffd-wp-flush" check in "do_wp_page" since Release::v(5, 12), commit "6ce64428d620" =>
        "A write fault in pages that userfaultfd write-protects flushes first if a flush is pending, because another CPU may still write to the page that is going to be copied.";
    CLEAR_REFS_FLUSH = "clear-refs-flush" order in "clear_refs_write" since Release::v26(12), commit "912efa17e512" =>
        "After clear_refs has write-protected entries, the writable translations that the TLBs still hold are flushed, because nobody would notice a write through them.";
    CLEAR_REFS_WRITE_LOCK = "clear-refs-write-lock" order in "clear_refs_write" since Release::v(5, 12), commit "29a951dfb3c3" =>
        "While clear_refs write-protects entries it holds mmap_lock for writing, so that no fault decides by an entry that is being changed.";
    CLEAR_REFS_SPARES_PINNED = "clear-refs-spares-pinned" check in "clear_soft_dirty" since Release::v(5, 12), commit "9348b73c2e1b" =>
        "A pinned page stays writable when clear_refs write-protects entries, because the write fault would copy it, and the device would go on with the old page.";
    PTEP_GET_AND_CLEAR = "ptep-get-and-clear" order in "ptep_get_and_clear" since Release::v26(12) =>
        "An entry is read and cleared by one locked operation, because the hardware may set its dirty bit between a load and a store, and nobody would know.";
    PTEP_SET_WRPROTECT = "ptep-set-wrprotect" order in "copy_one_pte" since Release::v26(12) =>
        "Fork takes write permission from an entry by one locked operation, because a store of what was read before undoes the dirty bit that the hardware has set since.";
    ZAP_SET_PAGE_DIRTY = "zap-set-page-dirty" order in "zap_pte_range" since Release::v26(12) =>
        "The dirty bit of an entry that maps a page of a file is kept in the page when the entry goes, because nothing else knows that the page was written.";
    FAULT_MAPPING_RECHECK = "fault-mapping-recheck" check in "lock_if_of_file" since Release::v26(12) =>
        "A fault that has locked a page of a file asks whether it still is the file's, because the page may have been truncated before it was locked.";
    FAULT_SIZE_RECHECK = "fault-size-recheck" check in "shmem_getpage" since Release::v26(12) =>
        "A fault that has put a new page into a file asks again how long the file is, because whoever made it shorter may have looked for pages before.";
    TRUNCATE_UNMAP_LOCKED = "truncate-unmap-locked" check in "truncate_cleanup_page" since Release::v26(23), commit "d00806b18315" =>
        "A page that leaves its file is unmapped once more while it is locked, because a fault may have mapped it since all mappings were gone through.";
    TRUNCATE_UNMAP_AGAIN = "truncate-unmap-again" order in "shmem_setattr" since Release::v26(23) =>
        "When the pages behind the new end of a file are gone, mappings are gone through once more, because a private mapping may have copied one of these pages meanwhile.";
    BATCHED_PENDING_CHECK = "batched-pending-check" check in "flush_tlb_batched_pending" since Release::v(4, 13), commit "3ea277194daa" =>
        "Who changes entries flushes first if reclaim has cleared some and not flushed yet, because an empty entry does not say that no TLB has the old one.";
    BATCHED_PENDING_COUNT = "batched-pending-count" order in "flush_tlb_batched_pending" since Release::v(5, 17), commit "5ee2fa2f0636" =>
        "The flushes that reclaim owes an address space are counted, because a flag that is cleared after a flush forgets what became due meanwhile.";
    UNMAP_FLUSH_DIRTY = "unmap-flush-dirty" order in "shrink_page_list" since Release::v(4, 3), commit "d950c9477d51" =>
        "Translations through which a page may still be written are flushed before the page is written to swap, because what is written to it later would be lost.";
    REMOVE_CHECK_DIRTY = "remove-check-dirty" check in "__remove_mapping" since Release::v26(12) =>
        "A page that reclaim takes out of its file is looked at once more when its count is frozen, because somebody may have written to it and made it dirty since it was found clean.";
    REMOVE_REF_THEN_DIRTY = "remove-ref-then-dirty" order in "__remove_mapping" since Release::v26(12) =>
        "Reclaim freezes the reference count of a page before it looks a last time whether the page is dirty, because who writes by a reference sets the flag before dropping the reference.";
    LAZYFREE_CHECK_REFCOUNT = "lazyfree-check-refcount" check in "try_to_unmap_one" since Release::v(5, 18), commit "6c8e2a256915" =>
        "A page that MADV_FREE gave up is not discarded while somebody holds a reference, because a device may be writing to it.";
    LAZYFREE_REF_THEN_DIRTY = "lazyfree-ref-then-dirty" order in "try_to_unmap_one" since Release::v(5, 18), commit "6c8e2a256915" =>
        "Reclaim reads the reference count of such a page before it reads the dirty flag, because who writes by a reference sets the flag before dropping the reference.";
    SWAPIN_PIN_SLOT = "swapin-pin-slot" check in "do_swap_page" since Release::v(6, 8), commit "13ddaf26be32", cve "CVE-2024-26759" =>
        "A fault that reads a slot without the swap cache marks the slot, because another thread could map the page, and swap it out to the same slot again.";
    SWAPIN_RECHECK_CACHE = "swapin-recheck-cache" check in "do_swap_page" since Release::v26(36), commit "4969c1192d15" =>
        "A fault that waited for the lock of a page looks again whether the page is that of its slot, because the page may have left the swap cache in the meantime.";
    ZAP_FORCE_FLUSH = "zap-force-flush" order in "zap_pte_range" since Release::v26(12) =>
        "When there is no room for more pages in the middle of an unmapping, their translations are flushed before the pages are freed.";
    MREMAP_TABLE_RMAP_LOCK = "mremap-table-rmap-lock" order in "move_page_tables" since Release::v(5, 14), commit "97113eb39fa7", cve "CVE-2022-41222" =>
        "While mremap() moves a whole page table, nobody unmaps the file behind it, because he could find the table by its old place and flush only that.";
    // Files on a disk.
    ZAP_FLUSH_DIRTY_LOCKED = "zap-flush-dirty-locked" order in "zap_pte_range" since Release::v(3, 15), commit "1cf35d47712d" =>
        "An unmapping that has found a dirty page of a file flushes before it lets go of the page-table lock, because who writes the page back finds no entry any more, and a CPU may still write to it.";
    ZAP_DELAY_RMAP = "zap-delay-rmap" order in "zap_pte_range" since Release::v(6, 2), commit "5df397dec7c4" =>
        "A dirty page of a file counts as mapped until the translation through which it was written is flushed, because writeback takes no lock for a page that nobody maps.";
    MKCLEAN_FLUSH = "mkclean-flush" order in "page_mkclean_one" since Release::v26(19), commit "d08b3851da41" =>
        "When writeback has made an entry clean and read-only, the writable translation of it is flushed, because the next write has to be noticed.";
    MKCLEAN_SYNC = "mkclean-sync" order in "page_mkclean_one" since Release::v26(27), commit "479db0bf408e" =>
        "Writeback looks at an entry with the page-table lock held, because an entry that is empty without it may belong to an unmapping that has yet to flush.";
    FAULT_DIRTY_LOCKED = "fault-dirty-locked" order in "fault_dirty_shared_page" since Release::v26(23), commit "79352894b285" =>
        "A write fault holds the lock of a page from before the entry is writable until the page is dirty, because writeback clears the flag after it has made the entries clean.";
    STABLE_PAGE_WAIT = "stable-page-wait" order in "wait_for_stable_page" since Release::v(3, 0) =>
        "A write fault waits until the page is written back, if the disk compares what it writes with a checksum.";
    TRUNCATE_WAIT_WRITEBACK = "truncate-wait-writeback" order in "shmem_undo_range" since Release::v26(12) =>
        "A page leaves its file only when it is not being written back, because its block may belong to another file as soon as the page is gone.";
    FILEMAP_INVALIDATE_LOCK = "filemap-invalidate-lock" order in "filemap_fault" since Release::v(5, 15), commit "730633f0b7f9" =>
        "A fault that has to read a page from the disk excludes truncation until the page is read, because the page would stay in the file behind its end, with what the block held.";
    INVALIDATE_CHECK_DIRTY = "invalidate-check-dirty" check in "remove_mapping" since Release::v26(12) =>
        "A page that nobody uses is looked at once more when its count is frozen, because somebody may have written to it and made it dirty since it was found clean.";
    WP_LOCK_DROPS_PTL = "wp-lock-drops-ptl" order in "do_wp_page" since Release::v26(12) =>
        "A write fault that has to wait for the lock of a page lets go of the page-table lock before, because nobody may sleep with a spin lock.";
    WRITE_COPY_ATOMIC = "write-copy-atomic" order in "generic_perform_write" since Release::v26(25), commit "08291429cfa6" =>
        "While a page of a file is locked, what is written to it is copied without page faults, because the source may be a mapping of that very page, and the fault would wait for its lock.";
    PMDP_INVALIDATE_ATOMIC = "pmdp-invalidate-atomic" order in "pmdp_invalidate" since Release::v(4, 16), commit "d52605d7cb30" =>
        "A huge entry is made invalid by one locked operation, because the hardware may set its dirty bit between a load and a store, and nobody would know.";
    SPLIT_INVALIDATE = "split-invalidate" order in "__split_huge_pmd_locked" since Release::v26(38) =>
        "A huge entry is invalid and flushed before small entries take its place, because a TLB must not hold translations of both sizes for one address.";
    FORK_COPIES_PINNED_HUGE = "fork-copies-pinned-huge" check in "copy_huge_pmd" since Release::v(5, 9), commit "d042035eaf5f" =>
        "Fork splits the entry of a huge page that is pinned, so that its pages are copied for the child at once.";
    MREMAP_MOVE_DEPOSIT = "mremap-move-deposit" check in "move_huge_pmd" since Release::v(3, 13), commit "3592806cfa08" =>
        "The page table that is kept for the split of a huge page moves with its entry, because the table that it leaves may be freed.";
    SHMEM_SWAPIN_RECHECK = "shmem-swapin-recheck" check in "shmem_swapin_folio" since Release::v26(12) =>
        "Who has locked a page of the swap cache for a file asks whether it still is that slot's, and the slot the file's, because both may have changed before the page was locked.";
    SHMEM_FREE_SWAP_SAME = "shmem-free-swap-same" check in "shmem_free_swap" since Release::v26(12) =>
        "Truncation frees a slot of the swap area only if the file still has the slot where it was found, because somebody may have brought the page back meanwhile.";
    SWAPIN_HOLDS_DEVICE = "swapin-holds-device" order in "do_swap_page" since Release::v(5, 14), commit "2799e77529c2" =>
        "A fault holds the swap area while it works on a slot, because swapoff() may bring the page back first, and then free the area.";
    SHMEM_SWAPIN_HOLDS_DEVICE = "shmem-swapin-holds-device" order in "shmem_swapin_folio" since Release::v(5, 14), commit "2efa33fc7f6e" =>
        "Whoever brings a page of a file back from swap holds the swap area meanwhile, because swapoff() may do so first, and then free the area.";
    SWAP_FREE_HOLDS_DEVICE = "swap-free-holds-device" order in "free_swap_and_cache" since Release::v(6, 9), commit "82b1c07a0af6", cve "CVE-2024-26960" =>
        "Whoever frees a slot holds the swap area until the slot's page is looked for as well, because somebody else may free the page, and swapoff() then the area.";

    UFFD_WP_MARKER = "uffd-wp-marker" order in "pte_install_uffd_wp_if_needed" since Release::v(5, 19), commit "999dad824c39" =>
        "Where a page of a file was write-protected for userfaultfd and is not mapped any more, a marker says so, because the page is mapped again by a fault that knows of nothing else.";

    UFFD_WP_NOTIFY = "uffd-wp-notify" design in "vma_wants_writenotify" since Release::v(6, 2), commit "51d3d5eb74ff" =>
        "Entries of shared memory are read-only from the start where userfaultfd may write-protect them, because whoever gives an entry the bits of its mapping would let writes pass.";

    // Migration.
    MIGRATE_LOCK = "migrate-lock" order in "__unmap_and_move" since Release::v26(16) =>
        "A page is locked while it is moved, because whoever comes to it or takes it from its place waits for the lock.";
    MIGRATE_UNLOCK_LAST = "migrate-unlock-last" order in "__unmap_and_move" since Release::v26(18) =>
        "A page is unlocked only after its entries lead to the new page, because who comes to such an entry relies on the lock.";
    MIGRATE_ANON_VMA = "migrate-anon-vma" order in "__unmap_and_move" since Release::v26(35), commit "3f6c82728f4e" =>
        "Migration holds the anon_vma of a page, because nothing else keeps it while nobody maps the page.";
    MIGRATE_EXPECTED_COUNT = "migrate-expected-count" check in "migrate_page_move_mapping" since Release::v26(16) =>
        "A page is moved only if nobody else has a reference, because he would go on with the page that is left behind.";
    MIGRATE_FREEZE = "migrate-freeze" order in "migrate_page_move_mapping" since Release::v26(27), commit "e286781d5f2e" =>
        "The count of a page is taken to zero while another takes its place in a cache, because a look-up without a lock could get a reference meanwhile.";
    MIGRATE_FLUSH = "migrate-flush" order in "try_to_migrate_one" since Release::v26(18) =>
        "The translation of an entry is flushed before its page is copied, because what is written through it later would be lost.";
    MIGRATE_BATCH_FLUSH = "migrate-batch-flush" order in "migrate_pages_batch" since Release::v(6, 3), commit "7e12beb8ca2a" =>
        "The flushes that were put off are done before the first page is copied, because what is written through an old translation would be lost.";
    MIGRATE_FLUSH_PROTNONE = "migrate-flush-protnone" check in "pte_accessible" since Release::v(3, 13), commit "20841405940e" =>
        "An entry that allows no access is flushed too while a flush is pending, because a CPU may still have it as it was before.";
    MIGRATE_SET_DIRTY = "migrate-set-dirty" order in "try_to_migrate_one" since Release::v26(18) =>
        "The dirty bit of an entry is kept in the page when the entry is taken away, because the entry that comes back may be clean.";
    MIGRATION_REMOVE_LOCKED = "migration-remove-locked" order in "remove_migration_pte" since Release::v(3, 2), commit "486cf46f3f9b" =>
        "Whoever makes entries present again looks at each under its lock, because mremap() clears an entry before it sets it at the new place.";
    MIGRATION_WAIT_RECHECK = "migration-wait-recheck" check in "migration_entry_wait" since Release::v26(18) =>
        "A fault that met a migration entry reads it again under the PTE lock, because the page may be there again, and the frame another's.";
    FORK_MIGRATION_READ = "fork-migration-read" order in "copy_one_pte" since Release::v26(18) =>
        "Fork makes migration entries readable in parent and child, because entries that come back writable would share the page.";
    MPROTECT_MIGRATION_READ = "mprotect-migration-read" order in "change_pte_range" since Release::v26(18) =>
        "A change of protection makes migration entries readable, because they would come back writable where the mapping is not.";
    MIGRATE_VMA_FLUSH_LOCKED = "migrate-vma-flush-locked" order in "migrate_vma_collect_pmd" since Release::v(6, 1), commit "60bae7370896" =>
        "A driver that takes pages away flushes before it lets go of the PTE lock, because whoever unmaps the pages next finds nothing to flush.";
    MIGRATE_VMA_DIRTY = "migrate-vma-dirty" order in "migrate_vma_collect_pmd" since Release::v(6, 1), commit "fd35ca3d12cc" =>
        "The dirty bit of an entry is kept in the page when a driver takes the page away, because nothing else knows that the page was written.";
    ANON_VMA_MAPPED_RECHECK = "anon-vma-mapped-recheck" check in "page_lock_anon_vma_read" since Release::v26(36), commit "f18194275c39" =>
        "Whoever has locked the anon_vma of a page asks once more whether the page is mapped, because only its mappings keep the anon_vma.";
    ANON_VMA_REUSE_COUNTS = "anon-vma-reuse-counts" design in "anon_vma_clone" since Release::v(6, 0), commit "2555283eb40d", cve "CVE-2022-42703" =>
        "The mapping of a child takes over an anon_vma only if no mapping uses it, because two mappings with one anon_vma are taken for mappings that hang on the same ones, and are merged.";

    // Locked memory, before v5.18.
    MUNLOCK_COUNT_CLEARED = "munlock-count-cleared" order in "__munlock_pagevec" since Release::v(4, 12), until Release::v(5, 18), commit "70feee0e1ef3", cve "CVE-2017-18221" =>
        "A page whose flag munlock() has cleared is not counted as locked any more, wherever it is, because a page that waits in a batch of another CPU is on no list, and nobody else takes it off the count.";

    // Collapsing into huge pages.
    COLLAPSE_SYNC_IPI = "collapse-sync-ipi" order in "collapse_huge_page" since Release::v(6, 1), commit "2ba99c5e0881" =>
        "Between taking a page table out of reach and asking for references to its pages, khugepaged waits by an interrupt for lockless GUP, which may be in that table still.";
    COLLAPSE_CHECK_REFCOUNT = "collapse-check-refcount" check in "__collapse_huge_page_isolate" since Release::v26(38), commit "ba76149f47d8" =>
        "A page to which somebody holds a reference is not collapsed, because a device would go on with the page, and the process with its copy.";
    COLLAPSE_FLUSH = "collapse-flush" order in "pmdp_collapse_flush" since Release::v26(38), commit "ba76149f47d8" =>
        "Translations of small pages are flushed before khugepaged copies the pages, so that nobody writes to them meanwhile.";
    COLLAPSE_LOCK_VMA = "collapse-lock-vma" order in "collapse_huge_page" since Release::v(6, 4), commit "55fd6fccad31" =>
        "The mapping is locked for writing by khugepaged, because a fault that holds only the lock of its mapping would work in the page table that is taken out of reach.";
    COLLAPSE_LOCK_VMA_FIRST = "collapse-lock-vma-first" order in "collapse_huge_page" since Release::v(6, 17), commit "366a4532d96f" =>
        "The mapping is locked by khugepaged before it looks whether the entry still leads to a page table, because MADV_DONTNEED holds only the lock of the mapping and frees a table that is empty.";
    COLLAPSE_PMD_RECHECK = "collapse-pmd-recheck" check in "collapse_huge_page" since Release::v26(38), commit "ba76149f47d8" =>
        "When khugepaged has mmap_lock for writing it looks again whether the entry leads to a page table, because others may have mapped a huge page or moved the table meanwhile.";
    COLLAPSE_FILE_CHECK_REFCOUNT = "collapse-file-check-refcount" check in "collapse_file" since Release::v(4, 8), commit "f3f0e1d2150b" =>
        "A page of a file to which somebody holds a reference is not collapsed, because a device would go on with the page, and the file with its copy.";
    COLLAPSE_FILE_CHECK_UPTODATE = "collapse-file-check-uptodate" check in "collapse_file" since Release::v(5, 4), commit "4655e5e5f387" =>
        "A page of a file that could not be read from the disk is not collapsed, because the huge page counts as read.";
    COLLAPSE_FILE_CHECK_DIRTY = "collapse-file-check-dirty" check in "collapse_file" since Release::v(5, 4), commit "99cb0dbd47a1" =>
        "A page that is still to be written to the disk is not collapsed, because the huge page is never written there.";
    COLLAPSE_FILE_CHECK_WRITERS = "collapse-file-check-writers" check in "collapse_file" since Release::v(5, 14), commit "eb6ecbed0aa2" =>
        "A file gets a huge page only if nobody has opened it for writing meanwhile, because its file system writes single pages.";
    OPEN_TRUNCATES_HUGE_PAGES = "open-truncates-huge-pages" check in "do_dentry_open" since Release::v(5, 4), commit "09d91cda0e82" =>
        "Whoever opens a file for writing first takes its huge pages out of memory, because its file system writes single pages.";
    OPEN_KEEPS_PRIVATE_PAGES = "open-keeps-private-pages" order in "do_dentry_open" since Release::v(5, 16), commit "8468e937df1f" =>
        "When the huge pages of a file go because somebody opens it, private mappings keep the pages that they have copied.";
    KSM_FLUSH_IF_PENDING = "ksm-flush-if-pending" check in "write_protect_page" since Release::v(4, 13), commit "b3a81d0841a9" =>
        "An entry that allows no write is flushed by ksmd as well, if somebody has a flush of that process pending, because CPUs may still write by what the entry was.";
    KSM_COUNT_AFTER_PROTECT = "ksm-count-after-protect" order in "write_protect_page" since Release::v26(32) =>
        "The references to a page are counted by ksmd when its entry is gone, because lockless GUP takes one while the entry is there, and a device may write by it.";
    PTE_MAP_RECHECK = "pte-map-recheck" check in "pte_offset_map_lock" since Release::v(6, 5), commit "0d940a9b270b" =>
        "Whoever has taken the lock of a page table asks again whether the table is in use, because khugepaged takes tables of files away without mmap_lock, and MADV_DONTNEED takes empty ones.";
    MREMAP_PMD_RECHECK = "mremap-pmd-recheck" check in "move_normal_pmd" since Release::v(6, 12), commit "6fa1066fc5d0", cve "CVE-2024-50066" =>
        "Under the locks of the tables mremap() asks whether there still is a page table to move, because khugepaged may have taken it away.";
    RETRACT_ANON_VMA_RECHECK = "retract-anon-vma-recheck" check in "retract_page_tables" since Release::v(6, 2), commit "023f47a8250c" =>
        "When khugepaged has mmap_lock for writing it asks again whether a private mapping of the file was written, because its copies would be lost with the page table.";
    RETRACT_NOTIFY = "retract-notify" order in "collapse_and_free_pmd" since Release::v(6, 1), commit "f268f6cf875f", cve "CVE-2022-48991" =>
        "A secondary MMU is told before a page table of a file goes, because it has no references, and nobody tells it later of a page that is mapped nowhere.";
    COLLAPSE_PTE_MAPPED_RMAP_LOCK = "collapse-pte-mapped-rmap-lock" order in "collapse_pte_mapped_thp" since Release::v(6, 1), commit "8d3c106e19e8" =>
        "A page table of a file is freed under the lock of the mappings of the file, because truncation walks it with that lock alone.";
    FLUSH_RANGE_TABLES = "flush-range-tables" order in "pmdp_collapse_flush" since Release::v(6, 15), commit "3ef938c35035", cve "CVE-2025-22045" =>
        "The flush after a page table was taken out of reach says that tables may be freed, because lazy CPUs and paging-structure caches are left alone otherwise.";

    // Secondary MMUs.
    KVM_MMU_RETRY = "kvm-mmu-retry" check in "kvm_tdp_mmu_map" since Release::v26(27), commit "e930bffe95e1" =>
        "A fault of a guest looks for its page once more if an invalidation was under way or has ended meanwhile, because the page may belong to somebody else by then.";

    SWAPOFF_KEEPS_MARKS = "swapoff-keeps-marks" order in "unuse_pte" since Release::v(5, 19), commit "14a762dd1977" =>
        "When swapoff maps a page again, the entry says what the entry of its slot said: that the page was written, and that writes wait for userfaultfd.";

    // Splits of folios.
    SPLIT_EXPECTED_COUNT = "split-expected-count" order in "split_huge_page_to_list" since Release::v(4, 5), commit "e9b61f19858a" =>
        "A folio is split only if nobody else has a reference, because nobody could tell to which of its pages the reference belongs.";
    SPLIT_PMD_PAGE_LOCK = "split-pmd-page-lock" order in "__split_huge_pmd" since Release::v(5, 8), until Release::v(5, 18), commit "c444eb564fb1", cve "CVE-2020-29368" =>
        "The entry of a huge page is split with the page locked, because the mappings go from one count to others, and a write fault that asks for their number must not miss them.";
    SPLIT_UNMAP_SYNC = "split-unmap-sync" order in "unmap_page" since Release::v(5, 13), commit "732ed55823fc" =>
        "Whoever unmaps a folio to split it looks at each entry under its lock, because a zapper clears an entry before he uncounts it.";
    SPLIT_TAIL_FLAGS_FIRST = "split-tail-flags-first" order in "__split_huge_page_tail" since Release::v(4, 17), commit "605ca5ede764" =>
        "A tail has its flags before it has a count, because whoever gets a reference may lock the page, and the flags are stored without a lock.";
    SPLIT_TAIL_MAPPING_FIRST = "split-tail-mapping-first" order in "__split_huge_page_tail" since Release::v(4, 20), commit "173d9d9fd3dd" =>
        "A tail says to whom it belongs before it has a count, because whoever gets a reference asks for that.";

    DEFERRED_SPLIT_TRY_GET = "deferred-split-try-get" check in "deferred_split_scan" since Release::v(4, 5), commit "9a982250f773" =>
        "The shrinker takes a reference to a folio of its queue only if the count is not zero, because the queue has none, and somebody may just free the folio.";

    // Entries of huge pages.
    GATHER_HOLDS_HUGE_ZERO = "gather-holds-huge-zero" order in "zap_huge_pmd" since Release::v(4, 6), until Release::v(4, 9), commit "aa88b68c3b1d" =>
        "An unmapped entry keeps the huge page of zeroes until the TLB is flushed, because the shrinker frees the page when no entry keeps it, and a CPU may still read it.";
    NUMA_KEEPS_PMD = "numa-keeps-pmd" order in "change_huge_pmd" since Release::v(4, 11), commit "ced108037c2a" =>
        "The entry of a huge page is never empty while its protection changes, because MADV_DONTNEED looks without the lock and would take the page for gone.";
    NUMA_THP_COUNT = "numa-thp-count" check in "migrate_misplaced_transhuge_page" since Release::v(3, 13), until Release::v(5, 13), commit "2b4847e73004" =>
        "After a huge page was copied to another node, it is replaced only if nobody has got a reference meanwhile, because he would use the page that is left behind.";
    NUMA_THP_FLUSH_PENDING = "numa-thp-flush-pending" check in "do_huge_pmd_numa_page" since Release::v(3, 13), until Release::v(5, 13), commit "20841405940e" =>
        "If a change of protection has not flushed yet, the fault does so before the page is copied, because another CPU could still write by an old translation.";
    FREE_KEEPS_PMD = "free-keeps-pmd" order in "madvise_free_huge_pmd" since Release::v(4, 11), commit "58ceeb6bec86" =>
        "The entry of a huge page is never empty while MADV_FREE makes it clean, because MADV_DONTNEED looks without the lock and would take the page for gone.";
    CLEAR_REFS_KEEPS_PMD = "clear-refs-keeps-pmd" order in "clear_soft_dirty_pmd" since Release::v(4, 11), commit "5b7abeae3af8" =>
        "The entry of a huge page is never empty while its soft-dirty bit is cleared, because MADV_DONTNEED looks without the lock and would take the page for gone.";
    ZAP_PMD_ONCE = "zap-pmd-once" order in "zap_pmd_range" since Release::v(3, 4), commit "1a5a9906d4e8", cve "CVE-2012-1179" =>
        "What an unmapping tests of a PMD entry and what it follows is one value, because a fault may map a huge page between two reads, and the entry would be taken for a bad one.";
    PMD_READ_ATOMIC = "pmd-read-atomic" order in "pmd_read_atomic" since Release::v(3, 5), commit "26c191788f18", cve "CVE-2012-2373" =>
        "Where an entry is read in two halves, an unmapping reads the low half of a PMD entry first, because a fault may fill the entry between the two loads.";
    CHANGE_PMD_ONCE = "change-pmd-once" order in "change_protection_range" since Release::v(5, 6), commit "8b272b3cbbb5" =>
        "What a change of protection tests of a PMD entry and what it follows is one value, because a fault may map a huge page between two reads, and the entry would be taken for a bad one.";

    // Folios of private memory that page table entries map.
    ANON_FOLIO_RECHECK = "anon-folio-recheck" check in "do_anonymous_page" since Release::v(6, 8), commit "19eaf44954df" =>
        "A page fault that maps several pages reads their entries again under the PTE lock, because another thread may have filled one of them in the meantime.";
    SWAPIN_FOLIO_RECHECK = "swapin-folio-recheck" check in "do_swap_page" since Release::v(6, 12), commit "242d12c98174" =>
        "A fault that reads several pages from swap looks under the PTE lock whether each entry still names its slot, because others may have changed one of them in the meantime.";

    // Page tables that are empty.
    PT_RECLAIM_RECHECK = "pt-reclaim-recheck" check in "try_to_free_pte" since Release::v(6, 14), commit "6375e95f381e" =>
        "MADV_DONTNEED frees a page table only if all its entries are empty under its lock, because a fault may have filled one while the lock was let go of.";
    // Tags of the page cache.
    WRITEBACK_KEEPS_DIRTY_TAG = "writeback-keeps-dirty-tag" check in "test_set_page_writeback" since Release::v26(12) =>
        "A page that begins to be written keeps the tag of dirty pages if it has become dirty again since it was made clean for that, because fsync() finds dirty pages by their tag.";

    // Huge pages of the pool.
    HUGE_PMD_UNSHARE_SYNC = "huge-pmd-unshare-sync" order in "huge_pmd_unshare" since Release::v(6, 16), commit "1013af4f585f", cve "CVE-2025-38085" =>
        "An address space that gives up a shared table waits for lockless walkers first, because the table may become an ordinary one of another process.";
    UNSHARE_FLUSH = "unshare-flush" order in "__unmap_hugepage_range" since Release::v(5, 16), commit "a4a118f2eead", cve "CVE-2021-4002" =>
        "Translations are flushed before the lock of the file's mappings is let go of if a shared table was given up, because the pages behind it may be freed by the others.";
    HUGETLB_CHANGE_FLUSH = "hugetlb-change-flush" order in "hugetlb_change_protection" since Release::v26(16) =>
        "After mprotect() has changed entries of huge pages, the translations that allow more are flushed.";
    HUGETLB_FAULT_MUTEX = "hugetlb-fault-mutex" order in "hugetlb_fault" since Release::v26(17), commit "3935baa9bcda" =>
        "Two faults never fill one huge page of a file at the same time, because one of them would find the pool empty although a page is set aside.";
    HUGETLB_FAULT_PTE_SAME = "hugetlb-fault-pte-same" check in "hugetlb_fault" since Release::v26(15) =>
        "A fault reads the entry of a huge page again under its lock, because it may have been unmapped or replaced in the meantime.";
    HUGETLB_NO_PAGE_RECHECK = "hugetlb-no-page-recheck" check in "hugetlb_no_page" since Release::v26(12) =>
        "A fault maps a huge page only if the entry is still empty, because another may have been mapped in the meantime.";
    HUGETLB_WP_PTE_SAME = "hugetlb-wp-pte-same" check in "hugetlb_wp" since Release::v26(16) =>
        "The copy of a huge page is mapped only if the entry still maps the page that was copied.";
    HUGETLB_REMOVE_UNMAP = "hugetlb-remove-unmap" check in "remove_inode_single_folio" since Release::v(4, 3) =>
        "A huge page that leaves its file is unmapped once more, because a fault may have mapped it since the mappings of the file were gone through.";
    FORK_COPIES_PINNED_HUGETLB = "fork-copies-pinned-hugetlb" check in "copy_hugetlb_page_range" since Release::v(5, 12), commit "4eae4efa2c29" =>
        "Fork copies a pinned huge page of the pool for the child at once, so that the page that the device uses stays the parent's.";
    FOLLOW_HUGE_PMD_LOCK = "follow-huge-pmd-lock" order in "follow_huge_pmd" since Release::v(4, 0), commit "e66f17ff7177" =>
        "The lock of the entry is held from the look at it to the reference, because the page may be moved, and freed, between the two.";
    FOLLOW_HUGE_PMD_PRESENT = "follow-huge-pmd-present" check in "follow_huge_pmd" since Release::v(4, 11), commit "c9d398fa2378" =>
        "Whether an entry maps a huge page is asked of the entry that was read under the lock, because it may say by now that the page is being moved.";
    FOLLOW_HUGETLB_LOCK = "follow-hugetlb-lock" order in "follow_hugetlb_page" since Release::v(6, 2), commit "eefc7fa53608" =>
        "Whoever looks for the table of a huge page, as GUP does, locks the mapping first, because the table may be unshared, and be another process's, before its lock is taken.";
    GIGANTIC_FREEZE_TAILS = "gigantic-freeze-tails" check in "prep_compound_gigantic_folio" since Release::v(5, 14), commit "7118fc2906e2" =>
        "Frames become a gigantic page only if nobody else has a reference to one of them, because a lockless walker would give it back to what the frame is then.";
    // UFFDIO_MOVE.
    UFFD_MOVE_RECHECK = "uffd-move-recheck" check in "move_pages" since Release::v(6, 8), commit "adef440691ba" =>
        "UFFDIO_MOVE looks at both entries again under the locks of both tables, because others may have changed one of them since it looked at it.";
    UFFD_MOVE_EXCLUSIVE = "uffd-move-exclusive" check in "move_pages" since Release::v(6, 8), commit "adef440691ba" =>
        "A page is moved by UFFDIO_MOVE only if it belongs to this address space alone, because the new entry allows writes.";
    UFFD_MOVE_PIN_RECHECK = "uffd-move-pin-recheck" check in "move_present_pte" since Release::v(6, 8), commit "adef440691ba" =>
        "When the old entry is empty UFFDIO_MOVE asks once more whether the page is pinned, because lockless GUP takes pins as long as the entry is there.";
    UFFD_MOVE_HUGE_PIN_RECHECK = "uffd-move-huge-pin-recheck" check in "move_pages_huge_pmd" since Release::v(6, 8), commit "adef440691ba" =>
        "When the old entry of a huge page is empty UFFDIO_MOVE asks once more whether the page is pinned, because lockless GUP takes pins as long as the entry is there.";
    UFFD_MOVE_INDEX_LAST = "uffd-move-index-last" order in "move_present_pte" since Release::v(6, 8), commit "d7a08838ab74" =>
        "A page says that it is at its new place only when nothing can stop UFFDIO_MOVE any more, because it would stay at the old place where nobody finds it.";
    UFFD_MOVE_FLUSH_LOCKED = "uffd-move-flush-locked" order in "move_present_pte" since Release::v(6, 8), commit "adef440691ba" =>
        "UFFDIO_MOVE flushes the old place before it lets go of the PTE locks, because whoever unmaps the page at its new place flushes only there.";
    ANON_VMA_MOVED_RECHECK = "anon-vma-moved-recheck" check in "page_lock_anon_vma_read" since Release::v(6, 8), commit "880a99b60d46" =>
        "Whoever has locked the anon_vma of a page asks once more whether the page hangs on it, because UFFDIO_MOVE lets a page hang on another one while it is mapped.";
    UFFD_MOVE_CACHE_LOOKUP = "uffd-move-cache-lookup" order in "move_pages_pte" since Release::v(6, 14), commit "c50f8e6053b0" =>
        "If the swap cache has the page of an entry that UFFDIO_MOVE moves, then the page is moved as well, because a fault at the new place maps it.";
    UFFD_MOVE_CACHE_SAME = "uffd-move-cache-same" check in "move_swap_pte" since Release::v(6, 16), commit "0ea148a79919" =>
        "UFFDIO_MOVE asks whether the page that it found in the swap cache still is the slot's when it has the page locked, because the page may have left the cache meanwhile.";
    UFFD_MOVE_CACHE_RECHECK = "uffd-move-cache-recheck" check in "move_swap_pte" since Release::v(6, 16), commit "0ea148a79919" =>
        "If the swap cache had no page, UFFDIO_MOVE asks it once more under the PTE locks, because the page may have come back and gone to the same slot meanwhile.";
    // Blocks of a device.
    MREMAP_PMD_DEVMAP = "mremap-pmd-devmap" check in "move_page_tables" since Release::v(5, 8), commit "5bfea2d9b17f", cve "CVE-2020-10757" =>
        "A PMD entry that maps blocks of a device is not moved as one that leads to a page table, because the bytes of a file would be taken for entries.";
    DAX_BREAK_LAYOUTS = "dax-break-layouts" order in "dax_break_layout" since Release::v(4, 18), commit "5fac7408d828" =>
        "Before a file on a device gives up a block, it is unmapped, and whoever has got a reference to it is waited for, because the block is another file's soon.";
    DAX_EVICT_WAITS = "dax-evict-waits" order in "dax_evict_inode" since Release::v(6, 15), commit "0e2f80afcfa6" =>
        "When a file on a device ends, whoever still has a reference to one of its blocks is waited for.";
    PGMAP_FINAL_PUT = "pgmap-final-put" order in "memunmap_pages" since Release::v(5, 2), commit "50f44ee7248a" =>
        "The descriptors of a device's pages go only after the last reference to its map was put.";
    UNBIND_UNMAPS = "unbind-unmaps" order in "unbind_store" since Release::v(6, 8), commit "fa422b353d21" =>
        "Before a device goes, its blocks are unmapped, because an entry would lead to a page that has no descriptor.";
    // Mappings of huge pages of the pool that become two.
    HUGETLB_SPLIT_UNSHARE = "hugetlb-split-unshare" order in "hugetlb_vm_op_split" since Release::v(6, 2), commit "b30c14cd6102" =>
        "Before a mapping of huge pages is cut within what a table translates, the table is unshared, because neither part may share it.";
    HUGETLB_SPLIT_LOCKED = "hugetlb-split-locked" order in "hugetlb_split" since Release::v(6, 16), commit "081056dc00a2", cve "CVE-2025-38084" =>
        "When a table is unshared for a split, the mapping and the mappings of its file stay locked until the mapping is two, because a fault would share the table again.";
    // Memory that is broken.
    HWPOISON_TEST_SET = "hwpoison-test-set" check in "memory_failure" since Release::v26(32), commit "6a46079cf57a" =>
        "Of two who say that the memory of a page is broken only the first deals with it, because each would keep a reference, and take the page away from those who have it.";
    HWPOISON_KEEPS_REFERENCE = "hwpoison-keeps-reference" design in "madvise_inject_error" since Release::v(5, 11), commit "1e8aaedb182d" =>
        "MADV_HWPOISON keeps the reference by which it found a page until memory_failure() has dealt with it, because the frame may be somebody else's otherwise.";
    HWPOISON_PUTS_AGAIN = "hwpoison-puts-again" order in "memory_failure" since Release::v(5, 19) =>
        "If the memory of a page is known to be broken already, then memory_failure() puts the reference that it was handed.";
    HWPOISON_CHECK_REFCOUNT = "hwpoison-check-refcount" check in "page_action" since Release::v26(32), commit "6a46079cf57a" =>
        "A page counts as dealt with only if nobody but memory_failure() has a reference to it, because a device may go on to use the memory.";
    HWPOISON_WAIT_WRITEBACK = "hwpoison-wait-writeback" order in "memory_failure" since Release::v26(32), commit "6a46079cf57a" =>
        "A page that a device is writing leaves its file only when that is done.";
    SWAPIN_HWPOISON = "swapin-hwpoison" check in "do_swap_page" since Release::v26(32), commit "d1737fdbec7f" =>
        "A fault does not map a page of the swap cache whose memory is broken.";
    UNUSE_HWPOISON = "unuse-hwpoison" check in "unuse_pte" since Release::v(5, 19), commit "9f186f9e5fa9" =>
        "When the swap area is given up, a page of the swap cache whose memory is broken is not mapped.";
    SPLIT_ZEROES_HWPOISON = "split-zeroes-hwpoison" check in "try_to_map_unused_to_zeropage" since Release::v(6, 18), commit "841a8bfcbad9" =>
        "A split that looks for pages full of zeroes does not read a page whose memory is broken, because the machine would stop.";
    FAULT_HWPOISON = "fault-hwpoison" check in "__do_fault" since Release::v26(32), commit "a3b947eacfe7" =>
        "A fault does not map a page of a file whose memory is broken.";
    FAULT_AROUND_HWPOISON = "fault-around-hwpoison" check in "filemap_map_pages" since Release::v(3, 15), commit "f1820361f83d" =>
        "Whoever maps what a file has around an address passes over pages whose memory is broken.";
    CHECK_NEW_PAGE_HWPOISON = "check-new-page-hwpoison" check in "prep_new_page" since Release::v26(32), commit "2a7684a23e9c" =>
        "The allocator passes over a free frame whose memory is broken.";
    // A device that is mapped by itself.
    DEV_DAX_MAY_SPLIT = "dev-dax-may-split" check in "__split_vma" since Release::v(4, 15) =>
        "A mapping of a device becomes two only where one PUD entry ends, because no entry may lie in two mappings.";
    DAX_READ_LOCK = "dax-read-lock" order in "__dev_dax_pud_fault" since Release::v(4, 11) =>
        "A fault that has found a device alive is waited for before the device is unmapped, because it would set an entry that nobody clears.";
    KILL_DEV_DAX_UNMAPS = "kill-dev-dax-unmaps" order in "unbind_store" since Release::v(4, 11) =>
        "Before a device goes that is mapped by itself, it is unmapped, because its memory may be another driver's next.";
    CHANGE_PUD_LEAF = "change-pud-leaf" check in "change_protection_range" since Release::v(6, 12), commit "cb0f01beb166" =>
        "Who changes the protection of a range asks whether a PUD entry maps memory, because he would take the entry for a bad one, and empty it without a flush.";
    // Broken memory in huge pages of the pool.
    HUGETLB_NO_PAGE_HWPOISON = "hugetlb-no-page-hwpoison" check in "hugetlb_no_page" since Release::v26(36) =>
        "A fault does not map a huge page of a file whose memory is broken, because only those entries say so that mapped it.";
    FORK_HUGETLB_HWPOISON = "fork-hugetlb-hwpoison" check in "copy_hugetlb_page_range" since Release::v(3, 16), commit "4a705fef9862" =>
        "Fork copies an entry that says that the memory of a huge page is broken as it is, because it leads to no page.";
    CHANGE_HUGETLB_HWPOISON = "change-hugetlb-hwpoison" check in "hugetlb_change_protection" since Release::v(4, 0) =>
        "A change of protection leaves an entry alone that says that the memory of a huge page is broken, because it would map whatever its bits make.";
    UNMAP_HUGETLB_HWPOISON = "unmap-hugetlb-hwpoison" check in "__unmap_hugepage_range" since Release::v26(36) =>
        "An unmapping only empties an entry that says that the memory of a huge page is broken, because whoever made it say so has put the reference.";
    HUGETLB_DEQUEUE_HWPOISON = "hugetlb-dequeue-hwpoison" check in "alloc_hugetlb_folio" since Release::v(4, 13), commit "243abd5b7803" =>
        "A fault does not take a free huge page that is marked as broken, because it may have come back to the pool after memory_failure() was done with it.";
    HUGETLB_DISSOLVE_FREED = "hugetlb-dissolve-freed" check in "dissolve_free_hugetlb_folio" since Release::v(5, 11), commit "7ffddd499ba6" =>
        "A huge page leaves the pool only if it is on the free list, because whoever has put the last reference to it is about to put it there.";
    HUGETLB_RAW_HWPOISON = "hugetlb-raw-hwpoison" order in "folio_clear_hugetlb_hwpoison" since Release::v(6, 0), commit "161df60e9e89" =>
        "Which page of a huge page is broken is remembered by itself, because the others can be used when the huge page leaves the pool, and that one cannot.";
    HWPOISON_HUGETLB_LOCK = "hwpoison-hugetlb-lock" order in "get_huge_page_for_hwpoison" since Release::v(5, 18), commit "405ce051236c" =>
        "The pool is locked while memory_failure() looks at a huge page and marks it, because the huge page may leave the pool in between, and the mark comes to somebody else's page.";
    HWPOISON_PUTS_UNLOCKED = "hwpoison-puts-unlocked" order in "get_huge_page_for_hwpoison" since Release::v(7, 1), commit "3c2d42b8ee34" =>
        "The lock of the pool is let go of before memory_failure() puts a reference, because the last one takes the huge page back to the pool, which needs the lock.";
    MLOCK_TRYLOCK = "mlock-trylock" order in "follow_page_pte" since Release::v26(38), until Release::v(5, 18), guards [99] =>
        "Whoever faults pages of a locked mapping in does not wait for a page that somebody has locked, because the lock of the page table is held.";
    MLOCK_SKIPS_PARTS = "mlock-skips-parts" check in "follow_page_pte" since Release::v(4, 5), until Release::v(5, 18), commit "e90309c9f772", guards [98] =>
        "A huge page that small entries map is not marked as locked, because munlock() of a part does not know of the other parts.";
}
