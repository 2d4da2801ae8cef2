//! Huge pages of the pool that go to other frames: `unmap_and_move_huge_page()`. The new page is one of the pool as well.

use super::mapping::{Contents, discard, migrate_page};
use super::mode::{MigrateMode, Stop};
use super::ptes::remove_migration_ptes_locked;
use crate::folio::page_is_anon;
use crate::gfp::Gfp;
use crate::hugetlb::{alloc_hugetlb_folio_nodemask, hugetlb_folio_mapping_lock_write, set_huge_pte_migration};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{
    __set_page_locked, get_page_unless_zero, lock_page, page_count, put_page, test_and_set_flags, unlock_page,
};
use crate::page_flags::PageFlags;
use crate::rmap::{RmapLock, page_get_anon_vma, page_mapped, put_anon_vma, rmap_walk};

/// `isolate_hugetlb()`: a page that is in use, and that nobody else moves, with a reference. Nobody frees it while the lock is held.
pub(crate) async fn isolate_hugetlb(cpu: Cpu<'_>, head: Page) -> bool {
    let _hugetlb_lock = cpu.lock(cpu.kernel.hugetlb.lock).await;
    let flags = cpu.load(cpu.kernel.page_flags(head)).await;
    if !flags.contains(PageFlags::HUGETLB_MIGRATABLE) || !get_page_unless_zero(cpu, head).await {
        return false;
    }
    cpu.rmw(cpu.kernel.page_flags(head), |flags| flags - PageFlags::HUGETLB_MIGRATABLE).await;
    true
}

/// `folio_putback_hugetlb()`: it may be moved some other time.
async fn putback_hugetlb(cpu: Cpu<'_>, head: Page) {
    cpu.rmw(cpu.kernel.page_flags(head), |flags| flags | PageFlags::HUGETLB_MIGRATABLE).await;
    put_page(cpu, head).await;
}

/// `migrate_hugetlbs()`: answers how many were not moved.
pub(super) async fn migrate_hugetlbs(
    cpu: Cpu<'_>,
    mut pages: Vec<Page>,
    gfp: Gfp,
    mode: MigrateMode,
    passes: u64,
) -> u64 {
    let mut failed = Vec::new();
    for _ in 0..passes {
        let mut again = Vec::new();
        for page in pages {
            match unmap_and_move_huge_page(cpu, page, gfp, mode).await {
                Ok(()) => {}
                Err(Stop::Freed) => putback_hugetlb(cpu, page).await,
                Err(Stop::Again) => again.push(page),
                Err(Stop::NoFrame) => failed.push(page),
            }
        }
        pages = again;
        if pages.is_empty() {
            break;
        }
    }
    failed.append(&mut pages);
    let not_moved = failed.len() as u64;
    for page in failed {
        putback_hugetlb(cpu, page).await;
    }
    not_moved
}

/// `unmap_and_move_huge_page()`.
async fn unmap_and_move_huge_page(cpu: Cpu<'_>, old: Page, gfp: Gfp, mode: MigrateMode) -> Result<(), Stop> {
    let _routine = cpu.enter("unmap_and_move_huge_page");
    if page_count(cpu, old).await == 1 {
        return Err(Stop::Freed);
    }
    let new = alloc_hugetlb_folio_nodemask(cpu, cpu.kernel.hstate_of(old), gfp).await.ok_or(Stop::NoFrame)?;
    match mode {
        MigrateMode::Sync => lock_page(cpu, old).await,
        MigrateMode::Async if test_and_set_flags(cpu, old, PageFlags::LOCKED).await => {}
        MigrateMode::Async => {
            put_page(cpu, new).await;
            return Err(Stop::Again);
        }
    }
    __set_page_locked(cpu, new);
    let moved = move_locked(cpu, old, new).await;
    unlock_page(cpu, old).await;
    if !moved {
        discard(cpu, new).await;
        return Err(Stop::Again);
    }
    unlock_page(cpu, new).await;
    putback_hugetlb(cpu, new).await;
    put_page(cpu, old).await;
    Ok(())
}

/// The part of it with both pages locked. The mappings of a file are locked for writing, because its tables may have to be unshared.
async fn move_locked<'m>(cpu: Cpu<'m>, old: Page, new: Page) -> bool {
    let anon_vma = if page_is_anon(cpu, old) { page_get_anon_vma(cpu, old).await } else { None };
    let is_mapped = page_mapped(cpu, old).await;
    let locked = if is_mapped { hugetlb_folio_mapping_lock_write(cpu, old).await } else { None };
    if is_mapped && locked.is_none() {
        return false;
    }
    if let Some((lock, _)) = &locked {
        rmap_walk(cpu, old, *lock, async move |place| set_huge_pte_migration(cpu, old, place).await).await;
    }
    let moved = !page_mapped(cpu, old).await && migrate_page(cpu, new, old, Contents::Copied).await.is_ok();
    if is_mapped {
        let lock = anon_vma.map_or(RmapLock::FileLocked, RmapLock::Kept);
        remove_migration_ptes_locked(cpu, old, if moved { new } else { old }, lock).await;
    }
    drop(locked);
    if let Some(anon_vma) = anon_vma {
        put_anon_vma(cpu, anon_vma).await;
    }
    moved
}
