//! The pools of huge pages that user code asks for by name: `struct hstate`, and what is kept beside the pages.

use std::collections::BTreeMap;

use sim_core::{MemoryBuilder, Object, RwSem, Shared, SpinLock};
use sim_mmu::{Geometry, Level, Pfn, VirtAddr};

use crate::mm_types::{MmId, Page, Vma};

/// For whom a huge page is set aside: `struct resv_map`. Nobody is the owner of what is set aside for a shared mapping: then it is the file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reservation {
    /// The slot of the file.
    pub(crate) file: u32,
    /// The address space whose private mapping it is for.
    pub(crate) owner: Option<MmId>,
    /// The first page of the file that the huge page will be.
    pub(crate) index: u64,
}

/// What was set aside, and whether the huge page has been taken since.
pub(crate) type Reservations = BTreeMap<Reservation, bool>;

/// A place where an entry of an address space leads to a shared table, or led there until a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) mm: MmId,
    /// The first address that the table translates there.
    pub(crate) start: VirtAddr,
    /// Whether the address space has given the table up. Processors may walk through it until the flush.
    pub(crate) given_up: bool,
}

/// The tables of PMD entries that several address spaces use, each with these places.
pub(crate) type SharedTables = BTreeMap<Pfn, Vec<Place>>;

/// `num_fault_mutexes`: how many faults in different huge pages can be under way at once.
const NUM_FAULT_MUTEXES: u64 = 8;

/// Of which size the pages of a pool are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePageSize {
    /// One PMD entry maps a page: 2 MiB with 512 entries a table.
    Huge,
    /// One PUD entry maps a page: 1 GiB.
    Gigantic,
}

impl HugePageSize {
    /// The level of the entries that map such a page.
    pub fn level(self) -> Level {
        match self {
            HugePageSize::Huge => Level::Pmd,
            HugePageSize::Gigantic => Level::Pud,
        }
    }

    /// `huge_page_order()`.
    pub(crate) fn order(self, geometry: Geometry) -> u8 {
        geometry.order(self.level())
    }

    /// `pages_per_huge_page()`.
    pub(crate) fn pages(self, geometry: Geometry) -> u64 {
        1 << self.order(geometry)
    }

    /// `address & huge_page_mask()`.
    pub(crate) fn base(self, geometry: Geometry, address: VirtAddr) -> VirtAddr {
        VirtAddr(address.0 & !(geometry.span(self.level()) - 1))
    }

    /// What the word of a file says that has pages of this size. A file that is none of hugetlbfs has 0.
    pub(crate) fn to_word(self) -> u64 {
        match self {
            HugePageSize::Huge => 1,
            HugePageSize::Gigantic => 2,
        }
    }

    /// What such a word says.
    pub(crate) fn of_word(word: u64) -> Option<HugePageSize> {
        [HugePageSize::Huge, HugePageSize::Gigantic].into_iter().find(|size| size.to_word() == word)
    }
}

/// `struct hstate`: the pages of one size.
pub(crate) struct Hstate {
    /// `hugepage_freelists`: the one that was freed last is at the end, and is taken first.
    pub(crate) freelist: Object<Vec<Page>>,
    /// `nr_huge_pages`: those of the pool, free or not.
    pub(crate) nr_huge_pages: Shared<u64>,
    /// `resv_huge_pages`: how many of the free ones are set aside.
    pub(crate) resv_huge_pages: Shared<u64>,
}

impl Hstate {
    fn new(memory: &mut MemoryBuilder, name: &str) -> Hstate {
        let word = |memory: &mut MemoryBuilder, field| Shared::at(memory.words(format!("{name}.{field}"), 1));
        Hstate {
            freelist: Object::new(memory, format!("{name}.hugepage_freelists"), Vec::new()),
            nr_huge_pages: word(memory, "nr_huge_pages"),
            resv_huge_pages: word(memory, "resv_huge_pages"),
        }
    }
}

/// The pools, and what they keep beside the pages.
pub(crate) struct Hugetlb {
    /// `hugetlb_lock`.
    pub(crate) lock: SpinLock,
    /// Pages that a PMD entry maps.
    pub(crate) huge: Hstate,
    /// Pages that a PUD entry maps.
    pub(crate) gigantic: Hstate,
    /// `resv_map`, of all files and mappings.
    pub(crate) reservations: Object<Reservations>,
    /// `hugetlb_fault_mutex_table`.
    fault_mutexes: Vec<RwSem>,
    /// `struct hugetlb_vma_lock`, by the slot of the mapping. Since v6.1.
    vma_locks: Vec<RwSem>,
    /// Who shares tables of PMD entries. Each change of it is made in the step that changes the entry which leads to the table.
    pub(crate) shared_tables: Object<SharedTables>,
}

impl Hugetlb {
    /// The pools of a machine with so many slots for mappings. They are empty.
    pub(crate) fn new(memory: &mut MemoryBuilder, vmas: usize) -> Hugetlb {
        let mutex = |n: u64| memory.alone(format!("hugetlb_fault_mutex_table[{n}]"));
        let fault_mutexes = (0..NUM_FAULT_MUTEXES).map(mutex).collect();
        let vma_locks = (0..vmas).map(|n| memory.alone(format!("vma[{n}].hugetlb_vma_lock"))).collect();
        Hugetlb {
            lock: memory.alone("hugetlb_lock".to_owned()),
            huge: Hstate::new(memory, "hstates[0]"),
            gigantic: Hstate::new(memory, "hstates[1]"),
            reservations: Object::new(memory, "resv_map", Reservations::new()),
            fault_mutexes,
            vma_locks,
            shared_tables: Object::new(memory, "pt_share_count", SharedTables::new()),
        }
    }

    /// The pool of the pages of a size.
    pub(crate) fn hstate(&self, size: HugePageSize) -> &Hstate {
        match size {
            HugePageSize::Huge => &self.huge,
            HugePageSize::Gigantic => &self.gigantic,
        }
    }

    /// `hugetlb_fault_mutex_hash()`: the mutex of a huge page of a file, which is the `nth` of it.
    pub(crate) fn fault_mutex(&self, file: usize, nth: u64) -> RwSem {
        self.fault_mutexes[((file as u64 + nth) % NUM_FAULT_MUTEXES) as usize]
    }

    /// The lock of a mapping.
    pub(crate) fn vma_lock(&self, vma: Vma) -> RwSem {
        self.vma_locks[vma.0.index()]
    }
}
