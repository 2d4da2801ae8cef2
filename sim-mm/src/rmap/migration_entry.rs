//! What an entry says of a page that is being moved: `include/linux/swapops.h`.

use sim_mmu::Entry;

use crate::kernel::Cpu;
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
