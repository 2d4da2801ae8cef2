//! `migrate_page()`: another page takes the place of a page that nobody maps and nobody else holds.

use crate::check;
use crate::event::{Event, SharedPage};
use crate::fs::Inode;
use crate::highmem::copy_user_highpage;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page::{get_page, page_count, page_ref_freeze, page_ref_unfreeze, put_page};
use crate::page_flags::{PageFlags, file_of_mapping};
use crate::safeguards::{MIGRATE_EXPECTED_COUNT, MIGRATE_FREEZE};
use crate::settings::MigrateCopy;
use crate::shmem_fs::Cached;
use crate::swapfile::page_swap_entry;
use crate::swapops::SwpEntry;

/// Where look-ups find a page: `page_mapping()`.
#[derive(Clone, Copy)]
enum Cache {
    File(Inode, u64),
    Swap(SwpEntry),
}

/// What has the page, which is locked.
fn page_mapping(cpu: Cpu<'_>, page: Page) -> Option<Cache> {
    if let Some(entry) = page_swap_entry(cpu, page) {
        return Some(Cache::Swap(entry));
    }
    let mapping = cpu.this_cpu_read(cpu.kernel.page(page).mapping());
    let file = cpu.kernel.shmem.inodes.current(cpu.core, file_of_mapping(mapping)? as usize)?;
    Some(Cache::File(file, cpu.this_cpu_read(cpu.kernel.page(page).index())))
}

/// `-EAGAIN`: somebody else has a reference to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InUse;

/// Who copies what a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Whoever moves it.
    Copied,
    /// `MIGRATE_SYNC_NO_COPY`: a driver has done it.
    ByDriver,
}

/// `migrate_page()`, since v5.16 `migrate_folio()`: `new` is what `old` was. Both are locked.
pub(super) async fn migrate_page(cpu: Cpu<'_>, new: Page, old: Page, contents: Contents) -> Result<(), InUse> {
    let cache = page_mapping(cpu, old);
    // Whoever moves the page has a reference, and so has the cache.
    let expected = 1 + u64::from(cache.is_some());
    if cpu.setting::<MigrateCopy>() == MigrateCopy::BeforeMapping {
        // Nobody maps the page, so that nobody writes to it from here on but who has a reference.
        is_held_otherwise(cpu, old, expected).await?;
        if contents == Contents::Copied {
            copy_user_highpage(cpu, new, old).await;
        }
        migrate_page_move_mapping(cpu, new, old, cache, expected).await?;
    } else {
        migrate_page_move_mapping(cpu, new, old, cache, expected).await?;
        if contents == Contents::Copied {
            copy_user_highpage(cpu, new, old).await;
        }
    }
    migrate_page_states(cpu, new, old).await;
    if matches!(cache, Some(Cache::File(..))) {
        // Who waited for the lock of the page learns by this that it is the file's no more.
        cpu.this_cpu_write(cpu.kernel.page(old).mapping(), 0);
    }
    Ok(())
}

async fn is_held_otherwise(cpu: Cpu<'_>, page: Page, expected: u64) -> Result<(), InUse> {
    let held = check!(cpu, MIGRATE_EXPECTED_COUNT, page_count(cpu, page).await != expected);
    if held { Err(InUse) } else { Ok(()) }
}

/// `migrate_page_move_mapping()`, since v5.16 `folio_migrate_mapping()`.
async fn migrate_page_move_mapping(
    cpu: Cpu<'_>,
    new: Page,
    old: Page,
    cache: Option<Cache>,
    expected: u64,
) -> Result<(), InUse> {
    let _routine = cpu.enter("migrate_page_move_mapping");
    let kernel: &Kernel = cpu.kernel;
    let Some(cache) = cache else {
        is_held_otherwise(cpu, old, expected).await?;
        take_place(cpu, new, old);
        return Ok(());
    };
    let xa_lock = match cache {
        Cache::File(file, _) => kernel.shmem.xa_lock(file),
        Cache::Swap(entry) => kernel.swap.slot(entry).xa_lock(),
    };
    let _xa_lock = cpu.lock(xa_lock).await;
    let frozen = cpu.has(MIGRATE_FREEZE);
    if frozen {
        if !page_ref_freeze(cpu, old, expected).await {
            return Err(InUse);
        }
    } else {
        is_held_otherwise(cpu, old, expected).await?;
    }
    take_place(cpu, new, old);
    // The reference of the cache.
    get_page(cpu, new).await;
    match cache {
        Cache::File(file, index) => {
            cpu.update(kernel.shmem.i_pages(file), |pages| pages.insert(index, Cached::Page(new))).await;
            let at = SharedPage { file: file.index() as u32, index };
            cpu.note(Event::PageUncached { pfn: old.0, page: at });
            cpu.note(Event::PageCached { pfn: new.0, page: at });
        }
        Cache::Swap(entry) => {
            cpu.this_cpu_write(kernel.page(new).private(), entry.0 + 1);
            cpu.this_cpu_write(kernel.page(old).private(), 0);
            cpu.store(kernel.swap.slot(entry).cached(), new.0.0 + 1).await;
        }
    }
    if frozen {
        // A plain store: a reference that somebody got meanwhile would be lost.
        page_ref_unfreeze(cpu, old, expected - 1).await;
    } else {
        put_page(cpu, old).await;
    }
    Ok(())
}

/// Before anybody can find the new page, it says what it is.
fn take_place(cpu: Cpu<'_>, new: Page, old: Page) {
    let (new, old) = (cpu.kernel.page(new), cpu.kernel.page(old));
    cpu.this_cpu_write(new.index(), cpu.this_cpu_read(old.index()));
    cpu.this_cpu_write(new.mapping(), cpu.this_cpu_read(old.mapping()));
    let kept = cpu.this_cpu_read(old.flags()) & (PageFlags::SWAPBACKED | PageFlags::SWAPCACHE);
    cpu.this_cpu_write(new.flags(), cpu.this_cpu_read(new.flags()) | kept);
}

/// `migrate_page_states()`, since v5.16 `folio_migrate_flags()`.
async fn migrate_page_states(cpu: Cpu<'_>, new: Page, old: Page) {
    let gone = PageFlags::ACTIVE | PageFlags::UNEVICTABLE | PageFlags::DIRTY | PageFlags::SWAPCACHE;
    let flags = cpu.rmw(cpu.kernel.page_flags(old), move |flags| flags - gone).await;
    // That it is locked in memory follows from its mappings, when the entries lead to it.
    let kept = flags & (PageFlags::REFERENCED | PageFlags::ACTIVE | PageFlags::DIRTY);
    cpu.rmw(cpu.kernel.page_flags(new), move |flags| flags | kept).await;
    cpu.note(Event::PageMigrated { from: old.0, to: new.0 });
}
