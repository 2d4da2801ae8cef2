//! `mm/page_vma_mapped.c`: where a mapping maps a page.

use sim_core::Held;
use sim_mmu::VirtAddr;

use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::{MmStruct, Page};
use crate::pgtable::{Pte, Ptep};
use crate::safeguards::MIGRATION_REMOVE_LOCKED;
use crate::swapops::MigrationEntry;

/// `struct page_vma_mapped_walk`, at a place where the page is mapped: the entry, under its lock.
pub(crate) struct Mapped<'m> {
    pub(crate) mm: &'m MmStruct,
    pub(crate) address: VirtAddr,
    pub(crate) ptep: Ptep,
    pub(crate) pte: Pte,
    /// The lock of the page table, until this is dropped.
    _ptl: Held<'m>,
}

/// `page_vma_mapped_walk()`: the entry for the address, if it maps the page. A page has one place in a mapping.
///
/// Without `sync` the entry is read once without its lock. An entry that is not present then is passed over, so a page that somebody is just
/// unmapping may be taken for unmapped before its count says so. With `sync` (`PVMW_SYNC`) whoever has the lock is waited for.
pub(crate) async fn page_vma_mapped_walk<'m>(
    cpu: Cpu<'m>,
    page: Page,
    mm: &'m MmStruct,
    address: VirtAddr,
    sync: bool,
) -> Option<Mapped<'m>> {
    let pmdp = find_pmd(cpu, mm, address).await?;
    let pmd = cpu.read_once(pmdp).await;
    if !pmd.leads_to_table() {
        return None;
    }
    // map_pte()
    let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
    if !sync && !cpu.read_once(ptep).await.present() {
        return None;
    }
    let ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
    // check_pte()
    let pte = cpu.read_once(ptep).await;
    (pte.present() && !pte.special() && pte.pfn() == page.0).then_some(Mapped {
        mm,
        address,
        ptep,
        pte,
        _ptl: ptl,
    })
}

/// The same with `PVMW_SYNC | PVMW_MIGRATION`: the entry for the address, if it says that the page is being moved.
///
/// It is looked at under its lock alone. `mremap()` clears an entry before it sets it at the new place, and who looked at both places in
/// between, without the locks, would find it nowhere.
pub(crate) async fn page_vma_migrating_walk<'m>(
    cpu: Cpu<'m>,
    page: Page,
    mm: &'m MmStruct,
    address: VirtAddr,
) -> Option<Mapped<'m>> {
    let pmdp = find_pmd(cpu, mm, address).await?;
    let pmd = cpu.read_once(pmdp).await;
    if pmd.none() {
        return None;
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
    if !cpu.has(MIGRATION_REMOVE_LOCKED) && MigrationEntry::of_pte(cpu.read_once(ptep).await.entry).is_none() {
        return None;
    }
    let ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
    let pte = cpu.read_once(ptep).await;
    let is_of_page = MigrationEntry::of_pte(pte.entry).is_some_and(|entry| entry.pfn == page.0);
    is_of_page.then_some(Mapped { mm, address, ptep, pte, _ptl: ptl })
}
