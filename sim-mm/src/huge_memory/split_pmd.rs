//! A table of entries in place of one that maps a huge page: `__split_huge_pmd()`.

use sim_core::{BoxFuture, Held};
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use super::zero::{entries_count, is_huge_zero_pmd, put_huge_zero_page};
use crate::event::Event;
use crate::folio::folio_nr_pages;
use crate::huge_pte::huge_migration;
use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::{
    get_page, lock_page, put_page, set_page_dirty_no_writeback, set_page_referenced, test_and_set_flags,
    unlock_page,
};
use crate::page_flags::PageFlags;
use crate::page_vma_mapped::huge_entry;
use crate::pgtable::{Pmd, Pmdp, Pte, maybe_mkwrite, vm_get_page_prot};
use crate::pgtable_generic::{pgtable_trans_huge_withdraw, pmdp_huge_clear_flush, pmdp_invalidate_for_split};
use crate::pgtable_huge::part_of_huge;
use crate::rmap::{
    folio_add_anon_rmap_ptes, folio_remove_rmap_pmd, make_migration_entry, page_anon_exclusive,
    page_try_share_anon_rmap,
};
use crate::safeguards::SPLIT_PMD_PAGE_LOCK;
use crate::settings::SplitPmdFolio;
use crate::vm_flags::VmFlags;

/// `__split_huge_pmd()`: the entry leads to a table when this returns, if it mapped a huge page. Of a file, it is empty.
pub fn split_huge_pmd<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    mm: &'m MmStruct,
    pmdp: Pmdp,
    address: VirtAddr,
) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let _routine = cpu.enter("__split_huge_pmd");
        let address = cpu.pmd_base(address);
        let range = mmu_notifier_invalidate_range_start(cpu, mm, cpu.pmd_range(address)).await;
        split_if_huge(cpu, vma, mm, pmdp, address).await;
        mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    })
}

/// The body of `__split_huge_pmd()`, under the lock of the entry.
async fn split_if_huge<'m>(cpu: Cpu<'m>, vma: Vma, mm: &'m MmStruct, pmdp: Pmdp, address: VirtAddr) {
    let ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
    let pmd = cpu.read_once(pmdp).await;
    if !pmd.is_huge() {
        return;
    }
    let has_page = pmd.trans_huge() && !is_huge_zero_pmd(cpu, pmd);
    let (pmd, locked, _ptl) = if cpu.has(SPLIT_PMD_PAGE_LOCK) && has_page {
        lock_page_of(cpu, pmdp, pmd, ptl).await
    } else {
        (pmd, None, ptl)
    };
    if pmd.is_huge() {
        __split_huge_pmd_locked(cpu, vma, mm, pmdp, address, (pmd, Small::Mapping)).await;
    }
    if let Some(page) = locked {
        unlock_page(cpu, page).await;
    }
}

/// Locks the page that an entry maps, for which the lock of the table is let go of if somebody else has the page locked: nobody sleeps with a
/// spin lock. Answers what the entry is by then, and the page if it is locked.
async fn lock_page_of<'m>(
    cpu: Cpu<'m>,
    pmdp: Pmdp,
    mut pmd: Pmd,
    mut ptl: Held<'m>,
) -> (Pmd, Option<Page>, Held<'m>) {
    loop {
        let head = Page(pmd.pfn());
        if test_and_set_flags(cpu, head, PageFlags::LOCKED).await {
            return (pmd, Some(head), ptl);
        }
        get_page(cpu, head).await;
        drop(ptl);
        lock_page(cpu, head).await;
        ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
        let now = cpu.read_once(pmdp).await;
        put_page(cpu, head).await;
        if now == pmd {
            return (pmd, Some(head), ptl);
        }
        unlock_page(cpu, head).await;
        pmd = now;
        if !pmd.trans_huge() || is_huge_zero_pmd(cpu, pmd) {
            return (pmd, None, ptl);
        }
    }
}

/// What the small entries are that take the place of a huge one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Small {
    /// They map the pages.
    Mapping,
    /// `freeze`: they say that the pages are being moved.
    Migrating,
}

/// `split_huge_pmd_address()`: the same, if the entry for the address maps all of `head`.
pub(crate) fn split_huge_pmd_address<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    mm: &'m MmStruct,
    address: VirtAddr,
    head: Page,
    small: Small,
) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let range = mmu_notifier_invalidate_range_start(cpu, mm, cpu.pmd_range(address)).await;
        split_if_maps(cpu, vma, mm, address, (head, small)).await;
        mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    })
}

/// The body of `split_huge_pmd_address()`, under the lock of the entry.
async fn split_if_maps<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    mm: &'m MmStruct,
    address: VirtAddr,
    (head, small): (Page, Small),
) {
    let Some((pmdp, pmd, _ptl)) = huge_entry(cpu, mm, address).await else { return };
    let _routine = cpu.enter("__split_huge_pmd");
    if pmd.migration().is_some() {
        // pmd_folio() reads the descriptor of a frame. The bits of this entry name another frame, or none.
        let looks = cpu.setting::<SplitPmdFolio>() == SplitPmdFolio::Folios;
        if looks && !cpu.mmu.phys.contains(pmd_pfn_of_bits(pmd.entry)) {
            cpu.note(Event::KernelBug { what: "pmd_folio() of an entry that names no frame" });
        }
    } else if pmd.maps(head) {
        __split_huge_pmd_locked(cpu, vma, mm, pmdp, cpu.pmd_base(address), (pmd, small)).await;
    }
}

/// `pmd_pfn()` of an entry that is not present: `__pte_needs_invert()`.
fn pmd_pfn_of_bits(entry: Entry) -> Pfn {
    Entry(!entry.0).pfn()
}

/// Whether a huge page is mapped around an address that is not its first one. Looks without an access, for a caller that holds `mmap_lock`
/// for writing.
fn is_inside_huge_page(cpu: Cpu<'_>, mm: &MmStruct, address: VirtAddr) -> bool {
    let root = cpu.this_cpu_read(mm.pgd());
    let (_, level, entry) = cpu.mmu.lowest_under(root, address);
    let is_huge = entry.has(Entry::PAGE_SIZE) || huge_migration(entry).is_some();
    level == Level::Pmd && is_huge && cpu.pmd_base(address) != address
}

/// `vma_adjust_trans_huge()`: a mapping begins or ends at these addresses soon, and no huge page may lie in two mappings. The caller holds
/// `mmap_lock` for writing.
pub(crate) async fn vma_adjust_trans_huge<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, ends: [VirtAddr; 2]) {
    for address in ends.into_iter().filter(|address| is_inside_huge_page(cpu, mm, *address)) {
        let vma = mm.vmas.look(cpu.core).iter().copied().find(|vma| vma.contains(cpu, address));
        // A huge page of the pool is never split, and a mapping never ends in one.
        if let Some(vma) = vma.filter(|vma| !vma.flags(cpu).contains(VmFlags::HUGETLB))
            && let Some(pmdp) = find_pmd(cpu, mm, address).await
        {
            split_huge_pmd(cpu, vma, mm, pmdp, address).await;
        }
    }
}

/// `__split_huge_pmd_locked()`.
async fn __split_huge_pmd_locked<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    mm: &'m MmStruct,
    pmdp: Pmdp,
    address: VirtAddr,
    (pmd, small): (Pmd, Small),
) {
    let _routine = cpu.enter("__split_huge_pmd_locked");
    if pmd.migration().is_some() {
        split_migrating_pmd(cpu, vma, mm, pmdp, address, pmd).await;
    } else if !vma.is_anonymous(cpu) {
        split_file_pmd(cpu, mm, pmdp, address).await;
    } else if is_huge_zero_pmd(cpu, pmd) {
        split_huge_zero_page_pmd(cpu, vma, mm, pmdp, address).await;
    } else {
        split_anon_pmd(cpu, vma, mm, pmdp, address, small).await;
    }
}

/// A huge page of a file is only unmapped: the file has it, and faults map its pages again.
async fn split_file_pmd<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, pmdp: Pmdp, address: VirtAddr) {
    let old = pmdp_huge_clear_flush(cpu, mm, address, pmdp).await;
    // vma_is_special_huge(): the entry had no reference to the blocks.
    if old.devmap() {
        return;
    }
    let head = Page(old.pfn());
    if old.dirty() {
        set_page_dirty_no_writeback(cpu, head).await;
    }
    if old.young() {
        set_page_referenced(cpu, head).await;
    }
    folio_remove_rmap_pmd(cpu, head, mm.id).await;
    put_page(cpu, head).await;
}

/// The entry of a huge page that is being moved: each small entry says so of its page, and nothing has to be flushed. Of a file, the entry is
/// only emptied.
async fn split_migrating_pmd<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    mm: &'m MmStruct,
    pmdp: Pmdp,
    address: VirtAddr,
    old: Pmd,
) {
    if !vma.is_anonymous(cpu) {
        cpu.set_pmd_at(mm, address, pmdp, Entry::NONE).await;
        return;
    }
    populate(cpu, mm, pmdp, address, |nth| part_of_huge(old.entry, nth)).await;
}

/// `__split_huge_zero_page_pmd()`: each entry maps the small page of zeroes.
async fn split_huge_zero_page_pmd<'m>(cpu: Cpu<'m>, vma: Vma, mm: &'m MmStruct, pmdp: Pmdp, address: VirtAddr) {
    let old = pmdp_huge_clear_flush(cpu, mm, address, pmdp).await;
    let watched = old.entry.0 & Entry::UFFD_WP;
    let zero = Pte::make(cpu.kernel.zero_page.0, vm_get_page_prot(vma.flags(cpu)));
    populate(cpu, mm, pmdp, address, |_| zero.with(Entry::SPECIAL | watched)).await;
    if entries_count(cpu) {
        put_huge_zero_page(cpu).await;
    }
}

/// The page table that was deposited takes the place of a huge entry, with these entries for its pages.
async fn populate<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    pmdp: Pmdp,
    address: VirtAddr,
    entry: impl Fn(u64) -> Entry,
) {
    let Some(table) = pgtable_trans_huge_withdraw(cpu, pmdp) else { return };
    fill(cpu, table, entry).await;
    cpu.populate_split_pmd(mm, address, pmdp, table.0).await;
}

/// The entries of a table that nobody can find yet.
async fn fill(cpu: Cpu<'_>, table: Page, entry: impl Fn(u64) -> Entry) {
    for nth in 0..cpu.pmd_nr() {
        cpu.store(cpu.mmu.phys.entry(table.0, nth as u32), entry(nth)).await;
    }
}

/// The half of `__split_huge_pmd_locked()` for private memory. The hardware must not find the huge entry any more before it can find the
/// small ones: a TLB that has both is confused. The kernel sees a huge entry until the table is linked.
async fn split_anon_pmd<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    mm: &'m MmStruct,
    pmdp: Pmdp,
    address: VirtAddr,
    small: Small,
) {
    let old = pmdp_invalidate_for_split(cpu, mm, address, pmdp).await;
    let head = Page(old.pfn());
    if old.dirty() {
        set_page_dirty_no_writeback(cpu, head).await;
    }
    let exclusive = page_anon_exclusive(cpu, head).await;
    // The entry is invalid by now: a lockless pin that came before shows in the count, and one that comes later finds it changed.
    if small == Small::Migrating && (!exclusive || page_try_share_anon_rmap(cpu, head).await) {
        let table = pgtable_trans_huge_withdraw(cpu, pmdp).expect("a page table is deposited with each huge page");
        let part = |nth| Entry::new(Pfn(head.0.0 + nth), old.entry.without(Entry::PAGE_SIZE).flags());
        fill(cpu, table, |nth| make_migration_entry(cpu, part(nth), exclusive).to_pte()).await;
        folio_remove_rmap_pmd(cpu, head, mm.id).await;
        put_page(cpu, head).await;
        cpu.populate_split_pmd(mm, address, pmdp, table.0).await;
        return;
    }
    // page_ref_add(): each entry will have a reference. That of the huge one is one of them.
    let more = folio_nr_pages(cpu, head) - 1;
    crate::page::page_ref_add(cpu, head, more).await;
    let Some(table) = pgtable_trans_huge_withdraw(cpu, pmdp) else { return };
    let write = if old.write() { maybe_mkwrite(cpu, vma) } else { 0 };
    let kept = old.entry.0 & (Entry::ACCESSED | Entry::DIRTY | Entry::SOFT_DIRTY | Entry::UFFD_WP);
    let prot = vm_get_page_prot(vma.flags(cpu)) & !Entry::ACCESSED;
    // pte_protnone() stays what it is: the protection of the old entry tells.
    let prot = if old.protnone() { part_of_huge(old.entry, 0).flags() & !kept } else { prot };
    fill(cpu, table, |nth| Pte::make(Pfn(head.0.0 + nth), prot).with(kept | write)).await;
    folio_add_anon_rmap_ptes(cpu, head, mm.id, exclusive).await;
    folio_remove_rmap_pmd(cpu, head, mm.id).await;
    cpu.populate_split_pmd(mm, address, pmdp, table.0).await;
}
