//! Removing mappings: `zap_page_range()`, `unmap_vmas()`.

use sim_core::BoxFuture;
use sim_mmu::{Entry, Level, VirtAddr};

use super::tables::p4d_offset;
use crate::entries::entries;
use crate::folio::page_is_anon;
use crate::fs::Inode;
use crate::huge_memory::{split_huge_pmd, split_huge_pud, zap_huge_pmd, zap_huge_pud};
use crate::huge_pte::{HugePte, HugePtep};
use crate::hugetlb::unmap_hugepage_range;
use crate::kernel::{Cpu, Kernel};
use crate::migrate::migration_entry_to_page;
use crate::mm_inline::{keeps_uffd_wp, pte_install_uffd_wp_if_needed};
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_gather::MmuGather;
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page_tags::set_page_dirty;
use crate::pgtable::{P4d, Pmd, Pmdp, Pte, Pud};
use crate::pgtable_3level::pmd_read_atomic;
use crate::pgtable_generic::{is_unlinked, pmd_clear_bad};
use crate::pgtable_set::ptep_get_and_clear;
use crate::pt_reclaim::{Reclaim, reclaim_table, try_get_and_clear_pmd};
use crate::rmap::{flush_tlb_batched_pending, page_remove_rmap};
use crate::safeguards::{
    GATHER_FLUSH_PFNMAP, ZAP_DELAY_RMAP, ZAP_FLUSH_DIRTY_LOCKED, ZAP_PMD_ONCE, ZAP_SET_PAGE_DIRTY,
};
use crate::swap::{drain_before_unmapping, munlock_folio, rmap_locks};
use crate::swapfile::free_swap_and_cache;
use crate::swapops::{MigrationEntry, SwpEntry, is_lost, is_uffd_wp_marker};
use crate::vm_flags::VmFlags;

/// What is to go of a range: `struct zap_details`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zap {
    /// All pages. Entries that only mark a page stay.
    Pages,
    /// The same, and page tables that are empty then: `reclaim_pt`.
    PagesAndTables,
    /// All pages and all marks, for the mapping goes as well: `ZAP_FLAG_DROP_MARKER`.
    Everything,
    /// The pages of the file. What private mappings have copied stays: `!even_cows`.
    FilePages,
}

/// `zap_page_range()`, since v6.1 `zap_page_range_single()`: pages `start` up to `end` are gone, from memory and from every TLB, when this
/// returns.
pub(crate) async fn zap_page_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    (start, end): (VirtAddr, VirtAddr),
    zap: Zap,
) {
    let _routine = cpu.enter("zap_page_range");
    drain_before_unmapping(cpu).await;
    let mut tlb = MmuGather::gather(cpu, mm, start, end).await;
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (start, end)).await;
    unmap_page_range(cpu, &mut tlb, vma, start, end, zap).await;
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    tlb.finish(cpu).await;
}

/// `unmap_mapping_range()`: no mapping of the file maps its pages `from` up to `to` when this returns. Who faults them in
/// again meanwhile finds what the file has. With [`Zap::Pages`] what private mappings have copied goes too (`even_cows`).
pub(crate) async fn unmap_mapping_range<'m>(cpu: Cpu<'m>, file: Inode, from: u64, to: u64, zap: Zap) {
    let _routine = cpu.enter("unmap_mapping_range");
    let kernel: &'m Kernel = cpu.kernel;
    let _i_mmap = cpu.down_read(kernel.shmem.i_mmap_rwsem(file)).await;
    let mappings = cpu.read(kernel.shmem.i_mmap(file), Clone::clone).await;
    for (mm, vma) in mappings {
        let (start, first) = (vma.start(cpu), vma.pgoff(cpu));
        let pages = vma.end(cpu).vpn().0 - start.vpn().0;
        let (from, to) = (from.max(first), to.min(first + pages));
        if from < to {
            let (start, end) = (start.plus_pages(from - first), start.plus_pages(to - first));
            zap_page_range(cpu, kernel.mm(mm), vma, (start, end), zap).await;
        }
    }
}

/// `unmap_vmas()`.
pub(crate) async fn unmap_vmas<'m>(cpu: Cpu<'m>, tlb: &mut MmuGather<'m>, vmas: &[Vma]) {
    let [first, ..] = vmas else { return };
    let all = (first.start(cpu), vmas.last().unwrap_or(first).end(cpu));
    let range = mmu_notifier_invalidate_range_start(cpu, tlb.mm, all).await;
    for vma in vmas {
        unmap_page_range(cpu, tlb, *vma, vma.start(cpu), vma.end(cpu), Zap::Everything).await;
        // tlb_end_vma(): no reference keeps the frames. Their driver frees them as soon as it finds no mapping of them, so
        // translations must be gone before the mapping is.
        if vma.flags(cpu).intersects(VmFlags::PFNMAP | VmFlags::MIXEDMAP) && cpu.has(GATHER_FLUSH_PFNMAP) {
            tlb.flush_tlbonly(cpu).await;
        }
    }
    mmu_notifier_invalidate_range_end(cpu, tlb.mm, range).await;
}

/// `unmap_page_range()`, of a range of a mapping that is not empty.
pub(crate) async fn unmap_page_range<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
    zap: Zap,
) {
    if vma.flags(cpu).contains(VmFlags::HUGETLB) {
        return Box::pin(unmap_hugepage_range(cpu, tlb, vma, (start, end))).await;
    }
    let p4dp = p4d_offset(cpu, tlb.mm, start);
    for (p4dp, addr, next) in entries(cpu.mmu.geometry, p4dp, start, end) {
        let p4d = cpu.read_once(p4dp).await;
        if !p4d.none() {
            zap_pud_range(cpu, tlb, vma, p4d, (addr, next), zap).await;
        }
    }
}

/// `zap_pud_range()`.
async fn zap_pud_range<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    vma: Vma,
    p4d: P4d,
    (start, end): (VirtAddr, VirtAddr),
    zap: Zap,
) {
    let geometry = cpu.mmu.geometry;
    for (pudp, addr, next) in entries(geometry, p4d.pud_offset(geometry, start), start, end) {
        let pud = cpu.read_once(pudp).await;
        if HugePte::from(pud).leaf() {
            Box::pin(zap_or_split_pud(cpu, tlb, vma, pudp.into(), (addr, next))).await;
        } else if !pud.none() {
            zap_pmd_range(cpu, tlb, vma, pud, (addr, next), zap).await;
        }
    }
}

/// The part of `zap_pud_range()` for an entry that maps memory. It is empty afterwards, even if only a part of what it maps is to go.
async fn zap_or_split_pud<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    vma: Vma,
    pudp: HugePtep,
    (addr, next): (VirtAddr, VirtAddr),
) {
    if (addr, next) == pudp.range(cpu, addr) {
        zap_huge_pud(cpu, tlb, pudp, addr).await;
    } else {
        split_huge_pud(cpu, (tlb.mm, vma), pudp, addr).await;
    }
}

/// `zap_pmd_range()`.
async fn zap_pmd_range<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    vma: Vma,
    pud: Pud,
    (start, end): (VirtAddr, VirtAddr),
    zap: Zap,
) {
    let geometry = cpu.mmu.geometry;
    let how = How { zap, locks: rmap_locks(cpu, vma), marks: zap != Zap::Everything && keeps_uffd_wp(cpu, vma) };
    for (pmdp, addr, next) in entries(geometry, pud.pmd_offset(geometry, start), start, end) {
        let mut pmd = pmd_read_atomic(cpu, pmdp).await;
        if pmd.is_huge() {
            // A part of a huge page goes, and the rest stays: its pages get entries of their own first.
            let is_whole = next.0 - addr.0 == geometry.span(Level::Pmd);
            if !is_whole {
                split_huge_pmd(cpu, vma, tlb.mm, pmdp, addr).await;
            } else if Box::pin(zap_huge_pmd(cpu, tlb, pmdp, addr)).await {
                continue;
            }
            // pmd_none_or_trans_huge_or_clear_bad(): somebody else may have unmapped it, and mapped another huge page.
            pmd = cpu.read_once(pmdp).await;
        }
        // Where no huge page can be, the second read would find the same.
        if !cpu.has(ZAP_PMD_ONCE) && cpu.kernel.asks_for_huge_pages(vma.flags(cpu)) {
            pmd = cpu.read_once(pmdp).await;
            if pmd.trans_huge() {
                pmd_clear_bad(cpu, tlb.mm, addr, pmdp).await;
            }
        }
        if !pmd.leads_to_table() {
            continue;
        }
        let mut reclaim = Reclaim::of(cpu, zap == Zap::PagesAndTables, addr, next);
        if let Some(rest) = zap_pte_range(cpu, tlb, (pmdp, pmd), (addr, next), how, &mut reclaim).await {
            zap_rest(cpu, tlb, (pmdp, pmd), (rest, next), how, &mut reclaim).await;
        }
        if reclaim != Reclaim::Keep {
            reclaim_table(cpu, tlb, (pmdp, addr), reclaim).await;
        }
    }
}

/// `zap_skip_check_mapping()`: whether a private mapping has copied the page.
fn is_copy(cpu: Cpu<'_>, pte: Pte) -> bool {
    let has_page = !pte.entry.has(Entry::SPECIAL);
    has_page && page_is_anon(cpu, Page(pte.pfn()))
}

/// What is to go, and what a mapping says of its entries.
#[derive(Clone, Copy)]
struct How {
    zap: Zap,
    /// `munlock_vma_folio()`: it keeps its pages in memory, and each entry tells so.
    locks: bool,
    /// `!zap_drop_file_uffd_wp()`: a marker stays where a page was write-protected for user code.
    marks: bool,
}

/// `zap_pte_range()`: clears the entries of one table under its lock. The pages are the gather's, which frees them only after
/// it flushed. Answers at which page it had to stop, because the gather has no room for another one, or the end if pages can be freed at
/// once, because it has flushed already. `reclaim` says what becomes of the table.
async fn zap_pte_range<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    (pmdp, pmd): (Pmdp, Pmd),
    (start, end): (VirtAddr, VirtAddr),
    how: How,
    reclaim: &mut Reclaim,
) -> Option<VirtAddr> {
    let _routine = cpu.enter("zap_pte_range");
    let geometry = cpu.mmu.geometry;
    let How { zap, locks, marks } = how;
    let ptep = pmd.pte_offset(geometry, start);
    let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
    if is_unlinked(cpu, pmdp, ptep) {
        // Whoever took it away had unmapped all that it led to.
        *reclaim = Reclaim::Keep;
        return None;
    }
    flush_tlb_batched_pending(cpu, tlb.mm).await;
    let mut force_flush = false;
    for (ptep, addr, _) in entries(geometry, ptep, start, end) {
        let pte = cpu.read_once(ptep).await;
        if pte.present() {
            if zap == Zap::FilePages && is_copy(cpu, pte) {
                *reclaim = Reclaim::Keep;
                continue;
            }
            // ptep_get_and_clear_full(): an exchange, for the hardware may set A or D meanwhile.
            let pte = ptep_get_and_clear(cpu, tlb.mm, addr, ptep, pte).await;
            tlb.remove_tlb_entry(addr);
            if marks && pte.uffd_wp() {
                *reclaim = Reclaim::Keep;
                pte_install_uffd_wp_if_needed(cpu, tlb.mm, addr, ptep).await;
            }
            if !pte.special() {
                let page = Page(pte.pfn());
                let mut delay_rmap = false;
                if pte.dirty() && !page_is_anon(cpu, page) {
                    if cpu.has(ZAP_SET_PAGE_DIRTY) {
                        Box::pin(set_page_dirty(cpu, page)).await;
                    }
                    force_flush = cpu.has(ZAP_FLUSH_DIRTY_LOCKED);
                    delay_rmap = force_flush && cpu.has(ZAP_DELAY_RMAP);
                }
                if delay_rmap {
                    tlb.delay_rmap(page);
                } else {
                    page_remove_rmap(cpu, page, tlb.mm.id).await;
                }
                if locks {
                    Box::pin(munlock_folio(cpu, cpu.kernel.folio_of(page))).await;
                }
                if tlb.remove_page(page) && tlb.is_full(cpu).await {
                    // With the lock held, so that nobody relies on the entries before.
                    tlb.force_flush(cpu).await;
                    reclaim.let_go();
                    return Some(addr.plus_pages(1));
                }
            }
        } else if let Some(entry) = SwpEntry::of_pte(pte.entry).filter(|_| zap != Zap::FilePages) {
            Box::pin(free_swap_and_cache(cpu, entry)).await;
            cpu.set_pte_at(tlb.mm, addr, ptep, Entry::NONE).await;
        } else if let Some(entry) = MigrationEntry::of_pte(pte.entry) {
            // Whoever moves the page finds nothing here. zap_skip_check_mapping(): a page that a private mapping has copied stays.
            let page = Box::pin(migration_entry_to_page(cpu, entry)).await;
            if zap != Zap::FilePages || !page_is_anon(cpu, page) {
                cpu.set_pte_at(tlb.mm, addr, ptep, Entry::NONE).await;
            } else {
                *reclaim = Reclaim::Keep;
            }
        } else if !pte.none()
            && (zap == Zap::Everything
                || !marks && is_uffd_wp_marker(pte.entry)
                || zap != Zap::FilePages && is_lost(pte.entry))
        {
            // pte_clear_not_present_full(): a plain store, for the hardware sets no bits of what is not present.
            cpu.set_pte_at(tlb.mm, addr, ptep, Entry::NONE).await;
        } else if !pte.none() {
            *reclaim = Reclaim::Keep;
        }
    }
    if *reclaim == Reclaim::Direct {
        *reclaim = try_get_and_clear_pmd(cpu, pmdp).await;
    }
    if force_flush {
        tlb.flush_dirty(cpu).await;
    }
    force_flush.then_some(end)
}

/// The second half of `zap_pte_range()`, where it had to stop: the pages are freed without the lock, and the rest of the range
/// follows.
fn zap_rest<'a, 'm>(
    cpu: Cpu<'m>,
    tlb: &'a mut MmuGather<'m>,
    pmd: (Pmdp, Pmd),
    (start, end): (VirtAddr, VirtAddr),
    how: How,
    reclaim: &'a mut Reclaim,
) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let mut stopped = Some(start);
        while let Some(rest) = stopped {
            {
                let _routine = cpu.enter("tlb_flush_mmu");
                tlb.free(cpu).await;
            }
            if rest == end {
                break;
            }
            stopped = zap_pte_range(cpu, tlb, pmd, (rest, end), how, reclaim).await;
        }
    })
}
