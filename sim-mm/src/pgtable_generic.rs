//! `mm/pgtable-generic.c`: what PMD entries that map huge pages need besides their value.

use sim_core::Held;
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use crate::arch::tlb::flush_tlb_mm_range;
use crate::check;
use crate::entries::entries;
use crate::event::Event;
use crate::huge_pte::HugePtep;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{MmStruct, Page};
use crate::pgtable::{EntryPtr, PAGE_PROTNONE, Pmd, Pmdp, Pte, Ptep};
use crate::pgtable_3level::ptep_get_lockless;
use crate::pgtable_huge::pmdp_huge_get_and_clear;
use crate::safeguards::{
    COLLAPSE_FLUSH, FLUSH_RANGE_TABLES, PMDP_INVALIDATE_ATOMIC, PTE_MAP_RECHECK, SPLIT_INVALIDATE,
};

/// `pgtable_trans_huge_deposit()`: the page table that a huge page may need when it is split. It is kept beside the table of the entry, whose
/// lock the caller holds. So nothing can be missing when the split cannot fail any more.
pub(crate) fn pgtable_trans_huge_deposit(cpu: Cpu<'_>, pmdp: Pmdp, table: Page) {
    let first = cpu.kernel.page(Page(pmdp.table())).lru();
    cpu.this_cpu_write(cpu.kernel.page(table).lru(), cpu.this_cpu_read(first));
    cpu.this_cpu_write(first, table.0.0 + 1);
}

/// `pgtable_trans_huge_withdraw()`: a page table that was deposited.
pub(crate) fn pgtable_trans_huge_withdraw(cpu: Cpu<'_>, pmdp: Pmdp) -> Option<Page> {
    let first = cpu.kernel.page(Page(pmdp.table())).lru();
    let Some(table) = cpu.this_cpu_read(first).checked_sub(1).map(|pfn| Page(Pfn(pfn))) else {
        cpu.note(Event::KernelBug { what: "no page table is deposited for a huge page" });
        return None;
    };
    let next = cpu.kernel.page(table).lru();
    cpu.this_cpu_write(first, cpu.this_cpu_read(next));
    cpu.this_cpu_write(next, 0);
    Some(table)
}

impl Kernel {
    /// The page tables that are deposited beside a table, for those who only look.
    pub fn deposited(&self, table: Pfn) -> impl Iterator<Item = Pfn> {
        let next = |page: Pfn| {
            let word = self.core().memory.get(self.page(Page(page)).lru().loc());
            word.checked_sub(1).map(Pfn)
        };
        std::iter::successors(next(table), move |page| next(*page))
    }
}

/// `pmd_mkinvalid()`, `pud_mkinvalid()`: the hardware finds nothing there, and the kernel knows that a huge page is behind it.
pub(crate) fn mkinvalid(entry: Entry) -> Entry {
    entry.without(Entry::PRESENT | PAGE_PROTNONE)
}

/// `pmdp_invalidate()`: no CPU uses the entry when this returns; answers what it was. Since v4.16 by an exchange, so that what the hardware
/// set meanwhile is not lost.
pub(crate) async fn pmdp_invalidate<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, addr: VirtAddr, pmdp: Pmdp) -> Pmd {
    let _routine = cpu.enter("pmdp_invalidate");
    let old = if cpu.has(PMDP_INVALIDATE_ATOMIC) {
        cpu.update_pmd(mm, addr, pmdp, mkinvalid).await
    } else {
        let seen = cpu.read_once(pmdp).await;
        cpu.set_pmd_at(mm, addr, pmdp, mkinvalid(seen.entry)).await;
        seen
    };
    flush_pmd_tlb_range(cpu, mm, addr, Level::Pmd).await;
    old
}

/// Takes what an entry is, to put something else there: by [`pmdp_invalidate`], or by a kernel that lets it be `empty` in between.
pub(crate) async fn pmdp_modify_start<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    addr: VirtAddr,
    pmdp: Pmdp,
    empty: bool,
) -> Pmd {
    if empty {
        pmdp_huge_get_and_clear(cpu, mm, addr, pmdp).await
    } else {
        pmdp_invalidate(cpu, mm, addr, pmdp).await
    }
}

/// `pmd_clear_bad()`, `pud_clear_bad()`: an entry that ought to lead to a table, and does not. The kernel says so and empties it. It flushes nothing.
pub(crate) async fn pmd_clear_bad<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, addr: VirtAddr, ptep: impl Into<HugePtep>) {
    let ptep = ptep.into();
    let what = match ptep.level() {
        Level::Pmd => "a PMD entry maps a huge page where a table is expected",
        _ => "a PUD entry maps memory where a table is expected",
    };
    cpu.note(Event::KernelBug { what });
    cpu.set_pmd_at(mm, ptep.range(cpu, addr).0, ptep, Entry::NONE).await;
}

/// [`pmdp_invalidate`] before small entries take the place of a huge one. A TLB must not hold both at once.
pub(crate) async fn pmdp_invalidate_for_split<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    addr: VirtAddr,
    pmdp: Pmdp,
) -> Pmd {
    if cpu.has(SPLIT_INVALIDATE) {
        return pmdp_invalidate(cpu, mm, addr, pmdp).await;
    }
    cpu.read_once(pmdp).await
}

/// `pmdp_huge_clear_flush()`, `huge_ptep_clear_flush()`: no CPU uses the entry when this returns, and it is empty.
pub(crate) async fn pmdp_huge_clear_flush<'m, P: EntryPtr>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    addr: VirtAddr,
    pmdp: P,
) -> P::Value {
    let _routine = cpu.enter("pmdp_huge_clear_flush");
    let old = pmdp_huge_get_and_clear(cpu, mm, addr, pmdp).await;
    flush_pmd_tlb_range(cpu, mm, addr, pmdp.level()).await;
    old
}

/// `pmdp_collapse_flush()` of an entry that leads to a page table: no CPU uses an entry of that table when this returns, but for who has
/// found the table before and walks it without a lock.
pub(crate) async fn pmdp_collapse_flush<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, addr: VirtAddr, pmdp: Pmdp) -> Pmd {
    let _routine = cpu.enter("pmdp_collapse_flush");
    let old = cpu.unlink_table(mm, addr, pmdp).await;
    if cpu.has(COLLAPSE_FLUSH) {
        let end = VirtAddr(addr.0 + cpu.mmu.geometry.span(Level::Pmd));
        flush_tlb_mm_range(cpu, mm, addr, end, cpu.has(FLUSH_RANGE_TABLES)).await;
    }
    old
}

/// `pte_offset_map()` and the entry, without a lock. If there is no table then the PMD entry is all that is answered. A table may be freed while it
/// is looked at, but not in a read-side section.
pub async fn look_at_pte(cpu: Cpu<'_>, pmdp: Pmdp, address: VirtAddr) -> (Pmd, Option<(Ptep, Pte)>) {
    let _rcu = cpu.rcu_read_lock();
    let pmd = cpu.read_once(pmdp).await;
    if !pmd.leads_to_table() {
        return (pmd, None);
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
    (pmd, Some((ptep, ptep_get_lockless(cpu, ptep, || true).await)))
}

/// What [`next_not_present`] finds.
pub(crate) enum NotPresent {
    /// An entry and its address.
    Entry(Ptep, VirtAddr, Pte),
    /// All entries are empty or map a page.
    No,
    /// There is no table.
    NoTable,
}

/// The first entry of a range within a table that is not empty and maps no page. It is looked for as by [`look_at_pte`].
pub(crate) async fn next_not_present(cpu: Cpu<'_>, pmdp: Pmdp, (start, end): (VirtAddr, VirtAddr)) -> NotPresent {
    let _rcu = cpu.rcu_read_lock();
    let pmd = cpu.read_once(pmdp).await;
    if !pmd.leads_to_table() {
        return NotPresent::NoTable;
    }
    for (ptep, address, _) in entries(cpu.mmu.geometry, pmd.pte_offset(cpu.mmu.geometry, start), start, end) {
        let pte = cpu.read_once(ptep).await;
        if !pte.none() && !pte.present() {
            return NotPresent::Entry(ptep, address, pte);
        }
    }
    NotPresent::No
}

/// `pmd_same()` in `pte_offset_map_lock()`, for a caller that has taken the lock of a table: whether the entry leads there no more. Then the table
/// may be free soon, and what is put into it is lost.
///
/// A table of a file, and an empty one, is taken out of reach with only its own lock held, besides that of the table above. So no step can come in
/// between, and the entry is read without one. Any other table of private memory goes only while nobody else can look for it.
pub fn is_unlinked(cpu: Cpu<'_>, pmdp: Pmdp, ptep: Ptep) -> bool {
    let pmd = pmdp.value(cpu.entry_now(pmdp));
    check!(cpu, PTE_MAP_RECHECK, !pmd.leads_to_table() || pmd.entry.pfn() != ptep.table())
}

/// `flush_pmd_tlb_range()`, `flush_hugetlb_tlb_range()` of one huge page, which an entry of this level maps.
pub(crate) async fn flush_pmd_tlb_range<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, addr: VirtAddr, level: Level) {
    let end = VirtAddr(addr.0 + cpu.mmu.geometry.span(level));
    flush_tlb_mm_range(cpu, mm, addr, end, false).await;
}

/// `double_pt_lock()`: two locks of page tables, in the same order on every CPU.
pub(crate) async fn double_pt_lock(cpu: Cpu<'_>, one: Pfn, other: Pfn) -> (Held<'_>, Option<Held<'_>>) {
    let first = cpu.lock(cpu.kernel.ptl(one.min(other))).await;
    let second = if one == other { None } else { Some(cpu.lock(cpu.kernel.ptl(one.max(other))).await) };
    (first, second)
}
