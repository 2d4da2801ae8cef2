//! Which pages were written: soft-dirty, and `/proc/PID/clear_refs` of `fs/proc/task_mmu.c`.
//!
//! Whoever wants to know what a process writes, for example to copy it to another machine, first lets the kernel forget what
//! was written. From then on the first write to each page faults, and the fault marks the entry. `/proc/PID/pagemap` tells the
//! marks. A mapping that is new counts as written altogether.

use sim_core::{BoxFuture, Routine};
use sim_mmu::{Entry, VirtAddr};

use crate::arch::tlb::flush_tlb_mm_range;
use crate::check;
use crate::entries::entries;
use crate::event::Event;
use crate::huge_memory::pmd_trans_huge_lock;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::page_maybe_dma_pinned;
use crate::pagewalk::{WalkAction, walk_page_range};
use crate::pgtable::{Pmdp, Pte, Ptep};
use crate::pgtable_generic::pmdp_modify_start;
use crate::pgtable_set::ptep_get_and_clear;
use crate::safeguards::{CLEAR_REFS_FLUSH, CLEAR_REFS_KEEPS_PMD, CLEAR_REFS_SPARES_PINNED, CLEAR_REFS_WRITE_LOCK};
use crate::settings::{ClearRefsFlush, SoftDirty};
use crate::swapops::{MigrationEntry, SwpEntry, pte_swp_clear_soft_dirty};
use crate::vm_flags::VmFlags;
use crate::vma::{change_vmas, mmap_write_lock};

/// `clear_refs_write()` of the value 4, `CLEAR_REFS_SOFT_DIRTY`: forgets which pages of an address space were written. The
/// caller is a user of the address space: `get_task_mm()`.
pub fn clear_refs_write<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("clear_refs_write"));
        if cpu.setting::<SoftDirty>() == SoftDirty::Off {
            return;
        }
        cpu.note(Event::WritesForgotten { mm: mm.id });
        let mut writing = Some(mmap_write_lock(cpu, mm).await);
        // Mappings first: a fault that fills an entry from here on makes it read-only.
        let forgotten = change_vmas(cpu, mm, |vmas| {
            for vma in vmas.iter().filter(|vma| vma.flags(cpu).contains(VmFlags::SOFTDIRTY)) {
                vmas.start_write(cpu, *vma)?;
                vma.clear_soft_dirty(cpu);
            }
            Ok(vmas.to_vec())
        });
        let vmas = forgotten.await.expect("nothing is allocated that could be missing");
        let _reading =
            if cpu.has(CLEAR_REFS_WRITE_LOCK) { None } else { writing.take().map(|held| held.downgrade()) };
        cpu.rmw(mm.tlb_flush_pending(), |pending| pending + 1).await;
        let all = (VirtAddr(0), cpu.mmu.geometry.task_size());
        let range = mmu_notifier_invalidate_range_start(cpu, mm, all).await;
        for vma in vmas.into_iter().filter(|vma| !vma.flags(cpu).intersects(VmFlags::PFNMAP | VmFlags::HUGETLB)) {
            let huge_entry = async |pmdp, addr, _| {
                clear_soft_dirty_pmd(cpu, mm, vma, addr, pmdp).await;
                WalkAction::Continue
            };
            walk_page_range(cpu, mm, vma.start(cpu), vma.end(cpu), huge_entry, async |ptep, addr, end| {
                clear_refs_pte_range(cpu, mm, vma, ptep, addr, end).await;
            })
            .await;
        }
        mmu_notifier_invalidate_range_end(cpu, mm, range).await;
        // A translation that still allows writing lets a write pass without a fault, and so without a mark.
        if cpu.setting::<ClearRefsFlush>() != ClearRefsFlush::Never && cpu.has(CLEAR_REFS_FLUSH) {
            flush_tlb_mm_range(cpu, mm, VirtAddr(0), cpu.mmu.geometry.task_size(), false).await;
        }
        cpu.rmw(mm.tlb_flush_pending(), |pending| pending - 1).await;
        cpu.note(Event::WritesNoted { mm: mm.id });
        drop(writing);
    })
}

/// `clear_refs_pte_range()`: the entries of one table, under its lock.
async fn clear_refs_pte_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    ptep: Ptep,
    start: VirtAddr,
    end: VirtAddr,
) {
    for (ptep, addr, _) in entries(cpu.mmu.geometry, ptep, start, end) {
        let pte = cpu.read_once(ptep).await;
        if pte.present() {
            clear_soft_dirty(cpu, mm, vma, addr, (ptep, pte)).await;
        } else if let Some(entry) = MigrationEntry::of_pte(pte.entry) {
            // It comes back without the mark. Whether it comes back writable is not changed.
            let clean = MigrationEntry { soft_dirty: false, ..entry };
            cpu.set_pte_at(mm, addr, ptep, clean.to_pte()).await;
        } else if SwpEntry::of_pte(pte.entry).is_some() {
            cpu.set_pte_at(mm, addr, ptep, pte_swp_clear_soft_dirty(pte.entry)).await;
        }
    }
}

/// `clear_soft_dirty()`: the entry forgets that it was written, and the next write faults.
async fn clear_soft_dirty<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, addr: VirtAddr, (ptep, pte): (Ptep, Pte)) {
    let _routine = cpu.enter("clear_soft_dirty");
    if check!(cpu, CLEAR_REFS_SPARES_PINNED, pte_is_pinned(cpu, mm, vma, pte).await) {
        return;
    }
    let old = ptep_get_and_clear(cpu, mm, addr, ptep, pte).await;
    cpu.set_pte_at(mm, addr, ptep, old.entry.without(Entry::RW | Entry::SOFT_DIRTY)).await;
}

/// `clear_soft_dirty_pmd()`: the same for a huge page. Its entry is never empty, so that nobody takes the page for gone.
async fn clear_soft_dirty_pmd<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, addr: VirtAddr, pmdp: Pmdp) {
    let _routine = cpu.enter("clear_soft_dirty_pmd");
    let Some((_ptl, pmd)) = pmd_trans_huge_lock(cpu, pmdp).await else { return };
    if vma.flags(cpu).contains(VmFlags::PFNMAP) {
        return;
    }
    let addr = cpu.pmd_base(addr);
    if let Some(entry) = pmd.migration() {
        let clean = MigrationEntry { soft_dirty: false, ..entry };
        cpu.set_pmd_at(mm, addr, pmdp, clean.to_pte()).await;
        return;
    }
    let old = pmdp_modify_start(cpu, mm, addr, pmdp, !cpu.has(CLEAR_REFS_KEEPS_PMD)).await;
    cpu.set_pmd_at(mm, addr, pmdp, old.entry.without(Entry::RW | Entry::SOFT_DIRTY)).await;
}

/// `pte_is_pinned()`: whether a device may be using a private page.
async fn pte_is_pinned<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, pte: Pte) -> bool {
    vma.flags(cpu).is_cow_mapping()
        && cpu.this_cpu_read(mm.has_pinned())
        && !pte.special()
        && page_maybe_dma_pinned(cpu, Page(pte.pfn())).await
}
