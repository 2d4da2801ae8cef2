//! `remove_migration_ptes()`: the entries of a page lead to where it is now.

use sim_mmu::Entry;

use crate::folio::page_is_anon;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::get_page;
use crate::page_flags::PageFlags;
use crate::page_vma_mapped::page_vma_migrating_walk;
use crate::pgtable::{Pte, vma_page_prot};
use crate::rmap::types::AnonVma;
use crate::rmap::{AnonLock, Place, page_add_anon_rmap, page_add_file_rmap, rmap_walk};
use crate::swap::mlock_folio;
use crate::swapops::{MigrationEntry, MigrationKind};
use crate::vm_flags::VmFlags;

/// `remove_migration_ptes()`: each entry that says that `old` is being moved leads to `new`, which is the same page if it has not been
/// moved. Both are locked. Of an anonymous page, the caller keeps the `anon_vma`: nobody maps the page.
pub(crate) async fn remove_migration_ptes(cpu: Cpu<'_>, old: Page, new: Page, anon_vma: Option<AnonVma>) {
    let _routine = cpu.enter("remove_migration_ptes");
    let lock = anon_vma.map_or(AnonLock::OfMapped, AnonLock::Kept);
    rmap_walk(cpu, new, lock, async |place| remove_migration_pte(cpu, old, new, place).await).await;
}

/// `remove_migration_pte()`. No translation has to be flushed: there was none.
async fn remove_migration_pte<'m>(cpu: Cpu<'m>, old: Page, new: Page, place: Place<'m>) -> bool {
    let _routine = cpu.enter("remove_migration_pte");
    let Place { mm, vma, address } = place;
    let Some(mapped) = page_vma_migrating_walk(cpu, old, mm, address).await else { return true };
    let Some(entry) = MigrationEntry::of_pte(mapped.pte.entry) else { return true };
    get_page(cpu, new).await;
    let mut pte = Pte::make(new.0, vma_page_prot(cpu, vma.flags(cpu)));
    if !entry.young {
        pte = pte.without(Entry::ACCESSED);
    }
    if entry.dirty && cpu.load(cpu.kernel.page_flags(new)).await.contains(PageFlags::DIRTY) {
        pte = pte.with(Entry::DIRTY);
    }
    if entry.soft_dirty {
        pte = pte.with(Entry::SOFT_DIRTY);
    }
    match entry.kind {
        MigrationKind::Writable => pte = pte.with(Entry::RW),
        _ if entry.uffd_wp => pte = pte.with(Entry::UFFD_WP).without(Entry::RW),
        _ => {}
    }
    if page_is_anon(cpu, new) {
        let exclusive = entry.kind != MigrationKind::Readable;
        page_add_anon_rmap(cpu, new, vma, address, exclusive).await;
    } else {
        page_add_file_rmap(cpu, new, mm.id).await;
    }
    cpu.set_pte_at(mm, address, mapped.ptep, pte).await;
    if vma.flags(cpu).contains(VmFlags::LOCKED) {
        // mlock_vma_page(): mlock() passes over entries that are not present.
        mlock_folio(cpu, new).await;
    }
    true
}
