//! The kernel's memory management, file by file after `mm/*.c`.
//!
//! A routine can be read beside its C original: it has the same name and the same order of shared accesses. Routines follow
//! v5.0, and later designs are options ([`KernelConfig`]). Anonymous memory and files, in memory and on a disk, are modelled, private and shared, and
//! huge pages of private memory. Code that is not modelled is left out, and there are no stubs for it.

mod any_frame;
pub mod arch;
mod backing;
pub mod bare;
mod blkdev;
mod brk;
mod buddy;
mod check;
mod cpu;
mod dax;
mod dax_file;
mod dev_dax;
mod dev_pagemap;
mod entries;
mod errno;
mod event;
mod exec;
mod exit;
mod fault_inject;
mod file_table;
mod filemap;
mod folio;
mod folio_batch;
mod fork;
mod free_lists;
mod fs;
mod gfp;
mod highmem;
mod huge_memory;
mod huge_mm;
mod huge_pte;
mod hugetlb;
mod hugetlb_pool;
mod hugetlb_types;
mod hwpoison;
mod inode;
mod kernel;
mod kernel_config;
mod khugepaged;
mod ksm;
mod ksm_types;
mod kvm_main;
mod kvm_mmu;
mod kvm_notifier;
mod kvm_types;
mod machine_config;
mod madvise;
mod mem_map;
mod memfd;
mod memory;
mod memory_failure;
mod mempolicy;
mod memremap;
mod mfill;
mod migrate;
mod mincore;
mod miscount;
mod mlock;
mod mlock_page;
mod mlocked;
mod mm_inline;
mod mm_types;
mod mman;
mod mmap;
mod mmap_lock;
mod mmdrop;
mod mmu_gather;
mod mmu_notifier;
mod mmzone;
mod mpage;
mod mprotect;
mod mremap;
mod msync;
mod munlock;
mod oom_kill;
mod open;
mod page;
mod page_alloc;
mod page_flags;
mod page_io;
mod page_tags;
mod page_vma_mapped;
mod page_writeback;
mod pagemap;
mod pagevec;
mod pagewalk;
mod pgtable;
mod pgtable_3level;
mod pgtable_generic;
mod pgtable_huge;
mod pgtable_set;
mod pgtable_types;
mod pt_reclaim;
mod rcu;
mod rcu_batch;
mod read_write;
mod registry;
mod release;
mod remap_pfn;
mod rmap;
mod safeguard_use;
pub mod safeguards;
mod secretmem;
mod settings;
mod shmem;
mod shmem_fs;
mod signal;
mod signal_types;
mod smp;
mod smp_types;
mod stack;
mod swap;
mod swap_info;
mod swap_state;
mod swapfile;
mod swapops;
mod sync;
mod task_mmu;
mod tlb_types;
mod truncate;
mod uffd_move;
mod userfault;
mod userfaultfd;
mod vm_fault;
mod vm_flags;
mod vma;
mod vmalloc;
mod vmscan;
mod vmscan_disk;

pub use arch::pkeys::{PkeyRights, arch_vma_access_permitted, pkey_set, sys_pkey_alloc, sys_pkey_free};
pub use arch::vsyscall::in_gate_area;
pub use brk::sys_brk;
pub use check::{Mapping, Reach};
pub use dax_file::{sys_open_dax, unbind_store};
pub use dev_dax::sys_open_dev_dax;
pub use entries::{Entries, entries};
pub use errno::Errno;
pub use event::{Event, FrameUse, Order, RefChange, SharedPage, Sharing};
pub use exec::sys_execve;
pub use exit::do_exit;
pub use folio::{is_large, page_is_anon, page_is_anon_now};
pub use fork::{get_task_mm, mm_access, put_task_mm, schedule_idle, start_task_in, sys_fork, sys_vfork};
pub use fs::{FMode, Inode, InodeWords};
pub use gfp::Gfp;
pub use huge_memory::{is_huge_zero_pmd, split_huge_page, split_huge_pmd, touch_pmd};
pub use huge_mm::{Orders, allows_large_folios, has_block, is_file_aligned};
pub use huge_pte::{HugePte, HugePtep, huge_migration, huge_pte_lock};
pub use hugetlb::{HugetlbWalk, follow_huge_pmd, hugetlb_walk_locked, is_vm_hugetlb_page, sys_nr_hugepages};
pub use hugetlb_types::HugePageSize;
pub use inode::vma_is_fsdax;
pub use kernel::{Cpu, GupCalls, Kernel, Observer};
pub use kernel_config::KernelConfig;
pub use khugepaged::khugepaged_scan_mm_slot;
pub use ksm::{break_cow, ksm_do_scan, page_is_ksm, prctl_set_memory_merge};
pub use kvm_main::kvm_create_vm;
pub use kvm_mmu::{FaultBegun, GuestPage, kvm_fault_begins, kvm_guest_access, kvm_tdp_mmu_map};
pub use machine_config::MachineConfig;
pub use madvise::{Advice, madvise_dontneed, sys_madvise};
pub use memfd::{Memfd, sys_close, sys_memfd_create};
pub use memory::handle_mm_fault;
pub use mempolicy::task_numa_work;
pub use memremap::{Pgmap, get_dev_pagemap, put_dev_pagemap};
pub use mfill::{Fill, Wake, mfill_atomic, mwriteprotect_range};
pub use migrate::{
    LongtermPages, MigrateMode, MovePages, PageStatus, compact_page, migrate_vma, migration_entry_wait,
    pmd_migration_entry_wait, sys_move_pages,
};
pub use mincore::sys_mincore;
pub use miscount::Miscount;
pub use mlock::{Lock, sys_mlock, sys_munlock};
pub use mlock_page::mlock_followed;
pub use mlocked::marks_mlocked;
pub use mm_types::{MmId, MmStruct, Page, Vma, VmaSnapshot};
pub use mman::{MapFlags, MremapFlags, MsFlags, Prot};
pub use mmap::{Mmap, find_vma, sys_mmap, sys_munmap, vma_lookup};
pub use mmap_lock::{MmapLock, MmapWriteHeld, VmaReadHeld};
pub use mmu_notifier::mm_has_notifiers;
pub use mmzone::{FIRST_HIGH_FRAME, MemMap};
pub use mprotect::{sys_mprotect, sys_pkey_mprotect};
pub use mremap::{Mremap, sys_mremap};
pub use msync::sys_msync;
pub use oom_kill::oom_reap_task;
pub use open::{Open, sys_fadvise_dontneed, sys_ftruncate, sys_open, sys_punch_hole};
pub use page::{
    __free_pages, GUP_PIN_COUNTING_BIAS, add_pins, compound_head, get_page, is_overflowing, lock_page,
    page_cache_add_speculative, page_cache_get_speculative, page_count, pin_references, put_page, put_page_refs,
    set_page_dirty_no_writeback, set_page_referenced, try_get_page, unlock_page, unpin_folio, unpin_user_page,
};
pub use page_alloc::{alloc_pages, compound_order};
pub use page_flags::PageFlags;
pub use page_tags::set_page_dirty;
pub use page_writeback::set_page_dirty_lock;
pub use pagemap::{Backed, folio_backing};
pub use pgtable::{EntryPtr, P4d, P4dp, Pgd, Pgdp, Pmd, Pmdp, Pte, Ptep, Pud, Pudp, TablePtr, pgd_offset};
pub use pgtable::{PAGE_PROTNONE, is_pte_present};
pub use pgtable_3level::ptep_get_lockless;
pub use pgtable_generic::{is_unlinked, look_at_pte};
pub use pgtable_huge::part_of_huge;
pub use read_write::{sys_pread, sys_pwrite, sys_pwrite_from};
pub use registry::Catalogue;
pub use registry::safeguard::{Arch, Facts, Safeguard, SafeguardSet, Shape};
pub use registry::setting::{Choices, Group, Implied, Knob, Setting, SettingFacts, Settings, ValueFacts};
pub use release::{NotARelease, Release};
pub use remap_pfn::{Driver, driver_mmap, driver_release};
pub use rmap::page_anon_exclusive;
pub use rmap::types::{AnonVma, AnonVmaWords, Avc};
pub use safeguard_use::SafeguardUse;
pub use safeguards::SAFEGUARDS;
pub use secretmem::{page_is_secretmem, sys_memfd_secret, vma_is_secretmem};
pub use settings::{
    AllocFailures, AnonOrders, AnonVmaReuse, AsidSlots, ClearRefsFlush, CollapsePages, CollapseReadOnly,
    CowFreesSwap, CowReuse, Dax, DaxMixedMap, DaxPages, DebugVm, DeferredSplit, Disk, DiskErrors,
    FaultAroundFolio, FileThp, FileThpMappings, Flush, FlushBatch, GatherBatch, GiganticMigration, GuardMark,
    HugeCow, HugeReuse, HugeZeroCount, HugetlbDontneed, HugetlbForce, HugetlbFork, HugetlbLock, HugetlbPool,
    HugetlbUnshareFlush, HwAd, HwpoisonAgain, HwpoisonFree, HwpoisonGigantic, HwpoisonHugetlb,
    HwpoisonHugetlbFile, HwpoisonHugetlbGup, HwpoisonInject, HwpoisonShmem, HwpoisonThp, HwpoisonUnmap,
    InvlpgGlobal, KsmFlag, KsmRun, LargeMapcount, LazyFlush, LazyTlb, LruBatch, MadvRemove, MadviseLarge,
    MadviseLock, MemoryFailure, MemoryFailureLock, MemoryMap, MemoryOrder, MergeFailure, MigrateCopy,
    MigrateFlush, Migration, MigrationAd, MigrationWait, Mlock, MlockLarge, MmCpumask, MovableZone, MovePagesLook,
    MprotectUncount, MprotectUpgrade, MremapDontunmap, MremapExtend, MremapTables, MremapTarget, MunmapLock,
    Nodes, NumaMove, NumaWrite, PageAlloc, Pcid, PgmapPages, PinCount, Pkeys, Preempt, PtReclaim, PteRead,
    RcuFlavor, ReclaimDirtyFile, ReclaimSplit, Retract, SETTINGS, Secretmem, SecretmemCheck, SetPmdAsks,
    SharedWriteFault, ShmemMapFolio, ShmemOrders, ShmemOrdersWhere, ShmemSwap, ShmemSwapin, ShmemThp,
    ShmemWriteHuge, SoftDirty, SoftDirtyMerge, SpeculativeWalk, SplitPmdFolio, SplitUnmapBug, SplitZeroes,
    StackGrowth, Swap, SwapReuse, SwapinLarge, SwapinWritable, SyncTag, TableFree, TableOne, Thp, ThpMigration,
    ThpSwap, TruncateHuge, UffdFillDirty, UffdWpNotify, UnmapDrain, VmaLock, VmaMerge, Vsyscall, ZeroThp,
    never_built,
};
pub use signal::{can_be_killed, fatal_signal_pending, get_signal, sleep_until_killed};
pub use stack::find_extend_vma;
pub use swap::{lru_add_drain, mark_page_accessed};
pub use swapfile::sys_swapoff;
pub use swapops::{HwpoisonEntry, MigrationEntry, MigrationKind, SwpEntry, is_guard, pte_swp_soft_dirty};
pub use sync::{sys_fsync, writeback_single_inode};
pub use task_mmu::clear_refs_write;
pub use uffd_move::userfaultfd_move;
pub use userfault::UffdMode;
pub use userfaultfd::{userfaultfd_read, userfaultfd_register, userfaultfd_wake};
pub use vm_fault::{FaultFlags, MmFault, VmFault, VmFaultError};
pub use vm_flags::{SMAPS_CODES, VmFlags};
pub use vmalloc::{access_vmalloc, kernel_pte, vfree, vmalloc};
pub use vmscan::{Spare, shrink_active_list, shrink_inactive_list};

/// What sim-mm itself has of safeguards and settings.
pub const CATALOGUE: Catalogue = Catalogue::new(&[SAFEGUARDS], &[SETTINGS]);
