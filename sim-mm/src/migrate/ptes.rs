//! `remove_migration_ptes()`: the entries of a page lead to where it is now.

use sim_mmu::{Entry, Pfn};

use crate::folio::page_is_anon;
use crate::kernel::Cpu;
use crate::mm_types::{Page, Vma};
use crate::page::get_page;
use crate::page_flags::PageFlags;
use crate::page_vma_mapped::{Find, Mapped, PageVmaMappedWalk, Run};
use crate::pgtable::{Pte, vma_page_prot};
use crate::rmap::types::AnonVma;
use crate::rmap::{AnonLock, Place, page_add_anon_rmap, page_add_file_rmap, rmap_walk};
use crate::swap::mlock_folio;
use crate::swapops::{MigrationEntry, MigrationKind};
use crate::vm_flags::VmFlags;

/// `remove_migration_ptes()`: each entry that says that `old` is being moved leads to `new`, which is the same page if it has not been
/// moved. Both are locked. Of an anonymous page, the caller keeps the `anon_vma`: nobody maps the page.
pub(crate) async fn remove_migration_ptes(cpu: Cpu<'_>, old: Page, new: Page, anon_vma: Option<AnonVma>) {
    let lock = anon_vma.map_or(AnonLock::OfMapped, AnonLock::Kept);
    remove_migration_ptes_under(cpu, old, new, lock).await;
}

/// The same, by a caller who says how the tree is locked.
pub(crate) async fn remove_migration_ptes_under(cpu: Cpu<'_>, old: Page, new: Page, lock: AnonLock) {
    let _routine = cpu.enter("remove_migration_ptes");
    rmap_walk(cpu, new, lock, async |place| remove_migration_pte(cpu, old, new, place).await).await;
}

/// `remove_migration_pte()`. No translation has to be flushed: there was none.
async fn remove_migration_pte<'m>(cpu: Cpu<'m>, old: Page, new: Page, place: Place<'m>) -> bool {
    let _routine = cpu.enter("remove_migration_pte");
    let Place { vma, run } = place;
    // The walk finds the entries of the page that is left behind.
    let behind = Page(Pfn(old.0.0 + (run.page.0.0 - new.0.0)));
    let mut walk = PageVmaMappedWalk::new(Run { page: behind, ..run }, Find::Migrating);
    while let Some(mapped) = walk.next(cpu).await {
        let new = Page(Pfn(new.0.0 + (mapped.page.0.0 - old.0.0)));
        remove_one(cpu, vma, new, mapped).await;
    }
    true
}

async fn remove_one<'m>(cpu: Cpu<'m>, vma: Vma, new: Page, mapped: Mapped<'m>) {
    let Mapped { mm, address, .. } = mapped;
    let Some(entry) = MigrationEntry::of_pte(mapped.pte.entry) else { return };
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
}
