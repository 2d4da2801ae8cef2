//! A huge page that is moved whole: `set_pmd_migration_entry()`, `remove_migration_pmd()`. Since v4.14.
//!
//! The page table that was deposited for the huge page stays where it is: the entry stands for a huge page all the time.

use sim_mmu::{Entry, VirtAddr};

use crate::folio::page_is_anon;
use crate::huge_pte::HugePtep;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page::{get_page, put_page};
use crate::pgtable::{Pmd, Pmdp, vma_page_prot};
use crate::pgtable_generic::pmdp_invalidate;
use crate::rmap::{
    folio_add_anon_rmap_pmd, folio_add_rmap_pmd, folio_remove_rmap_pmd, keep_dirty_bit, make_migration_entry,
    page_anon_exclusive, page_try_share_anon_rmap, restored,
};
use crate::swap::mlock_folio;
use crate::swapops::MigrationEntry;
use crate::vm_flags::VmFlags;

/// `set_pmd_migration_entry()`: the entry that maps a huge page says that the page is being moved. False if the page is pinned, and so stays.
/// The caller holds the lock of the entry.
pub(crate) async fn set_pmd_migration_entry<'m>(
    cpu: Cpu<'m>,
    head: Page,
    (mm, address): (&'m MmStruct, VirtAddr),
    pmdp: Pmdp,
) -> bool {
    let _routine = cpu.enter("set_pmd_migration_entry");
    let pmdval = pmdp_invalidate(cpu, mm, address, pmdp).await;
    let exclusive = page_anon_exclusive(cpu, head).await;
    // The entry is invalid by now: a lockless pin that came before shows in the count, and one that comes later finds it changed.
    if exclusive && !page_try_share_anon_rmap(cpu, head).await {
        cpu.set_pmd_at(mm, address, pmdp, pmdval.entry).await;
        return false;
    }
    keep_dirty_bit(cpu, pmdval.entry, head).await;
    let entry = make_migration_entry(cpu, pmdval.entry.without(Entry::PAGE_SIZE), exclusive);
    cpu.set_pmd_at(mm, address, pmdp, entry.to_pte()).await;
    folio_remove_rmap_pmd(cpu, head, mm.id).await;
    put_page(cpu, head).await;
    true
}

/// `remove_migration_pmd()`, and the part of `remove_migration_pte()` for a page of the pool: the entry maps the huge page where it is now. No translation has to be flushed: there was none. The caller holds
/// the lock of the entry.
pub(crate) async fn remove_migration_pmd<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    (mm, address): (&'m MmStruct, VirtAddr),
    (ptep, entry): (HugePtep, MigrationEntry),
    new: Page,
) {
    let _routine = cpu.enter("remove_migration_pmd");
    get_page(cpu, new).await;
    let mapped = Pmd::make_huge(new.0, vma_page_prot(cpu, vma.flags(cpu)));
    let mapped = restored(cpu, entry, mapped, new).await;
    if page_is_anon(cpu, new) {
        folio_add_anon_rmap_pmd(cpu, new, mm.id, entry.is_exclusive()).await;
    } else {
        folio_add_rmap_pmd(cpu, new, mm.id).await;
    }
    cpu.set_pmd_at(mm, address, ptep, mapped).await;
    if vma.flags(cpu).contains(VmFlags::LOCKED) {
        mlock_folio(cpu, new).await;
    }
}
