//! PMD entries that map huge pages: `arch/x86/include/asm/pgtable.h`.

use sim_core::OpKind;
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use crate::event::{Event, Order, Sharing};
use crate::huge_pte::huge_migration;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::pgtable::{EntryPtr, PAGE_CHG_MASK, PAGE_TABLE, Pmd, Pmdp, is_pte_present};
use crate::swapops::MigrationEntry;

impl Pmd {
    /// `is_swap_pmd() || pmd_trans_huge() || pmd_devmap()`: one entry stands for a huge page, be it mapped or being moved, or for blocks of a device.
    pub fn is_huge(self) -> bool {
        self.leaf() || self.migration().is_some()
    }

    /// `mk_huge_pmd()`.
    pub(crate) fn make_huge(first: Pfn, prot: u64) -> Entry {
        Entry::new(first, prot | Entry::PAGE_SIZE)
    }

    /// `pmd_modify()`: the same huge page with another protection.
    pub(crate) fn modify(entry: Entry, prot: u64) -> Entry {
        Entry::new(entry.pfn(), entry.flags() & (PAGE_CHG_MASK | Entry::PAGE_SIZE) | prot)
    }
}

/// What an entry for a huge page is to the page `nth` of it: as if a PTE mapped it, or said that it is being moved. Nothing, if it maps none,
/// or if the hardware must not know of it just now.
pub fn part_of_huge(entry: Entry, nth: u64) -> Entry {
    if let Some(moved) = huge_migration(entry) {
        return MigrationEntry { pfn: Pfn(moved.pfn.0 + nth), ..moved }.to_pte();
    }
    let single = entry.without(Entry::PAGE_SIZE);
    if !entry.has(Entry::PAGE_SIZE) || !is_pte_present(single) {
        return Entry::NONE;
    }
    Entry::new(Pfn(entry.pfn().0 + nth), single.flags())
}

impl<'m> Cpu<'m> {
    /// The order of a page that a PMD entry maps: `HPAGE_PMD_ORDER`.
    pub(crate) fn pmd_order(self) -> u8 {
        self.mmu.geometry.order(Level::Pmd)
    }

    /// `HPAGE_PMD_NR`: the number of pages of it.
    pub fn pmd_nr(self) -> u64 {
        1 << self.pmd_order()
    }

    /// `address & HPAGE_PMD_MASK`.
    pub(crate) fn pmd_base(self, addr: VirtAddr) -> VirtAddr {
        VirtAddr(addr.0 & !(self.mmu.geometry.span(Level::Pmd) - 1))
    }

    /// What one PMD entry maps, around an address: the first address, and the end.
    pub(crate) fn pmd_range(self, addr: VirtAddr) -> (VirtAddr, VirtAddr) {
        let start = self.pmd_base(addr);
        (start, start.plus_pages(self.pmd_nr()))
    }

    /// Tells of the change of an entry that maps a huge page, or mapped one, in the step that makes it.
    fn note_huge(self, mm: &MmStruct, va: VirtAddr, ptr: impl EntryPtr, old: Entry, new: Entry) {
        self.note_huge_of(mm, va, ptr.level(), old, new);
        if self.kernel.has_hugetlb() && ptr.level() == Level::Pmd {
            self.note_shared_pmd(mm, va, ptr.slot().table(), old, new);
        }
    }

    /// The same in one of the places from which the entry is found.
    pub(crate) fn note_huge_of(self, mm: &MmStruct, va: VirtAddr, level: Level, old: Entry, new: Entry) {
        let mapped = if new.has(Entry::PAGE_SIZE) { new } else { old };
        let sharing = if mapped.has(Entry::PAGE_SIZE) && !mapped.has(Entry::SPECIAL) {
            let page = self.kernel.page(Page(mapped.pfn()));
            let word = |loc| self.core.memory.get(loc);
            match Sharing::of_page(word(page.mapping().loc()), word(page.index().loc())) {
                Sharing::Shared(page) if self.kernel.is_private(mm, va) => Sharing::CopyOnWrite(page),
                sharing => sharing,
            }
        } else {
            Sharing::Nobody
        };
        let order = Order::of(level, self.mmu.geometry);
        self.note(Event::PteChanged { mm: mm.id, va, old, new, order, sharing });
    }

    /// `set_pmd_at()`, `set_huge_pte_at()`: a plain store of an entry that maps a huge page, or of an empty one. The caller holds the lock of the entry.
    #[track_caller]
    pub(crate) fn set_pmd_at<P: EntryPtr>(
        self,
        mm: &'m MmStruct,
        va: VirtAddr,
        pmdp: P,
        new: Entry,
    ) -> impl Future<Output = ()> + use<'m, P> {
        let op = self.entry_op(pmdp, OpKind::Write, std::panic::Location::caller());
        self.step(op, move |hw| {
            let old = Entry(hw.core.memory.get(op.loc));
            self.before_change();
            hw.perform_store(&op, new.0);
            self.table_access(pmdp);
            self.note_huge(mm, va, pmdp, old, new);
        })
    }

    /// A locked change of an entry that maps a huge page; answers what was there.
    #[track_caller]
    pub(crate) fn update_pmd<P: EntryPtr, U: Fn(Entry) -> Entry + Unpin>(
        self,
        mm: &'m MmStruct,
        va: VirtAddr,
        pmdp: P,
        update: U,
    ) -> impl Future<Output = P::Value> + use<'m, P, U> {
        let op = self.entry_op(pmdp, OpKind::Rmw, std::panic::Location::caller());
        self.step(op, move |hw| {
            let old = Entry(hw.core.memory.get(op.loc));
            let new = update(old);
            self.before_change();
            hw.perform_rmw(&op, old.0, new.0);
            self.table_access(pmdp);
            if new != old {
                self.note_huge(mm, va, pmdp, old, new);
            }
            pmdp.value(old)
        })
    }

    /// `pmdp_huge_get_and_clear()` of an entry that leads to a page table: the hardware finds nothing by the entries of that table from now
    /// on. They are as they were.
    #[track_caller]
    pub(crate) fn unlink_table(
        self,
        mm: &'m MmStruct,
        va: VirtAddr,
        pmdp: Pmdp,
    ) -> impl Future<Output = Pmd> + use<'m> {
        let op = self.entry_op(pmdp, OpKind::Rmw, std::panic::Location::caller());
        self.step(op, move |hw| {
            let old = Entry(hw.core.memory.get(op.loc));
            self.before_change();
            hw.perform_rmw(&op, old.0, 0);
            self.table_access(pmdp);
            self.note_entries(mm, old.pfn(), va, |entry| (entry, Entry::NONE));
            pmdp.value(old)
        })
    }

    /// Tells of the entries of a table that begins to map, or maps no longer, the addresses from `start` on.
    pub(crate) fn note_entries(
        self,
        mm: &MmStruct,
        table: Pfn,
        start: VirtAddr,
        change: impl Fn(Entry) -> (Entry, Entry),
    ) {
        for index in 0..self.mmu.geometry.entries(Level::Pte) {
            let entry = self.mmu.entry_now(table, index);
            if !entry.is_none() {
                let (old, new) = change(entry);
                self.note_pte(mm, start.plus_pages(u64::from(index)), old, new);
            }
        }
    }

    /// `pmd_populate()` where a huge page was mapped: the entry leads to a table from now on, and the entries of that table are what
    /// the hardware finds.
    #[track_caller]
    pub(crate) fn populate_split_pmd(
        self,
        mm: &'m MmStruct,
        va: VirtAddr,
        pmdp: Pmdp,
        table: Pfn,
    ) -> impl Future<Output = ()> + use<'m> {
        let op = self.entry_op(pmdp, OpKind::Write, std::panic::Location::caller());
        self.step(op, move |hw| {
            let huge = Entry(hw.core.memory.get(op.loc));
            self.before_change();
            hw.perform_store(&op, Entry::new(table, PAGE_TABLE).0);
            self.table_access(pmdp);
            for index in 0..self.mmu.geometry.entries(Level::Pte) {
                let entry = self.mmu.entry_now(table, index);
                let nth = u64::from(index);
                self.note_pte(mm, va.plus_pages(nth), part_of_huge(huge, nth), entry);
            }
        })
    }
}

/// `pmdp_huge_get_and_clear()`, `huge_ptep_get_and_clear()`: an exchange, for the hardware may set A or D meanwhile.
#[track_caller]
pub(crate) fn pmdp_huge_get_and_clear<'m, P: EntryPtr>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    va: VirtAddr,
    pmdp: P,
) -> impl Future<Output = P::Value> + use<'m, P> {
    cpu.update_pmd(mm, va, pmdp, |_| Entry::NONE)
}

/// `pmdp_set_wrprotect()`, `huge_ptep_set_wrprotect()`.
#[track_caller]
pub(crate) fn pmdp_set_wrprotect<'m, P: EntryPtr>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    va: VirtAddr,
    pmdp: P,
) -> impl Future<Output = P::Value> + use<'m, P> {
    cpu.update_pmd(mm, va, pmdp, |entry| entry.without(Entry::RW))
}
