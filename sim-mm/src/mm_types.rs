//! Pages, mappings and address spaces: `include/linux/mm_types.h`.

use sim_core::{MemoryBuilder, Object, Ref, RwSem, SeqCount, Shared, Slab, SpinLock, record};
use sim_mmu::{Pfn, VirtAddr};

use crate::fs::Inode;
use crate::kvm_types::Kvm;
use crate::page_flags::{PageFlags, PageType};
use crate::rmap::types::{AnonVma, Avc};
use crate::userfault::Userfault;
use crate::vm_flags::VmFlags;

/// A page descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(pub Pfn);

record! {
    /// `struct page`: each field is a word of its own, where C lays several over each other.
    pub struct PageDescriptor {
        /// `_refcount`.
        pub refcount: Shared<u64> = "_refcount";
        /// `_mapcount`: the page table entries that map this page, counted from 0, without the kernel's -1.
        pub mapcount: Shared<u64> = "_mapcount";
        /// `flags`: see [`PageFlags`].
        pub flags: Shared<PageFlags> = "flags";
        /// `compound_head` of a tail page: one more than the head's frame number; zero otherwise.
        pub compound_head: Shared<u64> = "compound_head";
        /// `ptl` of a page that is a table: guards the table's entries.
        pub ptl: SpinLock = "ptl";
        /// `mapping`: what the page belongs to.
        pub mapping: Shared<u64> = "mapping";
        /// `index`: where in it.
        pub index: Shared<u64> = "index";
        /// `private`.
        pub private: Shared<u64> = "private";
        /// `lru.next`: the page behind this one on its list, as one more than its frame number.
        pub lru: Shared<u64> = "lru";
        /// `lru.prev`: the page before this one.
        pub lru_prev: Shared<u64> = "lru.prev";
        /// `compound_order` of a head page.
        pub compound_order: Shared<u64> = "compound_order";
        /// `compound_mapcount` of a head page, `_entire_mapcount` since v6.0: the entries that map all of it.
        pub entire_mapcount: Shared<u64> = "_entire_mapcount";
        /// `compound_pincount` of a head page, `_pincount` since v5.18: references by `pin_user_pages()`.
        pub pincount: Shared<u64> = "_pincount";
        /// `_large_mapcount` of a head page: the entries that map any of it. Since v6.9.
        pub(crate) large_mapcount: Shared<u64> = "_large_mapcount";
        /// `_mm_id` of a head page: the two address spaces whose entries are counted, and whether there may be others. Since v6.15.
        pub(crate) mm_ids: Shared<u64> = "_mm_id";
        /// `_mm_id_mapcount` of a head page: the entries of each of the two.
        pub(crate) mm_id_mapcounts: Shared<u64> = "_mm_id_mapcount";
        /// `_deferred_list` of a head page: whether the folio is on the queue of those to be split.
        pub(crate) deferred: Shared<bool> = "_deferred_list";
        /// `pt_share_count` of a table of PMD entries: in how many more places it is used than one. Before v6.13 the reference count says so.
        pub(crate) pt_share_count: Shared<u64> = "pt_share_count";
        /// `page_type`: what the frame is to the allocator.
        pub(crate) page_type: Shared<PageType> = "page_type";
        /// How often the page has come to a list of reclaim, or to the allocator, on a machine with the zone MOVABLE. Linux counts nothing of the kind: who waits
        /// for that looks again and again.
        pub(crate) arrivals: Shared<u64> = "arrivals";
    }
}

record! {
    /// The words of a mapping.
    pub(crate) struct VmArea {
        pub(crate) vm_start: Shared<VirtAddr> = "vm_start";
        pub(crate) vm_end: Shared<VirtAddr> = "vm_end";
        pub(crate) vm_flags: Shared<VmFlags> = "vm_flags";
        /// The page of the file that it begins with; of private anonymous memory, of the address space.
        pub(crate) vm_pgoff: Shared<u64> = "vm_pgoff";
        /// `anon_vma`: none until the first page of its own is faulted in.
        pub(crate) anon_vma: Shared<Option<AnonVma>> = "anon_vma";
        /// `vm_file`: of shared memory, the file behind it.
        pub(crate) vm_file: Shared<Option<Inode>> = "vm_file";
        /// `vm_mm`: the address space that it belongs to, as one more than its number.
        pub(crate) vm_mm: Shared<u64> = "vm_mm";
        /// The faults that hold its lock: the readers of `vm_lock`, `vm_refcnt` since v6.15.
        pub(crate) vm_readers: Shared<u64> = "vm_refcnt";
        /// Whether somebody waits for those faults, so that no further one comes in.
        pub(crate) vm_writer: Shared<bool> = "vm_lock.writer";
        /// `vm_lock_seq`: locked for writing as long as it is its address space's `mm_lock_seq`.
        pub(crate) vm_lock_seq: Shared<u64> = "vm_lock_seq";
        /// Whether it is in the tree; `detached` before v6.15 said the opposite.
        pub(crate) attached: Shared<bool> = "attached";
    }
}

/// The huge page of zeroes.
#[derive(Clone, Copy)]
pub(crate) struct HugeZero {
    /// `huge_zero_page`: one more than its first frame; zero if there is none.
    pub(crate) page: Shared<u64>,
    /// `huge_zero_refcount`: those who keep it, and one for the shrinker.
    pub(crate) refcount: Shared<u64>,
}

/// `struct deferred_split`: the queue of folios that are to be split. Which these are their descriptors say.
#[derive(Clone, Copy)]
pub(crate) struct SplitQueue {
    /// `split_queue_lock`.
    pub(crate) lock: SpinLock,
    /// `split_queue_len`.
    pub(crate) len: Shared<u64>,
}

/// A pointer to a mapping: `struct vm_area_struct *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vma(pub(crate) Ref<VmArea>);

/// What a mapping says at one moment, for those who only look: pages `start` up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmaSnapshot {
    /// `vm_start`.
    pub start: VirtAddr,
    /// `vm_end`.
    pub end: VirtAddr,
    /// `vm_flags`.
    pub flags: VmFlags,
    /// `vm_pgoff`.
    pub pgoff: u64,
    /// `anon_vma`.
    pub anon_vma: Option<AnonVma>,
    /// `vm_file`.
    pub file: Option<Inode>,
}

/// The number of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MmId(pub u8);

impl MmId {
    /// The address space that a word names; zero is `init_mm`.
    pub(crate) fn from_word(word: u64) -> Option<MmId> {
        word.checked_sub(1).map(|id| MmId(id as u8))
    }

    /// The word that names the address space.
    pub(crate) fn into_word(id: Option<MmId>) -> u64 {
        id.map_or(0, |id| u64::from(id.0) + 1)
    }
}

record! {
    /// The words of an address space.
    pub(crate) struct MmWords {
        pgd: Shared<Pfn> = "pgd";
        mm_users: Shared<u64> = "mm_users";
        /// `mm_count`: one for all users together, and one for each CPU that has it loaded and uses it no more.
        mm_count: Shared<u64> = "mm_count";
        cpumask: Shared<u64> = "cpumask";
        tlb_gen: Shared<u64> = "tlb_gen";
        tlb_flush_pending: Shared<u64> = "tlb_flush_pending";
        /// `MMF_HAS_PINNED`: some page was pinned through this address space once.
        has_pinned: Shared<bool> = "has_pinned";
        /// `write_protect_seq`: odd while fork write-protects entries.
        write_protect_seq: SeqCount = "write_protect_seq";
        start_brk: Shared<VirtAddr> = "start_brk";
        brk: Shared<VirtAddr> = "brk";
        page_table_lock: SpinLock = "page_table_lock";
        /// `MMF_UNSTABLE`: the OOM reaper takes the memory, so what was there must not be taken for empty.
        unstable: Shared<bool> = "unstable";
        /// `mm_lock_seq`: counts the times that `mmap_lock` was held for writing, from 1 on.
        mm_lock_seq: Shared<u64> = "mm_lock_seq";
        /// `fd_wqh` of its `userfaultfd`: whether there may be a fault that nobody has read yet.
        fd_ready: Shared<bool> = "fd_wqh";
        /// `UFFD_FEATURE_WP_UNPOPULATED` of its `userfaultfd`: pages of anonymous memory that are not there can be write-protected.
        uffd_wp_unpopulated: Shared<bool> = "uffd_wp_unpopulated";
        /// `MMF_VM_MERGE_ANY`: equal pages of all mappings may be merged.
        merge_any: Shared<bool> = "merge_any";
        /// `vma_writer_wait`: whom the last fault that lets go of a mapping wakes up. Since v6.15.
        vma_writer_wait: Shared<u64> = "vma_writer_wait";
        /// `tlb_flush_batched`: flushes that reclaim owes. A flag before v5.17, two counts since.
        tlb_flush_batched: Shared<u64> = "tlb_flush_batched";
        /// `MMF_HUGE_ZERO_PAGE`: the address space keeps the huge page of zeroes. Since v4.9.
        huge_zero: Shared<bool> = "huge_zero";
        /// `notifier_subscriptions`: whether a secondary MMU is told of what becomes of entries.
        notifier_subscriptions: Shared<bool> = "notifier_subscriptions";
    }
}

/// `struct mm_struct`.
#[derive(Debug)]
pub struct MmStruct {
    /// Which it is.
    pub id: MmId,
    words: MmWords,
    /// `mmap_sem`, renamed `mmap_lock` in v5.8.
    pub mmap_lock: RwSem,
    /// The mappings, in order: `mm_rb` and `mmap`.
    pub(crate) vmas: Object<Vec<Vma>>,
    /// `anon_vma_chain` of all mappings: which mapping hangs on which `anon_vma`, the oldest first. Changed only
    /// with `mmap_lock` held for writing, or by the first fault of a mapping.
    pub(crate) anon_vma_chains: Object<Vec<Avc>>,
    /// `fault_pending_wqh` and `fault_wqh` of its `userfaultfd`: the faults that wait for user code.
    pub(crate) fault_wqh: Object<Vec<Userfault>>,
    /// The virtual machine that the process runs, if it does.
    pub(crate) kvm: Kvm,
}

impl MmStruct {
    pub(crate) fn new(memory: &mut MemoryBuilder, slab: Slab<MmWords>, id: MmId) -> MmStruct {
        let name = format!("mm{}", id.0);
        MmStruct {
            id,
            words: slab.record(usize::from(id.0)),
            mmap_lock: memory.alone(format!("{name}.mmap_lock")),
            vmas: Object::new(memory, format!("{name}.mm_rb"), Vec::new()),
            anon_vma_chains: Object::new(memory, format!("{name}.anon_vma_chain"), Vec::new()),
            fault_wqh: Object::new(memory, format!("{name}.fault_wqh"), Vec::new()),
            kvm: Kvm::new(memory, &name),
        }
    }

    /// `pgd`: the frame of the top-level table. Zero while the slot is unused.
    pub fn pgd(&self) -> Shared<Pfn> {
        self.words.pgd()
    }

    /// `mm_users`.
    pub fn mm_users(&self) -> Shared<u64> {
        self.words.mm_users()
    }

    /// `mm_count`: one for all users together, and one for each CPU that has it loaded and uses it no more.
    pub fn mm_count(&self) -> Shared<u64> {
        self.words.mm_count()
    }

    /// `mm_cpumask()`: the CPUs that may hold translations.
    pub fn cpumask(&self) -> Shared<u64> {
        self.words.cpumask()
    }

    /// `context.tlb_gen`: counts the flushes asked for.
    pub fn tlb_gen(&self) -> Shared<u64> {
        self.words.tlb_gen()
    }

    /// `tlb_flush_pending`: the gathers under way.
    pub fn tlb_flush_pending(&self) -> Shared<u64> {
        self.words.tlb_flush_pending()
    }

    /// `MMF_HAS_PINNED`, `has_pinned` before v5.15: some page was pinned through this address space once.
    pub fn has_pinned(&self) -> Shared<bool> {
        self.words.has_pinned()
    }

    /// `write_protect_seq`: odd while fork write-protects entries.
    pub fn write_protect_seq(&self) -> SeqCount {
        self.words.write_protect_seq()
    }

    /// `start_brk`: where the heap begins.
    pub fn start_brk(&self) -> Shared<VirtAddr> {
        self.words.start_brk()
    }

    /// `brk`: where the heap ends.
    pub fn brk(&self) -> Shared<VirtAddr> {
        self.words.brk()
    }

    /// `MMF_UNSTABLE`: the OOM reaper takes the memory, or has taken it.
    pub(crate) fn unstable(&self) -> Shared<bool> {
        self.words.unstable()
    }

    /// `mm_lock_seq`: a mapping whose `vm_lock_seq` it is, is locked for writing.
    pub(crate) fn mm_lock_seq(&self) -> Shared<u64> {
        self.words.mm_lock_seq()
    }

    /// `fd_wqh`.
    pub(crate) fn fd_ready(&self) -> Shared<bool> {
        self.words.fd_ready()
    }

    /// `UFFD_FEATURE_WP_UNPOPULATED`.
    pub(crate) fn uffd_wp_unpopulated(&self) -> Shared<bool> {
        self.words.uffd_wp_unpopulated()
    }

    /// `MMF_VM_MERGE_ANY`: equal pages of all mappings may be merged.
    pub(crate) fn merge_any(&self) -> Shared<bool> {
        self.words.merge_any()
    }

    /// `vma_writer_wait`.
    pub(crate) fn vma_writer_wait(&self) -> Shared<u64> {
        self.words.vma_writer_wait()
    }

    /// `tlb_flush_batched`.
    pub(crate) fn tlb_flush_batched(&self) -> Shared<u64> {
        self.words.tlb_flush_batched()
    }

    /// `MMF_HUGE_ZERO_PAGE`: the address space keeps the huge page of zeroes.
    pub(crate) fn huge_zero(&self) -> Shared<bool> {
        self.words.huge_zero()
    }

    /// `notifier_subscriptions`: whether a secondary MMU is told of what becomes of entries.
    pub(crate) fn notifier_subscriptions(&self) -> Shared<bool> {
        self.words.notifier_subscriptions()
    }

    /// `page_table_lock`: guards the entries above the PMD level.
    pub fn page_table_lock(&self) -> SpinLock {
        self.words.page_table_lock()
    }
}
