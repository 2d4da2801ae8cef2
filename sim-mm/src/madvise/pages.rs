//! Advices about pages: `MADV_FREE`, `MADV_REMOVE`, `MADV_PAGEOUT`, `MADV_COLLAPSE`.

use sim_core::Routine;
use sim_mmu::{Entry, Level, VirtAddr};

use crate::entries::entries;
use crate::errno::Errno;
use crate::event::Event;
use crate::inode::get_file;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_gather::MmuGather;
use crate::page::page_mapcount;
use crate::page_flags::PageFlags;
use crate::pagewalk::walk_page_range;
use crate::pgtable::ptep_get_and_clear;
use crate::rmap::page_is_anon;
use crate::settings::MadvRemove;
use crate::shmem::shmem_put;
use crate::swap::{folio_deactivate, folio_mark_lazyfree, lru_add_drain};
use crate::truncate::shmem_punch_hole;
use crate::vm_flags::VmFlags;

/// `madvise_free_single_vma()`: pages that are not written again may be dropped. Nothing is ever short of memory here, so
/// what is left is that the entries become clean and old.
pub(super) async fn madvise_free_single_vma<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Errno> {
    let _routine = cpu.enter(Routine::helper("madvise_free_single_vma"));
    if !vma.is_anonymous(cpu) {
        return Err(Errno::Einval);
    }
    lru_add_drain(cpu).await;
    let mut tlb = MmuGather::gather(cpu, mm, start, end).await;
    walk_page_range(cpu, mm, start, end, async |ptep, start, end| {
        for (ptep, addr, _) in entries(cpu.mmu.geometry, ptep, start, end) {
            let pte = cpu.read_once(ptep).await;
            if !pte.present() || pte.special() {
                continue;
            }
            let page = Page(pte.pfn());
            let flags = cpu.load(cpu.kernel.page_flags(page)).await;
            // Others that map the page may still want it.
            if flags.contains(PageFlags::DIRTY) && page_mapcount(cpu, page).await != 1 {
                continue;
            }
            if flags.contains(PageFlags::DIRTY) {
                cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::DIRTY).await;
                cpu.note(Event::PageCleaned { pfn: page.0 });
            }
            folio_mark_lazyfree(cpu, page).await;
            if pte.entry.0 & (Entry::ACCESSED | Entry::DIRTY) != 0 {
                let pte = ptep_get_and_clear(cpu, mm, addr, ptep, pte).await;
                let clean = pte.entry.without(Entry::ACCESSED | Entry::DIRTY);
                cpu.set_pte_at(mm, addr, ptep, clean).await;
                cpu.note(Event::PageCleaned { pfn: page.0 });
                tlb.remove_tlb_entry(addr);
            }
        }
    })
    .await;
    tlb.finish(cpu).await;
    Ok(())
}

/// `madvise_remove()`: punches a hole into the file behind the mapping.
pub(super) async fn madvise_remove<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Errno> {
    let flags = vma.flags(cpu);
    if flags.contains(VmFlags::LOCKED) {
        return Err(Errno::Einval);
    }
    let file = vma.file(cpu).ok_or(Errno::Einval)?;
    let needed = match cpu.setting::<MadvRemove>() {
        MadvRemove::Writable => VmFlags::WRITE,
        MadvRemove::MayWrite => VmFlags::MAYWRITE,
    };
    if !flags.contains(VmFlags::SHARED | needed) {
        return Err(Errno::Eacces);
    }
    let (from, to) = (vma.index_of(cpu, start), vma.index_of(cpu, end));
    // The file is held: the mapping may go while it is worked on.
    get_file(cpu, file);
    shmem_punch_hole(cpu, file, from, to).await;
    shmem_put(cpu, file).await;
    Ok(())
}

/// `madvise_cold()`: pages that nobody else maps become old, and candidates for reclaim.
pub(super) async fn madvise_cold<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) {
    lru_add_drain(cpu).await;
    walk_page_range(cpu, mm, start, end, async |ptep, start, end| {
        for (ptep, addr, _) in entries(cpu.mmu.geometry, ptep, start, end) {
            let pte = cpu.read_once(ptep).await;
            if !pte.present() || pte.special() || page_mapcount(cpu, Page(pte.pfn())).await != 1 {
                continue;
            }
            if pte.entry.has(Entry::ACCESSED) {
                cpu.update_pte(mm, addr, ptep, |entry| entry.without(Entry::ACCESSED)).await;
            }
            folio_deactivate(cpu, Page(pte.pfn())).await;
        }
    })
    .await;
}

/// `madvise_pageout()`: what nobody else maps would be written to swap.
pub(super) async fn madvise_pageout<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, start: VirtAddr, end: VirtAddr) {
    walk_page_range(cpu, mm, start, end, async |ptep, start, end| {
        for (ptep, ..) in entries(cpu.mmu.geometry, ptep, start, end) {
            let pte = cpu.read_once(ptep).await;
            if pte.present() && !pte.special() {
                let page = Page(pte.pfn());
                let shared = page_mapcount(cpu, page).await != 1;
                if !shared && (page_is_anon(cpu, page) || vma.file(cpu).is_some()) {
                    cpu.not_modelled("swap");
                }
            }
        }
    })
    .await;
}

/// `madvise_collapse()`: a range without room for a huge page is refused; where there is room, there is none to be had.
pub(super) fn madvise_collapse(cpu: Cpu<'_>, vma: Vma, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
    let span = cpu.mmu.geometry.span(Level::Pmd);
    let up = |addr: VirtAddr| addr.0.next_multiple_of(span);
    let down = |addr: VirtAddr| addr.0 & !(span - 1);
    // thp_vma_allowable_order(): the mapping itself has room for one, and has had a page.
    let fits = up(vma.start(cpu)) + span <= vma.end(cpu).0 && vma.anon_vma(cpu).is_some();
    if !fits || vma.flags(cpu).contains(VmFlags::NOHUGEPAGE) || !vma.is_anonymous(cpu) {
        return Err(Errno::Einval);
    }
    match down(end).cmp(&up(start)) {
        std::cmp::Ordering::Greater => {
            cpu.not_modelled("a huge page");
            Err(Errno::Enomem)
        }
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(Errno::Einval),
    }
}
