//! What an entry says of a page that is being moved: `include/linux/swapops.h`.

use sim_mmu::Entry;

use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page_flags::PageFlags;
use crate::page_tags::set_page_dirty;
use crate::safeguards::{FORK_MIGRATION_READ, MIGRATE_SET_DIRTY};
use crate::settings::MigrationAd;
use crate::swapops::{MigrationEntry, MigrationKind};

/// `make_writable_migration_entry()` and its kin.
pub(crate) fn make_migration_entry(cpu: Cpu<'_>, entry: Entry, exclusive: bool) -> MigrationEntry {
    let kind = match exclusive {
        _ if entry.has(Entry::RW) => MigrationKind::Writable,
        true => MigrationKind::ReadableExclusive,
        false => MigrationKind::Readable,
    };
    let keeps = cpu.setting::<MigrationAd>() == MigrationAd::Kept;
    MigrationEntry {
        kind,
        pfn: entry.pfn(),
        young: keeps && entry.has(Entry::ACCESSED),
        dirty: keeps && entry.has(Entry::DIRTY),
        soft_dirty: entry.has(Entry::SOFT_DIRTY),
        uffd_wp: entry.has(Entry::UFFD_WP),
    }
}

/// The dirty bit of an entry that was taken away is kept in the page: the entry that knew it is gone.
pub(crate) async fn keep_dirty_bit(cpu: Cpu<'_>, taken: Entry, page: Page) {
    if taken.has(Entry::DIRTY) && cpu.has(MIGRATE_SET_DIRTY) {
        set_page_dirty(cpu, page).await;
    }
}

/// An entry that maps a page again, as it was before the page was moved: what its mapping allows, and what the migration entry says.
pub(crate) async fn restored(cpu: Cpu<'_>, entry: MigrationEntry, mut mapped: Entry, new: Page) -> Entry {
    if !entry.young {
        mapped = mapped.without(Entry::ACCESSED);
    }
    if entry.dirty && cpu.load(cpu.kernel.page_flags(new)).await.contains(PageFlags::DIRTY) {
        mapped = mapped.with(Entry::DIRTY);
    }
    if entry.soft_dirty {
        mapped = mapped.with(Entry::SOFT_DIRTY);
    }
    match entry.kind {
        MigrationKind::Writable => mapped.with(Entry::RW),
        _ if entry.uffd_wp => mapped.with(Entry::UFFD_WP).without(Entry::RW),
        _ => mapped,
    }
}

/// What fork makes of an entry whose page is being moved: what the parent's says from now on, if that is to be set, and what the child's says.
/// If the page is to be copied at a write then it comes back read-only in both.
pub(crate) fn forked(
    cpu: Cpu<'_>,
    mut entry: MigrationEntry,
    is_cow: bool,
) -> (Option<MigrationEntry>, MigrationEntry) {
    let shares = entry.is_exclusive() && is_cow && cpu.has(FORK_MIGRATION_READ);
    if shares {
        entry.kind = MigrationKind::Readable;
    }
    // The child has no descriptor.
    (shares.then_some(entry), MigrationEntry { uffd_wp: false, ..entry })
}
