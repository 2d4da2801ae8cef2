//! `try_to_migrate()`: each entry that maps a page says that the page is being moved.

use sim_mmu::VirtAddr;

use crate::arch::tlb::flush_tlb_page;
use crate::check;
use crate::folio::page_is_anon;
use crate::huge_memory::{Small, set_pmd_migration_entry, split_huge_pmd_address};
use crate::hwpoison::page_hwpoison;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::put_page;
use crate::page_tags::set_page_dirty;
use crate::page_vma_mapped::{Find, PageVmaMappedWalk, pmd_mapped_walk};
use crate::pgtable::{Pte, Ptep};
use crate::pgtable_set::ptep_get_and_clear;
use crate::safeguards::{MIGRATE_FLUSH, MIGRATE_FLUSH_PROTNONE, MIGRATE_VMA_DIRTY};
use crate::settings::{CowReuse, MigrateFlush};
use crate::swapops::HwpoisonEntry;
use crate::tlb_types::TlbUbc;

use super::batch::{set_tlb_ubc_flush_pending, should_defer_flush};
use super::migration_entry::{keep_dirty_bit, make_migration_entry};
use super::types::AnonVma;
use super::walk::{Place, RmapLock, invalidating, rmap_walk};
use super::{page_anon_exclusive, page_remove_rmap, page_try_share_anon_rmap};

/// `try_to_migrate()`, `try_to_unmap()` with `TTU_MIGRATION` before v5.14, of a page that is locked. Stops where that cannot be; then the
/// page is mapped still. A page of a locked mapping is moved like any other.
pub(crate) async fn try_to_migrate<'m>(cpu: Cpu<'m>, page: Page, ubc: &mut TlbUbc) {
    let _routine = cpu.enter("try_to_migrate");
    let how = (Find::Mapping, Whole::Moves);
    let one = async |place| invalidating(cpu, place, try_to_migrate_one(cpu, page, place, how, ubc)).await;
    rmap_walk(cpu, page, RmapLock::OfMapped, one).await;
}

/// The same with `TTU_SPLIT_HUGE_PMD`, by a caller who has the tree locked, and says how it is looked for entries. If one entry maps all of
/// the folio then small entries take its place, which say at once that their pages are being moved.
pub(crate) async fn try_to_migrate_split<'m>(
    cpu: Cpu<'m>,
    page: Page,
    anon_vma: AnonVma,
    find: Find,
    ubc: &mut TlbUbc,
) {
    let _routine = cpu.enter("try_to_migrate");
    let one = async |place| split_and_migrate_one(cpu, page, place, find, ubc).await;
    rmap_walk(cpu, page, RmapLock::Locked(anon_vma), one).await;
}

async fn split_and_migrate_one<'m>(
    cpu: Cpu<'m>,
    page: Page,
    place: Place<'m>,
    find: Find,
    ubc: &mut TlbUbc,
) -> bool {
    let Place { vma, run } = place;
    split_huge_pmd_address(cpu, vma, run.mm, run.address, page, Small::Migrating).await;
    invalidating(cpu, place, try_to_migrate_one(cpu, page, place, (find, Whole::Splits), ubc)).await
}

/// What becomes of an entry that maps all of a folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    /// It says that all of it is being moved.
    Moves,
    /// `TTU_SPLIT_HUGE_PMD`: small entries take its place. A fault that has put a new folio on its list sets the entry afterwards, so the entry may
    /// come when the walk is here already.
    Splits,
}

/// `try_to_migrate_one()`: false if the page has to stay where it is.
async fn try_to_migrate_one<'m>(
    cpu: Cpu<'m>,
    page: Page,
    place: Place<'m>,
    (find, whole): (Find, Whole),
    ubc: &mut TlbUbc,
) -> bool {
    let _routine = cpu.enter("try_to_migrate_one");
    let Place { vma, run } = place;
    while run.pages > 1
        && let Some((pmdp, _, ptl)) = pmd_mapped_walk(cpu, page, run.mm, run.address).await
    {
        if whole == Whole::Moves {
            let _ptl = ptl;
            return Box::pin(set_pmd_migration_entry(cpu, page, (run.mm, run.address), pmdp)).await;
        }
        drop(ptl);
        split_huge_pmd_address(cpu, vma, run.mm, run.address, page, Small::Migrating).await;
    }
    let mut walk = PageVmaMappedWalk::new(run, find);
    while let Some(mapped) = walk.next(cpu).await {
        let (at, entry) = ((run.mm, mapped.address), (mapped.ptep, mapped.pte));
        if !set_pte_migration(cpu, mapped.page, at, entry, Flush::ByRelease(ubc)).await {
            return false;
        }
    }
    true
}

/// When the translation of an entry that is taken away is flushed.
pub(crate) enum Flush<'a> {
    /// At once, or together with others.
    ByRelease(&'a mut TlbUbc),
    /// By the caller, who changes many entries of one table. Only that of a page that is exclusive is flushed at once.
    Later,
}

/// The body of `try_to_migrate_one()` behind the walk, and of `migrate_vma_collect_pmd()`: the entry says that its page is being moved. False
/// if the page is pinned, and so stays.
pub(crate) async fn set_pte_migration<'m>(
    cpu: Cpu<'m>,
    page: Page,
    (mm, address): (&'m MmStruct, VirtAddr),
    (ptep, pte): (Ptep, Pte),
    flush: Flush<'_>,
) -> bool {
    let exclusive = page_is_anon(cpu, page)
        && cpu.setting::<CowReuse>() == CowReuse::Exclusive
        && page_anon_exclusive(cpu, page).await;
    let pteval = ptep_get_and_clear(cpu, mm, address, ptep, pte).await;
    let by_release = matches!(flush, Flush::ByRelease(_));
    match flush {
        Flush::ByRelease(ubc) => {
            flush_one(cpu, (mm, address), pteval, ubc).await;
            keep_dirty_bit(cpu, pteval.entry, page).await;
        }
        Flush::Later => {
            if exclusive {
                flush_tlb_page(cpu, mm, address).await;
            }
            if pteval.dirty() && cpu.has(MIGRATE_VMA_DIRTY) {
                set_page_dirty(cpu, page).await;
            }
        }
    }
    let entry = if by_release && page_hwpoison(cpu, page).await {
        // Nobody maps it again, wherever it goes.
        HwpoisonEntry(page.0).to_pte()
    } else if exclusive && !page_try_share_anon_rmap(cpu, page).await {
        cpu.set_pte_at(mm, address, ptep, pteval.entry).await;
        return false;
    } else {
        make_migration_entry(cpu, pteval.entry, exclusive).to_pte()
    };
    cpu.set_pte_at(mm, address, ptep, entry).await;
    page_remove_rmap(cpu, page, mm.id).await;
    put_page(cpu, page).await;
    true
}

/// `ptep_clear_flush()`, behind the clearing: the page is copied soon, and what is written to it later would be lost.
async fn flush_one<'m>(cpu: Cpu<'m>, (mm, address): (&'m MmStruct, VirtAddr), pteval: Pte, ubc: &mut TlbUbc) {
    if !pte_accessible(cpu, mm, pteval).await {
        return;
    }
    if cpu.setting::<MigrateFlush>() == MigrateFlush::Batched && should_defer_flush(cpu, mm).await {
        set_tlb_ubc_flush_pending(cpu, ubc, mm, address, pteval.dirty()).await;
    } else if cpu.has(MIGRATE_FLUSH) {
        flush_tlb_page(cpu, mm, address).await;
    }
}

/// `pte_accessible()`: whether a TLB may have the entry. It may also have an entry from which all access was taken, as long as whoever
/// did that has not flushed.
async fn pte_accessible<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, pte: Pte) -> bool {
    pte.entry.is_present() || check!(cpu, MIGRATE_FLUSH_PROTNONE, cpu.load(mm.tlb_flush_pending()).await > 0)
}
