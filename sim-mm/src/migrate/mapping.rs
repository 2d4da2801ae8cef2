//! `migrate_page()`: another page takes the place of a page that nobody maps and nobody else holds.

use sim_mmu::Pfn;

use crate::check;
use crate::event::Event;
use crate::filemap::{note_cached, note_uncached};
use crate::folio::folio_nr_pages;
use crate::fs::Inode;
use crate::highmem::copy_user_huge_page;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page::{page_count, page_ref_add, page_ref_freeze, page_ref_unfreeze, put_page, put_page_refs};
use crate::page_flags::{PageFlags, file_of_mapping};
use crate::safeguards::{MIGRATE_EXPECTED_COUNT, MIGRATE_FREEZE};
use crate::settings::MigrateCopy;
use crate::shmem_fs::Cached;
use crate::swap_state::{lock_swap_cache, slots_of};
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
    // folio_expected_refs(): whoever moves the folio has a reference, and the cache has one for each page of it.
    let expected = 1 + if cache.is_some() { folio_nr_pages(cpu, old) } else { 0 };
    if cpu.setting::<MigrateCopy>() == MigrateCopy::BeforeMapping {
        // Nobody maps the page, so that nobody writes to it from here on but who has a reference.
        is_held_otherwise(cpu, old, expected).await?;
        if contents == Contents::Copied {
            copy_user_huge_page(cpu, new, old, folio_nr_pages(cpu, old)).await;
        }
        migrate_page_move_mapping(cpu, new, old, cache, expected).await?;
    } else {
        migrate_page_move_mapping(cpu, new, old, cache, expected).await?;
        if contents == Contents::Copied {
            copy_user_huge_page(cpu, new, old, folio_nr_pages(cpu, old)).await;
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
    let _xa_locks = match cache {
        Cache::File(file, _) => vec![cpu.lock(kernel.shmem.xa_lock(file)).await],
        Cache::Swap(_) => lock_swap_cache(cpu, old).await,
    };
    let frozen = cpu.has(MIGRATE_FREEZE);
    if frozen {
        if !page_ref_freeze(cpu, old, expected).await {
            return Err(InUse);
        }
    } else {
        is_held_otherwise(cpu, old, expected).await?;
    }
    take_place(cpu, new, old);
    // The references of the cache.
    page_ref_add(cpu, new, expected - 1).await;
    match cache {
        Cache::File(file, index) => {
            let nr = folio_nr_pages(cpu, old);
            cpu.update(kernel.shmem.i_pages(file), |pages| {
                pages.extend((0..nr).map(|nth| (index + nth, Cached::Page(new).nth(nth))));
            })
            .await;
            note_uncached(cpu, file, index, old);
            note_cached(cpu, file, index, new);
        }
        Cache::Swap(entry) => {
            for (part, entry) in slots_of(cpu, old, entry) {
                let new = Page(Pfn(new.0.0 + (part.0.0 - old.0.0)));
                cpu.this_cpu_write(kernel.page(new).private(), entry.0 + 1);
                cpu.this_cpu_write(kernel.page(part).private(), 0);
                cpu.store(kernel.swap.slot(entry).cached(), new.0.0 + 1).await;
            }
        }
    }
    if frozen {
        // A plain store: a reference that somebody got meanwhile would be lost.
        page_ref_unfreeze(cpu, old, 1).await;
    } else {
        put_page_refs(cpu, old, expected - 1).await;
    }
    Ok(())
}

/// Before anybody can find the new page, it says what it is.
pub(crate) fn take_place(cpu: Cpu<'_>, new: Page, old: Page) {
    let (new, old) = (cpu.kernel.page(new), cpu.kernel.page(old));
    cpu.this_cpu_write(new.index(), cpu.this_cpu_read(old.index()));
    cpu.this_cpu_write(new.mapping(), cpu.this_cpu_read(old.mapping()));
    let kept = cpu.this_cpu_read(old.flags()) & (PageFlags::SWAPBACKED | PageFlags::SWAPCACHE);
    cpu.this_cpu_write(new.flags(), cpu.this_cpu_read(new.flags()) | kept);
}

/// A page that has not taken the place of another. It is locked no more, and nobody knew that it was.
pub(crate) async fn discard(cpu: Cpu<'_>, new: Page) {
    let words = cpu.kernel.page(new);
    cpu.this_cpu_write(words.flags(), cpu.this_cpu_read(words.flags()) & (PageFlags::HEAD | PageFlags::HUGETLB));
    cpu.this_cpu_write(words.mapping(), 0);
    cpu.note(Event::PageUnlocked { pfn: new.0 });
    put_page(cpu, new).await;
}

/// `migrate_page_states()`, since v5.16 `folio_migrate_flags()`.
pub(crate) async fn migrate_page_states(cpu: Cpu<'_>, new: Page, old: Page) {
    // mlock_migrate_page(): the new page counts as locked, and the old one does not.
    let gone =
        PageFlags::ACTIVE | PageFlags::UNEVICTABLE | PageFlags::MLOCKED | PageFlags::DIRTY | PageFlags::SWAPCACHE;
    let flags = cpu.rmw(cpu.kernel.page_flags(old), move |flags| flags - gone).await;
    // That it is locked in memory follows from its mappings, when the entries lead to it.
    let kept = flags & (PageFlags::REFERENCED | PageFlags::ACTIVE | PageFlags::MLOCKED | PageFlags::DIRTY);
    cpu.rmw(cpu.kernel.page_flags(new), move |flags| flags | kept).await;
    for (from, to) in cpu.kernel.folio_pages(old).zip(cpu.kernel.folio_pages(new)) {
        cpu.note(Event::PageMigrated { from: from.0, to: to.0 });
    }
}
