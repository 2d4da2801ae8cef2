//! What others do about an entry whose page is being moved: `migration_entry_wait()`.

use sim_core::{BoxFuture, Held};

use crate::event::Event;
use crate::huge_pte::huge_pte_lock;
use crate::huge_pte::{HugePte, HugePtep};
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::{get_page_unless_zero, put_page, wait_on_page_locked};
use crate::page_flags::PageFlags;
use crate::pgtable::{Pmd, Pmdp, Pte, Ptep};
use crate::pgtable_generic::is_unlinked;
use crate::safeguards::MIGRATION_WAIT_RECHECK;
use crate::settings::MigrationWait;
use crate::swapops::MigrationEntry;

/// `migration_entry_to_page()`, since v5.13 `pfn_swap_entry_to_page()`: the page that is being moved. It is locked as long as an entry
/// says so.
pub(crate) async fn migration_entry_to_page(cpu: Cpu<'_>, entry: MigrationEntry) -> Page {
    let page = Page(entry.pfn);
    if !cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::LOCKED) {
        cpu.note(Event::KernelBug { what: "BUG_ON(is_migration_entry(entry) && !PageLocked(p))" });
    }
    page
}

/// `migration_entry_wait()`: waits until the page has been moved, or stays where it is. Then the access is tried again. In a box, since
/// hardly any fault comes here.
pub fn migration_entry_wait<'m>(cpu: Cpu<'m>, pmdp: Pmdp, (ptep, seen): (Ptep, Pte)) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let _routine = cpu.enter("migration_entry_wait");
        let ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
        if is_unlinked(cpu, pmdp, ptep) {
            // Whoever took the table away had unmapped all that it led to.
            return;
        }
        let pte = if reads_again(cpu) { cpu.read_once(ptep).await } else { seen };
        wait_for(cpu, MigrationEntry::of_pte(pte.entry), ptl).await;
    })
}

/// `pmd_migration_entry_wait()`: the same for a huge page.
pub fn pmd_migration_entry_wait<'m>(cpu: Cpu<'m>, pmdp: Pmdp, seen: Pmd) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let _routine = cpu.enter("pmd_migration_entry_wait");
        let ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
        let pmd = if reads_again(cpu) { cpu.read_once(pmdp).await } else { seen };
        wait_for(cpu, pmd.migration(), ptl).await;
    })
}

/// `migration_entry_wait_huge()`: the same for a huge page of the pool, be it a gigantic one.
pub(crate) fn migration_entry_wait_huge<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (ptep, seen): (HugePtep, HugePte),
) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let _routine = cpu.enter("migration_entry_wait_huge");
        let ptl = huge_pte_lock(cpu, mm, ptep).await;
        let pte = if reads_again(cpu) { cpu.read_once(ptep).await } else { seen };
        wait_for(cpu, pte.migration(), ptl).await;
    })
}

/// The entry was read without its lock.
fn reads_again(cpu: Cpu<'_>) -> bool {
    cpu.has(MIGRATION_WAIT_RECHECK)
}

/// What is done under the lock of the table, and how the page is waited for by release: since v5.17 `migration_entry_wait_on_locked()`.
async fn wait_for<'m>(cpu: Cpu<'m>, entry: Option<MigrationEntry>, ptl: Held<'m>) {
    let Some(entry) = entry else {
        cpu.decided(MIGRATION_WAIT_RECHECK);
        return;
    };
    // A part of a large folio has no count and no lock of its own.
    let page = cpu.kernel.folio_of(migration_entry_to_page(cpu, entry).await);
    match cpu.setting::<MigrationWait>() {
        // The lock of the table keeps the entry as it is, and so the page locked, until the task is in the queue.
        MigrationWait::Locked => {
            drop(ptl);
            wait_on_page_locked(cpu, page).await;
        }
        design => {
            // get_page_unless_zero(): while another page takes its place in a cache, the count is zero.
            if !get_page_unless_zero(cpu, page).await {
                return;
            }
            drop(ptl);
            if design == MigrationWait::PutAndWait {
                put_page(cpu, page).await;
                wait_on_page_locked(cpu, page).await;
            } else {
                wait_on_page_locked(cpu, page).await;
                put_page(cpu, page).await;
            }
        }
    }
}
