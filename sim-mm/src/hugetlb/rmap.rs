//! A huge page of the pool is taken away from those who map it: what `try_to_migrate_one()` and `try_to_unmap_one()` do about its entries.

use sim_core::{Held, WriteHeld};
use sim_mmu::{Entry, VirtAddr};

use super::pmd_share::{huge_pmd_unshare, unshare_flushed, unshared_range};
use super::{huge_pte_offset, hugetlb_vma_trylock_write};
use crate::arch::tlb::flush_tlb_mm_range;
use crate::folio::page_is_anon;
use crate::huge_pte::{HugePte, HugePtep, huge_pte_lock};
use crate::kernel::Cpu;
use crate::mm_types::{MmId, MmStruct, Page};
use crate::page::{put_page, set_page_dirty_no_writeback};
use crate::pagemap::inode_of_mapping;
use crate::pgtable_generic::pmdp_huge_clear_flush;
use crate::rmap::{
    Place, RmapLock, folio_remove_rmap_pmd, make_migration_entry, page_anon_exclusive, page_try_share_anon_rmap,
};
use crate::swapops::{HwpoisonEntry, MigrationEntry};

/// `hugetlb_folio_mapping_lock_write()`: the mappings of the file that the page is of, locked for writing, because a table of theirs may have to be unshared, and how
/// they are gone through then. Who has that lock may wait for the page, so nobody waits for him: the answer is nothing if somebody has it.
pub(crate) async fn hugetlb_folio_mapping_lock_write<'m>(
    cpu: Cpu<'m>,
    head: Page,
) -> Option<(RmapLock, Option<WriteHeld<'m>>)> {
    match inode_of_mapping(cpu, cpu.this_cpu_read(cpu.kernel.page(head).mapping())) {
        Some(file) => {
            let held = cpu.down_write_trylock(cpu.kernel.shmem.i_mmap_rwsem(file)).await?;
            Some((RmapLock::FileLocked, Some(held)))
        }
        None => Some((RmapLock::OfMapped, None)),
    }
}

/// What there is at a place where a huge page may be mapped.
enum Found<'m> {
    /// No entry of it, or none any more: the table was shared, and the address space has given it up.
    Nothing,
    /// Somebody keeps the table from being unshared.
    Busy,
    /// An entry that maps it, and its lock.
    Entry(HugePtep, Held<'m>),
}

/// The entry of a huge page, which is locked. Of a table that is shared nothing is changed: the address space gives it up.
async fn find<'m>(cpu: Cpu<'m>, head: Page, Place { vma, run }: Place<'m>) -> Found<'m> {
    let (mm, address, size) = (run.mm, run.address, cpu.kernel.hugetlb_size(head));
    let Some(ptep) = huge_pte_offset(cpu, mm, address, size).await else { return Found::Nothing };
    let ptl = huge_pte_lock(cpu, mm, ptep).await;
    if !cpu.read_once(ptep).await.maps(head) {
        return Found::Nothing;
    }
    if !page_is_anon(cpu, head) {
        let Ok(vma_lock) = hugetlb_vma_trylock_write(cpu, vma).await else { return Found::Busy };
        let unshared = huge_pmd_unshare(cpu, mm, address, ptep).await;
        drop(vma_lock);
        if unshared {
            let page = (address, address.plus_pages(size.pages(cpu.mmu.geometry)));
            let (first, last) = unshared_range(cpu, vma, page, address);
            flush_tlb_mm_range(cpu, mm, first, last, false).await;
            unshare_flushed(cpu, mm);
            return Found::Nothing;
        }
    }
    Found::Entry(ptep, ptl)
}

/// `page_vma_mapped_walk()` with `PVMW_MIGRATION`: the entry of a huge page that says that it is being moved, and its lock.
pub(crate) async fn huge_pte_migrating<'m>(
    cpu: Cpu<'m>,
    head: Page,
    mm: &'m MmStruct,
    address: VirtAddr,
) -> Option<(HugePtep, MigrationEntry, Held<'m>)> {
    let ptep = huge_pte_offset(cpu, mm, address, cpu.kernel.hugetlb_size(head)).await?;
    let ptl = huge_pte_lock(cpu, mm, ptep).await;
    let entry = cpu.read_once(ptep).await.migration().filter(|entry| entry.pfn == head.0)?;
    Some((ptep, entry, ptl))
}

/// The entry is empty, and no TLB has it.
async fn take<'m>(cpu: Cpu<'m>, head: Page, place: Place<'m>, ptep: HugePtep) -> HugePte {
    let old = pmdp_huge_clear_flush(cpu, place.run.mm, place.run.address, ptep).await;
    if old.dirty() {
        set_page_dirty_no_writeback(cpu, head).await;
    }
    old
}

/// The entry does not map the page any more.
async fn unmapped(cpu: Cpu<'_>, head: Page, mm: MmId) {
    folio_remove_rmap_pmd(cpu, head, mm).await;
    put_page(cpu, head).await;
}

/// The part of `try_to_migrate_one()` for a huge page of the pool, which is locked: its entry in this mapping says that the page is being moved. False if the page has to stay
/// where it is.
pub(crate) async fn set_huge_pte_migration<'m>(cpu: Cpu<'m>, head: Page, place: Place<'m>) -> bool {
    let _routine = cpu.enter("try_to_migrate_one");
    let (ptep, _ptl) = match find(cpu, head, place).await {
        Found::Entry(ptep, ptl) => (ptep, ptl),
        Found::Nothing => return true,
        Found::Busy => return false,
    };
    let exclusive = page_is_anon(cpu, head) && page_anon_exclusive(cpu, head).await;
    let (mm, address) = (place.run.mm, place.run.address);
    let old = take(cpu, head, place, ptep).await;
    if exclusive && !page_try_share_anon_rmap(cpu, head).await {
        cpu.set_pmd_at(mm, address, ptep, old.entry).await;
        return false;
    }
    let entry = make_migration_entry(cpu, old.entry.without(Entry::PAGE_SIZE), exclusive);
    cpu.set_pmd_at(mm, address, ptep, entry.to_pte()).await;
    unmapped(cpu, head, mm.id).await;
    true
}

/// The part of `try_to_unmap_one()` for a huge page of the pool, which is locked, and which nobody unmaps but `memory_failure()`: its entry in this mapping says that its memory is
/// broken. False if it is mapped there still.
pub(crate) async fn set_huge_pte_hwpoison<'m>(cpu: Cpu<'m>, head: Page, place: Place<'m>) -> bool {
    let _routine = cpu.enter("try_to_unmap_one");
    let (ptep, _ptl) = match find(cpu, head, place).await {
        Found::Entry(ptep, ptl) => (ptep, ptl),
        Found::Nothing => return true,
        Found::Busy => return false,
    };
    let (mm, address) = (place.run.mm, place.run.address);
    take(cpu, head, place, ptep).await;
    cpu.set_pmd_at(mm, address, ptep, HwpoisonEntry(head.0).to_pte()).await;
    unmapped(cpu, head, mm.id).await;
    true
}
