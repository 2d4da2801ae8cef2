//! `mm/page_vma_mapped.c`: where a mapping maps the pages of a folio.

use sim_core::{Held, RcuReadGuard};
use sim_mmu::{Level, Pfn, VirtAddr};

use crate::huge_pte::HugePtep;
use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::{MmStruct, Page};
use crate::pgtable::{Pmd, Pmdp, Pte, Ptep, offset_now};
use crate::pgtable_generic::is_unlinked;
use crate::safeguards::{MIGRATION_REMOVE_LOCKED, SPLIT_UNMAP_SYNC};
use crate::swapops::MigrationEntry;

/// Pages of a folio in a row, and where a mapping would map the first of them.
#[derive(Clone, Copy)]
pub(crate) struct Run<'m> {
    pub(crate) mm: &'m MmStruct,
    pub(crate) page: Page,
    pub(crate) pages: u64,
    pub(crate) address: VirtAddr,
}

/// Which entries a walk stops at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Find {
    /// Those that map the page. An entry is read once without its lock. If it is not present then it is passed over, so a page that
    /// somebody is just unmapping may be taken for unmapped before its count says so.
    Mapping,
    /// `PVMW_SYNC`: the same, and whoever is just unmapping the page is waited for.
    MappingInSync,
    /// `PVMW_SYNC | PVMW_MIGRATION`: those that say that the page is being moved.
    ///
    /// An entry is looked at under its lock alone. `mremap()` clears an entry before it sets it at the new place, and who looked at
    /// both places in between, without the locks, would find it nowhere.
    Migrating,
}

/// A place where the page is mapped: the entry, whose lock the walk holds.
#[derive(Clone, Copy)]
pub(crate) struct Mapped<'m> {
    pub(crate) mm: &'m MmStruct,
    pub(crate) page: Page,
    pub(crate) address: VirtAddr,
    pub(crate) ptep: Ptep,
    pub(crate) pte: Pte,
}

/// `struct page_vma_mapped_walk`.
pub(crate) struct PageVmaMappedWalk<'m> {
    run: Run<'m>,
    find: Find,
    /// How many pages are behind it.
    nth: u64,
    /// The entry that leads to the table that it is in, and where that stands.
    pmd: Option<(Pmdp, Pmd)>,
    ptl: Option<Held<'m>>,
    /// The table is not freed while the walk is in it, although it is looked at without its lock.
    rcu: Option<RcuReadGuard<'m>>,
}

impl<'m> PageVmaMappedWalk<'m> {
    pub(crate) fn new(run: Run<'m>, find: Find) -> PageVmaMappedWalk<'m> {
        PageVmaMappedWalk { run, find, nth: 0, pmd: None, ptl: None, rcu: None }
    }

    /// `page_vma_mapped_walk()`: the next entry that maps a page of the folio by itself. A page has one place in a mapping.
    pub(crate) async fn next(&mut self, cpu: Cpu<'m>) -> Option<Mapped<'m>> {
        while self.nth < self.run.pages {
            let page = Page(Pfn(self.run.page.0.0 + self.nth));
            let address = self.run.address.plus_pages(self.nth);
            if self.nth > 0 && cpu.pmd_base(address) == address {
                (self.pmd, self.ptl, self.rcu) = (None, None, None);
            }
            if self.pmd.is_none() && !self.enter_table(cpu, address).await {
                let left = cpu.mmu.geometry.addr_end(Level::Pmd, address, VirtAddr(u64::MAX)).vpn().0;
                self.nth += left - address.vpn().0;
                continue;
            }
            self.nth += 1;
            // enter_table() answers whether there is one.
            let (pmdp, pmd) = self.pmd?;
            let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
            if !self.lock(cpu, pmdp, ptep).await {
                continue;
            }
            // check_pte()
            let pte = cpu.read_once(ptep).await;
            let found = match self.find {
                Find::Migrating => MigrationEntry::of_pte(pte.entry).is_some_and(|entry| entry.pfn == page.0),
                _ => pte.present() && !pte.special() && pte.pfn() == page.0,
            };
            if found {
                return Some(Mapped { mm: self.run.mm, page, address, ptep, pte });
            }
        }
        (self.ptl, self.rcu) = (None, None);
        None
    }

    /// Finds the table for the address. False if there is none.
    async fn enter_table(&mut self, cpu: Cpu<'m>, address: VirtAddr) -> bool {
        if let Some(pmdp) = find_pmd(cpu, self.run.mm, address).await {
            let rcu = cpu.rcu_read_lock();
            let pmd = cpu.read_once(pmdp).await;
            if pmd.leads_to_table() {
                (self.pmd, self.rcu) = (Some((pmdp, pmd)), Some(rcu));
                return true;
            }
        }
        let waits = match self.find {
            Find::Mapping => false,
            Find::MappingInSync => true,
            Find::Migrating => self.run.pages > 1 && waits_for_zappers(cpu),
        };
        // Somebody may be at the entry of the huge page: he has cleared it, and it is counted, or at another place, before he lets go.
        if waits && let Some(pmdp) = offset_now::<Pmdp>(cpu, self.run.mm, address) {
            drop(cpu.lock(cpu.kernel.ptl(pmdp.table())).await);
        }
        false
    }

    /// `map_pte()`: the lock of the table. False if the entry need not be looked at under it.
    async fn lock(&mut self, cpu: Cpu<'m>, pmdp: Pmdp, ptep: Ptep) -> bool {
        if self.ptl.is_some() {
            return true;
        }
        let passed_over = match self.find {
            Find::Mapping => !cpu.read_once(ptep).await.present(),
            Find::MappingInSync => false,
            Find::Migrating => {
                !cpu.has(MIGRATION_REMOVE_LOCKED)
                    && MigrationEntry::of_pte(cpu.read_once(ptep).await.entry).is_none()
            }
        };
        if passed_over {
            return false;
        }
        self.ptl = Some(cpu.lock(cpu.kernel.ptl(ptep.table())).await);
        if is_unlinked(cpu, pmdp, ptep) {
            // Whoever took it away had unmapped all that it led to.
            self.ptl = None;
            return false;
        }
        true
    }
}

/// Whether walks that must not miss an entry of a folio wait for whoever is just changing it (`PVMW_SYNC`).
pub(crate) fn waits_for_zappers(cpu: Cpu<'_>) -> bool {
    cpu.has(SPLIT_UNMAP_SYNC)
}

/// `page_vma_mapped_walk()`, where one entry maps all of a folio: the entry and its lock.
pub(crate) async fn pmd_mapped_walk<'m>(
    cpu: Cpu<'m>,
    head: Page,
    mm: &'m MmStruct,
    address: VirtAddr,
) -> Option<(Pmdp, Pmd, Held<'m>)> {
    huge_entry(cpu, mm, address).await.filter(|(_, pmd, _)| pmd.maps(head))
}

/// `page_vma_mapped_walk()` with `PVMW_MIGRATION`, where one entry says that all of a folio is being moved.
pub(crate) async fn pmd_migrating_walk<'m>(
    cpu: Cpu<'m>,
    head: Page,
    mm: &'m MmStruct,
    address: VirtAddr,
) -> Option<(HugePtep, MigrationEntry, Held<'m>)> {
    let (pmdp, pmd, ptl) = huge_entry(cpu, mm, address).await?;
    let entry = pmd.migration().filter(|entry| entry.pfn == head.0)?;
    Some((pmdp.into(), entry, ptl))
}

/// An entry that stands for a huge page, read again under its lock.
pub(crate) async fn huge_entry<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
) -> Option<(Pmdp, Pmd, Held<'m>)> {
    let pmdp = find_pmd(cpu, mm, address).await?;
    if !cpu.read_once(pmdp).await.is_huge() {
        return None;
    }
    let ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
    Some((pmdp, cpu.read_once(pmdp).await, ptl))
}
