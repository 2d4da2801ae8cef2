//! Entries that map huge pages, whatever their level: `arch/x86/include/asm/pgtable.h`, and the `pte_t *` of `mm/hugetlb.c`.

use sim_core::Held;
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use crate::arch::pkeys::pkru_allows_pkey;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::pgtable::{EntryPtr, PAGE_PROTNONE, Pmd, Pmdp, Pud, Pudp, Slot, mapping_entries};
use crate::swapops::{HwpoisonEntry, MigrationEntry};

/// What is asked of an entry that may map a huge page: `pmd_leaf()` is [`Pmd::leaf`], and `pud_leaf()` is that of the [`HugePte`] which a PUD entry may be.
macro_rules! huge_entries {
    ($($value:ident)*) => {$(
        impl $value {
            /// `_leaf()`: it maps memory, and leads to no table.
            pub fn leaf(self) -> bool {
                self.entry.has(Entry::PAGE_SIZE)
            }

            /// `_trans_huge()`: it maps a huge page. Blocks of a device are none.
            pub fn trans_huge(self) -> bool {
                self.entry.0 & (Entry::PAGE_SIZE | Entry::DEVMAP) == Entry::PAGE_SIZE
            }

            /// Whether it maps all of a folio.
            pub(crate) fn maps(self, head: Page) -> bool {
                self.trans_huge() && self.pfn() == head.0
            }

            /// `is_pmd_migration_entry()`: the huge page that was mapped there is being moved.
            pub fn migration(self) -> Option<MigrationEntry> {
                huge_migration(self.entry)
            }

            /// `_page()` and the page of an address in it.
            pub fn page_of(self, cpu: Cpu<'_>, addr: VirtAddr) -> Page {
                let nth = (addr.0 & (cpu.mmu.geometry.span(self.level()) - 1)) / VirtAddr::PAGE_SIZE;
                Page(Pfn(self.pfn().0 + nth))
            }
        }
    )*};
}

huge_entries!(Pmd HugePte);

/// A pointer to an entry that maps a huge page, or may: a PMD entry, or a PUD entry for a page of 1 GiB. The code for both sizes is one, as `mm/hugetlb.c` has it with its `pte_t *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugePtep {
    slot: Slot,
    level: Level,
}

/// What a [`HugePtep`] points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugePte {
    /// Its bits.
    pub entry: Entry,
    level: Level,
}

impl EntryPtr for HugePtep {
    type Value = HugePte;

    fn slot(self) -> Slot {
        self.slot
    }

    fn level(self) -> Level {
        self.level
    }

    fn value(self, entry: Entry) -> HugePte {
        HugePte { entry, level: self.level }
    }
}

impl HugePtep {
    /// What the entry of an address maps: the first address, and the end.
    pub fn range(self, cpu: Cpu<'_>, addr: VirtAddr) -> (VirtAddr, VirtAddr) {
        let span = cpu.mmu.geometry.span(self.level);
        let start = VirtAddr(addr.0 & !(span - 1));
        (start, VirtAddr(start.0 + span))
    }
}

/// `huge_pte_lock()`, `pmd_lock()`, `pud_lock()`: a PMD entry has the lock of its table, and all PUD entries of an address space have one together.
pub async fn huge_pte_lock<'m>(cpu: Cpu<'m>, mm: &MmStruct, ptep: HugePtep) -> Held<'m> {
    let lock = match ptep.level {
        Level::Pmd => cpu.kernel.ptl(ptep.slot.table()),
        _ => mm.page_table_lock(),
    };
    cpu.lock(lock).await
}

impl From<Pmdp> for HugePtep {
    fn from(pmdp: Pmdp) -> HugePtep {
        HugePtep { slot: pmdp.slot(), level: Level::Pmd }
    }
}

impl From<Pudp> for HugePtep {
    fn from(pudp: Pudp) -> HugePtep {
        HugePtep { slot: pudp.slot(), level: Level::Pud }
    }
}

impl From<Pmd> for HugePte {
    fn from(pmd: Pmd) -> HugePte {
        HugePte { entry: pmd.entry, level: Level::Pmd }
    }
}

impl From<Pud> for HugePte {
    fn from(pud: Pud) -> HugePte {
        HugePte { entry: pud.entry, level: Level::Pud }
    }
}

mapping_entries!(HugePte);

impl HugePte {
    /// Of which level it is.
    pub fn level(self) -> Level {
        self.level
    }

    /// `is_hugetlb_entry_hwpoisoned()`: the memory of the page that was mapped there is broken.
    pub(crate) fn hwpoisoned(self) -> bool {
        HwpoisonEntry::of_pte(self.entry).is_some()
    }

    /// `huge_pte_none()`.
    pub fn none(self) -> bool {
        self.entry.is_none()
    }
}

impl Pmd {
    fn level(self) -> Level {
        Level::Pmd
    }
}

/// What a PMD entry says of a huge page that is being moved, if it does. An entry that maps one may look like that while it is invalid, but
/// for its size.
pub fn huge_migration(entry: Entry) -> Option<MigrationEntry> {
    MigrationEntry::of_pte(entry).filter(|_| !entry.has(Entry::PAGE_SIZE))
}
