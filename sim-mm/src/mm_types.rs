//! Address spaces and their mappings: `include/linux/mm_types.h`.

use sim_core::{MemoryBuilder, Object, RwSem, Shared, Slab, SpinLock, Word, record};
use sim_mmu::Pfn;

use crate::vma::Vma;

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

/// `vm_flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmFlags(pub u32);

impl VmFlags {
    /// `VM_READ`.
    pub const READ: VmFlags = VmFlags(0x01);
    /// `VM_WRITE`.
    pub const WRITE: VmFlags = VmFlags(0x02);
    /// `VM_SHARED`.
    pub const SHARED: VmFlags = VmFlags(0x08);
    /// `VM_MAYREAD`.
    pub const MAYREAD: VmFlags = VmFlags(0x10);
    /// `VM_MAYWRITE`.
    pub const MAYWRITE: VmFlags = VmFlags(0x20);
    /// `VM_MAYEXEC`.
    pub const MAYEXEC: VmFlags = VmFlags(0x40);
    /// `VM_ACCOUNT`: the mapping counts as memory that is committed.
    pub const ACCOUNT: VmFlags = VmFlags(0x10_0000);
    /// `VM_IO | VM_PFNMAP`.
    pub const IO_OR_PFNMAP: VmFlags = VmFlags(0x4400);

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: VmFlags) -> VmFlags {
        VmFlags(self.0 | other.0)
    }

    /// Whether any flag of `flags` is set.
    pub const fn any(self, flags: VmFlags) -> bool {
        self.0 & flags.0 != 0
    }

    /// `is_cow_mapping()`: private, and may become writable.
    pub const fn is_cow_mapping(self) -> bool {
        self.0 & (Self::SHARED.0 | Self::MAYWRITE.0) == Self::MAYWRITE.0
    }
}

impl Word for VmFlags {
    fn into_word(self) -> u64 {
        u64::from(self.0)
    }
    fn from_word(word: u64) -> Self {
        VmFlags(word as u32)
    }
}

record! {
    /// The words of an address space.
    pub(crate) struct MmWords {
        pgd: Shared<Pfn> = "pgd";
        mm_users: Shared<u64> = "mm_users";
        cpumask: Shared<u64> = "cpumask";
        tlb_gen: Shared<u64> = "tlb_gen";
        tlb_flush_pending: Shared<u64> = "tlb_flush_pending";
        page_table_lock: SpinLock = "page_table_lock";
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
}

impl MmStruct {
    pub(crate) fn new(memory: &mut MemoryBuilder, slab: Slab<MmWords>, id: MmId) -> MmStruct {
        let name = format!("mm{}", id.0);
        MmStruct {
            id,
            words: slab.record(usize::from(id.0)),
            mmap_lock: memory.alone(format!("{name}.mmap_lock")),
            vmas: Object::new(memory, format!("{name}.mm_rb"), Vec::new()),
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

    /// `page_table_lock`: guards the entries above the PMD level.
    pub fn page_table_lock(&self) -> SpinLock {
        self.words.page_table_lock()
    }
}
