//! `remove_migration_ptes()`: the entries of a page lead to where it is now.

use sim_mmu::{Entry, Pfn};

use crate::check;
use crate::folio::page_is_anon;
use crate::highmem::read_page;
use crate::huge_memory::remove_migration_pmd;
use crate::hugetlb::huge_pte_migrating;
use crate::hwpoison::{note_consumed, page_hwpoison};
use crate::kernel::Cpu;
use crate::mlock_page::mlock_vma_page;
use crate::mlocked::marks_mlocked;
use crate::mm_types::{Page, Vma};
use crate::page::get_page;
use crate::page_flags::PageFlags;
use crate::page_vma_mapped::{Find, Mapped, PageVmaMappedWalk, Run, pmd_migrating_walk};
use crate::pgtable::{Pte, vma_page_prot};
use crate::rmap::types::AnonVma;
use crate::rmap::{Place, RmapLock, page_add_anon_rmap, page_add_file_rmap, restored, rmap_walk};
use crate::safeguards::SPLIT_ZEROES_HWPOISON;
use crate::swap::mlock_folio;
use crate::swapops::MigrationEntry;
use crate::vm_flags::VmFlags;

/// `remove_migration_ptes()`: each entry that says that `old` is being moved leads to `new`, which is the same page if it has not been
/// moved. Both are locked. Of an anonymous page, the caller keeps the `anon_vma`: nobody maps the page.
pub(crate) async fn remove_migration_ptes(cpu: Cpu<'_>, old: Page, new: Page, anon_vma: Option<AnonVma>) {
    remove_migration_ptes_locked(cpu, old, new, anon_vma.map_or(RmapLock::OfMapped, RmapLock::Kept)).await;
}

/// The same by a caller who has locked the mappings of a file, or keeps the `anon_vma`.
pub(super) async fn remove_migration_ptes_locked(cpu: Cpu<'_>, old: Page, new: Page, lock: RmapLock) {
    let _routine = cpu.enter("remove_migration_ptes");
    rmap_walk(cpu, new, lock, async |place| remove_migration_pte(cpu, old, new, place, Zeroes::Kept).await).await;
}

/// What an entry maps whose page holds only zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zeroes {
    /// The page.
    Kept,
    /// `RMP_USE_SHARED_ZEROPAGE`: the page of zeroes.
    ZeroPage,
}

/// `remap_page()`, of one folio: the same after a split, or where a split has failed. The caller has the tree locked.
pub(crate) async fn remap_page(cpu: Cpu<'_>, folio: Page, anon_vma: AnonVma, zeroes: Zeroes) {
    let _routine = cpu.enter("remove_migration_ptes");
    let one = async |place| remove_migration_pte(cpu, folio, folio, place, zeroes).await;
    rmap_walk(cpu, folio, RmapLock::Locked(anon_vma), one).await;
}

/// `remove_migration_pte()`. No translation has to be flushed: there was none.
async fn remove_migration_pte<'m>(cpu: Cpu<'m>, old: Page, new: Page, place: Place<'m>, zeroes: Zeroes) -> bool {
    let _routine = cpu.enter("remove_migration_pte");
    let Place { vma, run } = place;
    // The walk finds the entries of the page that is left behind.
    let behind = Page(Pfn(old.0.0 + (run.page.0.0 - new.0.0)));
    if cpu.kernel.is_hugetlb(new) {
        Box::pin(async move {
            if let Some((ptep, entry, _ptl)) = huge_pte_migrating(cpu, behind, run.mm, run.address).await {
                remove_migration_pmd(cpu, vma, (run.mm, run.address), (ptep, entry), new).await;
            }
        })
        .await;
        return true;
    }
    if run.pages > 1
        && let Some((ptep, entry, _ptl)) = pmd_migrating_walk(cpu, behind, run.mm, run.address).await
    {
        Box::pin(remove_migration_pmd(cpu, vma, (run.mm, run.address), (ptep, entry), new)).await;
        return true;
    }
    let mut walk = PageVmaMappedWalk::new(Run { page: behind, ..run }, Find::Migrating);
    while let Some(mapped) = walk.next(cpu).await {
        let new = Page(Pfn(new.0.0 + (mapped.page.0.0 - old.0.0)));
        if zeroes == Zeroes::Kept || !Box::pin(try_to_map_unused_to_zeropage(cpu, vma, mapped)).await {
            remove_one(cpu, vma, new, mapped).await;
        }
    }
    true
}

/// `try_to_map_unused_to_zeropage()`: a page that was never written need not be kept. Nobody can write to it now.
async fn try_to_map_unused_to_zeropage<'m>(cpu: Cpu<'m>, vma: Vma, mapped: Mapped<'m>) -> bool {
    let flags = cpu.load(cpu.kernel.page_flags(mapped.page)).await;
    if flags.contains(PageFlags::UNEVICTABLE) || vma.flags(cpu).contains(VmFlags::LOCKED) {
        return false;
    }
    if check!(cpu, SPLIT_ZEROES_HWPOISON, page_hwpoison(cpu, mapped.page).await) {
        return false;
    }
    let Some(entry) = MigrationEntry::of_pte(mapped.pte.entry) else { return false };
    note_consumed(cpu, mapped.page);
    if read_page(cpu, mapped.page).await.iter().any(|word| *word != 0) {
        return false;
    }
    let mut zero = Pte::make(cpu.kernel.zero_page.0, vma_page_prot(cpu, vma.flags(cpu))).with(Entry::SPECIAL);
    if entry.soft_dirty {
        zero = zero.with(Entry::SOFT_DIRTY);
    }
    if entry.uffd_wp {
        zero = zero.with(Entry::UFFD_WP);
    }
    cpu.set_pte_at(mapped.mm, mapped.address, mapped.ptep, zero).await;
    true
}

async fn remove_one<'m>(cpu: Cpu<'m>, vma: Vma, new: Page, mapped: Mapped<'m>) {
    let Mapped { mm, address, .. } = mapped;
    let Some(entry) = MigrationEntry::of_pte(mapped.pte.entry) else { return };
    get_page(cpu, new).await;
    let pte = Pte::make(new.0, vma_page_prot(cpu, vma.flags(cpu)));
    let pte = restored(cpu, entry, pte, new).await;
    if page_is_anon(cpu, new) {
        page_add_anon_rmap(cpu, new, vma, address, entry.is_exclusive()).await;
    } else {
        page_add_file_rmap(cpu, new, mm.id).await;
    }
    cpu.set_pte_at(mm, address, mapped.ptep, pte).await;
    if vma.flags(cpu).contains(VmFlags::LOCKED) {
        // mlock() passes over entries that are not present.
        if marks_mlocked(cpu) {
            mlock_vma_page(cpu, new).await;
        } else {
            mlock_folio(cpu, new).await;
        }
    }
}
