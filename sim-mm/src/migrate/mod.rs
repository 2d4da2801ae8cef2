//! `mm/migrate.c`: pages go to other frames, and nobody notices.
//!
//! A page is unmapped first: each entry that maps it says that it is being moved. Then nobody can come to the page but by references,
//! and it is moved only if there are none. Whoever comes to such an entry waits for the lock of the page. At last the entries lead to the
//! new page, or to the old one if that could not be moved.

mod compact;
mod device;
mod hugetlb;
mod longterm;
mod mapping;
mod misplaced;
mod mode;
mod move_pages;
mod ptes;
mod wait;

pub use compact::compact_page;
pub use device::migrate_vma;
pub(crate) use hugetlb::isolate_hugetlb;
pub use longterm::LongtermPages;
pub(crate) use mapping::{discard, migrate_page_states, take_place};
pub(crate) use misplaced::{migrate_misplaced_page, mpol_misplaced, numa_migrates};
pub use mode::MigrateMode;
pub(crate) use mode::MigrateReason;
pub use move_pages::{MovePages, PageStatus, sys_move_pages};
pub(crate) use ptes::{Zeroes, remap_page};
pub(crate) use wait::{migration_entry_to_page, migration_entry_wait_huge};
pub use wait::{migration_entry_wait, pmd_migration_entry_wait};

use crate::folio::{is_large, page_is_anon};
use crate::gfp::Gfp;
use crate::huge_memory::{Tails, split_folio};
use crate::kernel::Cpu;
use crate::ksm::page_is_ksm;
use crate::mm_types::Page;
use crate::page::{__set_page_locked, lock_page, page_count, put_page, test_and_set_flags, unlock_page};
use crate::page_alloc::alloc_pages;
use crate::page_flags::PageFlags;
use crate::rmap::types::AnonVma;
use crate::rmap::{
    page_anon_vma, page_get_anon_vma, page_mapped, put_anon_vma, try_to_migrate, try_to_unmap_flush,
};
use crate::safeguards::{MIGRATE_ANON_VMA, MIGRATE_BATCH_FLUSH, MIGRATE_LOCK, MIGRATE_UNLOCK_LAST};
use crate::settings::MigrateFlush;
use crate::swap::{folio_add_lru, putback_lru_page};
use crate::tlb_types::TlbUbc;

use hugetlb::migrate_hugetlbs;
use mapping::{Contents, migrate_page};
use mode::Stop;
use ptes::remove_migration_ptes;

/// How often pages are tried that somebody holds: `NR_MAX_MIGRATE_PAGES_RETRY`.
pub(crate) const MAX_PASSES: u64 = 10;

/// `NR_MAX_MIGRATE_ASYNC_RETRY`, since v6.3: so many of them are tried without waiting, if many pages are moved together.
const MAX_ASYNC_PASSES: u64 = 3;

/// `migrate_pages()`: moves pages that were taken off their lists to frames of which `gfp` says where they are. Answers how many have not
/// been moved; they go back to their lists.
pub(crate) async fn migrate_pages(
    cpu: Cpu<'_>,
    mut pages: Vec<Page>,
    gfp: Gfp,
    (mode, reason): (MigrateMode, MigrateReason),
    passes: u64,
) -> u64 {
    let _routine = cpu.enter("migrate_pages");
    if cpu.kernel.has_hugetlb() && pages.iter().any(|page| cpu.kernel.is_hugetlb(*page)) {
        let (huge, rest) = pages.into_iter().partition(|page| cpu.kernel.is_hugetlb(*page));
        let failed = Box::pin(migrate_hugetlbs(cpu, huge, gfp, mode, passes)).await;
        return failed + Box::pin(migrate_pages(cpu, rest, gfp, (mode, reason), passes)).await;
    }
    let batched = cpu.setting::<MigrateFlush>() == MigrateFlush::Batched;
    let (mut failed, mut split) = (Vec::new(), Vec::new());
    for pass in 0..passes {
        if pages.is_empty() {
            break;
        }
        // Who has several pages locked waits for no further one, or two of them could wait for each other.
        let together = batched && (mode == MigrateMode::Async || pass < MAX_ASYNC_PASSES && pages.len() > 1);
        let batch = if together { pages.len() } else { 1 };
        let mode = if together { MigrateMode::Async } else { mode };
        let mut again = Vec::new();
        for batch in pages.chunks(batch) {
            for (page, stop) in migrate_pages_batch(cpu, batch, gfp, mode).await {
                match stop {
                    Stop::Again => again.push(page),
                    Stop::NoFrame if reason == MigrateReason::NumaMisplaced => failed.push(page),
                    Stop::NoFrame => match try_split_folio(cpu, page).await {
                        Some(mut pages) => split.append(&mut pages),
                        None => failed.push(page),
                    },
                    Stop::Freed => put_page(cpu, page).await,
                }
            }
        }
        pages = again;
    }
    failed.append(&mut pages);
    let mut not_moved = failed.len() as u64;
    for page in failed {
        putback_lru_page(cpu, page).await;
    }
    if !split.is_empty() {
        not_moved += Box::pin(migrate_pages(cpu, split, gfp, (mode, reason), passes)).await;
    }
    not_moved
}

/// `try_split_folio()`: the pages of a folio for which there is no room as a whole. `None` if it is a single page, or cannot be split.
async fn try_split_folio(cpu: Cpu<'_>, folio: Page) -> Option<Vec<Page>> {
    if !is_large(cpu, folio) {
        return None;
    }
    lock_page(cpu, folio).await;
    let mut pages = vec![folio];
    let split = split_folio(cpu, folio, Tails::Taken(&mut pages)).await;
    unlock_page(cpu, folio).await;
    split.is_ok().then_some(pages)
}

/// `migrate_pages_batch()`: unmaps the pages, and then moves them. Answers those that were not moved. Before v6.3 each page is a batch:
/// `unmap_and_move()`.
async fn migrate_pages_batch(cpu: Cpu<'_>, pages: &[Page], gfp: Gfp, mode: MigrateMode) -> Vec<(Page, Stop)> {
    let mut ubc = TlbUbc::default();
    let (mut unmapped, mut stopped) = (Vec::new(), Vec::new());
    for page in pages {
        match migrate_page_unmap(cpu, *page, gfp, mode, &mut ubc).await {
            Ok(ready) => unmapped.push(ready),
            Err(stop) => stopped.push((*page, stop)),
        }
    }
    let flushed_first = cpu.has(MIGRATE_BATCH_FLUSH);
    if flushed_first {
        try_to_unmap_flush(cpu, &mut ubc).await;
    }
    for ready in unmapped {
        let page = ready.old;
        if migrate_page_move(cpu, ready).await.is_err() {
            stopped.push((page, Stop::Again));
        }
    }
    if !flushed_first {
        try_to_unmap_flush(cpu, &mut ubc).await;
    }
    stopped
}

/// A page that nobody maps, and the page that it is going to be. Both are locked.
struct Unmapped {
    old: Page,
    new: Page,
    anon_vma: Option<AnonVma>,
    /// Whether entries say that it is being moved: `page_was_mapped`.
    was_mapped: bool,
    /// Whether the page was locked at all.
    locked: bool,
    /// Whether the `anon_vma` is held.
    anon_vma_held: bool,
}

/// `migrate_folio_unmap()`, before v6.3 the first half of `__unmap_and_move()`.
async fn migrate_page_unmap(
    cpu: Cpu<'_>,
    page: Page,
    gfp: Gfp,
    mode: MigrateMode,
    ubc: &mut TlbUbc,
) -> Result<Unmapped, Stop> {
    let _routine = cpu.enter("__unmap_and_move");
    if page_count(cpu, page).await == 1 {
        return Err(Stop::Freed);
    }
    let order = cpu.kernel.folio_order(page);
    let whole = if order > 0 { Gfp::COMP } else { Gfp::empty() };
    let new = alloc_pages(cpu, order, gfp | whole).await.ok_or(Stop::NoFrame)?;
    let locked = cpu.has(MIGRATE_LOCK);
    if locked && mode == MigrateMode::Sync {
        lock_page(cpu, page).await;
    } else if locked && !test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
        put_page(cpu, new).await;
        return Err(Stop::Again);
    }
    // Nobody knows it yet.
    __set_page_locked(cpu, new);
    let mut ready = Unmapped { old: page, new, anon_vma: None, was_mapped: false, locked, anon_vma_held: false };
    // Not modelled: MIGRATE_SYNC waits until the page has been written.
    if cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::WRITEBACK) {
        undo(cpu, ready).await;
        return Err(Stop::Again);
    }
    // Secret memory stays where it is: secretmem_migrate_folio(). While the page is locked, that does not change.
    if page_is_ksm(cpu, page).await || cpu.kernel.is_secret(page) {
        undo(cpu, ready).await;
        return Err(Stop::Again);
    }
    if page_is_anon(cpu, page) {
        // The mappings of the page keep it only until they are unmapped. Entries are looked for by it afterwards.
        ready.anon_vma_held = cpu.has(MIGRATE_ANON_VMA);
        ready.anon_vma = match ready.anon_vma_held {
            true => page_get_anon_vma(cpu, page).await,
            false => page_anon_vma(cpu, page),
        };
    }
    if page_mapped(cpu, page).await {
        try_to_migrate(cpu, page, ubc).await;
        ready.was_mapped = true;
    }
    if page_mapped(cpu, page).await {
        undo(cpu, ready).await;
        return Err(Stop::Again);
    }
    Ok(ready)
}

/// `migrate_folio_move()`, before v6.3 the second half of `__unmap_and_move()`.
async fn migrate_page_move(cpu: Cpu<'_>, ready: Unmapped) -> Result<(), Stop> {
    let _routine = cpu.enter("move_to_new_page");
    let Unmapped { old, new, anon_vma, was_mapped, locked, .. } = ready;
    if migrate_page(cpu, new, old, Contents::Copied).await.is_err() {
        undo(cpu, ready).await;
        return Err(Stop::Again);
    }
    folio_add_lru(cpu, new).await;
    let unlocked_last = cpu.has(MIGRATE_UNLOCK_LAST);
    if locked && !unlocked_last {
        unlock_page(cpu, old).await;
    }
    if was_mapped {
        remove_migration_ptes(cpu, old, new, anon_vma).await;
    }
    unlock_page(cpu, new).await;
    put_page(cpu, new).await;
    put_held(cpu, &ready).await;
    if locked && unlocked_last {
        unlock_page(cpu, old).await;
    }
    // The reference that kept it off its list is the last one.
    put_page(cpu, old).await;
    Ok(())
}

async fn put_held(cpu: Cpu<'_>, ready: &Unmapped) {
    if let Some(anon_vma) = ready.anon_vma.filter(|_| ready.anon_vma_held) {
        put_anon_vma(cpu, anon_vma).await;
    }
}

/// `migrate_folio_undo_src()`, `migrate_folio_undo_dst()`: the page stays where it is, and the new one goes.
async fn undo(cpu: Cpu<'_>, ready: Unmapped) {
    let Unmapped { old, new, anon_vma, was_mapped, locked, .. } = ready;
    if was_mapped {
        remove_migration_ptes(cpu, old, old, anon_vma).await;
    }
    put_held(cpu, &ready).await;
    if locked {
        unlock_page(cpu, old).await;
    }
    discard(cpu, new).await;
}
