//! The collapse of a range of private memory: `collapse_huge_page()`.

use sim_core::BoxFuture;
use sim_mmu::VirtAddr;

use super::control::{Collapse, Scan};
use super::copy::__collapse_huge_page_copy;
use super::isolate::__collapse_huge_page_isolate;
use super::retract::wait_for_walkers;
use super::revalidate::{check_pmd_still_valid, find_pmd_or_thp_or_none, hugepage_vma_revalidate};
use super::swapin::__collapse_huge_page_swapin;
use crate::check;
use crate::event::Event;
use crate::gfp::Gfp;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::put_page;
use crate::page_alloc::alloc_pages;
use crate::pgtable::{Pmd, Pmdp, maybe_mkwrite, mkdirty, vm_get_page_prot};
use crate::pgtable_generic::{pgtable_trans_huge_deposit, pmdp_collapse_flush};
use crate::rmap::{anon_vma_lock_write, folio_add_new_anon_rmap};
use crate::safeguards::{COLLAPSE_LOCK_VMA, COLLAPSE_LOCK_VMA_FIRST, COLLAPSE_PMD_RECHECK};
use crate::swap::folio_add_lru_vma;
use crate::vma::{mmap_write_lock, vma_start_write};

/// `collapse_huge_page()` of a range that has so many pages in swap. The caller has let go of `mmap_lock`.
pub(super) fn collapse_huge_page<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
    swapped: u64,
    by: Collapse,
) -> BoxFuture<'m, Result<(), Scan>> {
    Box::pin(async move {
        let _routine = cpu.enter("collapse_huge_page");
        // alloc_charge_folio()
        let new = alloc_pages(cpu, cpu.pmd_order(), Gfp::COMP).await.ok_or(Scan::AllocHugePageFail)?;
        let collapsed = collapse_into(cpu, mm, address, new, swapped, by).await;
        if collapsed.is_err() {
            put_page(cpu, new).await;
        }
        collapsed
    })
}

/// The rest of `collapse_huge_page()`. If it fails, all is as it was, and `new` is still the caller's.
async fn collapse_into<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
    new: Page,
    swapped: u64,
    by: Collapse,
) -> Result<(), Scan> {
    let mmap_lock = cpu.down_read(mm.mmap_lock).await;
    let vma = hugepage_vma_revalidate(cpu, mm, address, by).await?;
    let pmdp = find_pmd_or_thp_or_none(cpu, mm, address).await?;
    let mmap_lock = if swapped > 0 {
        Box::pin(__collapse_huge_page_swapin(cpu, mm, vma, address, pmdp, mmap_lock)).await?
    } else {
        mmap_lock
    };
    drop(mmap_lock);
    // Nobody looks at the tables any more when this is there, but for lockless GUP, faults that hold the mapping alone, and who comes from
    // a page to its mappings. Each of them is kept out by itself.
    let _mmap_lock = mmap_write_lock(cpu, mm).await;
    let vma = hugepage_vma_revalidate(cpu, mm, address, by).await?;
    let (locks, first) = (cpu.has(COLLAPSE_LOCK_VMA), cpu.has(COLLAPSE_LOCK_VMA_FIRST));
    if locks && first {
        vma_start_write(cpu, mm, vma).await;
    }
    if let Err(why) = check_pmd_still_valid(cpu, mm, address, pmdp).await
        && check!(cpu, COLLAPSE_PMD_RECHECK, true)
    {
        return Err(why);
    }
    if locks && !first {
        vma_start_write(cpu, mm, vma).await;
    }
    let anon_vma = anon_vma_lock_write(cpu, vma).await;
    let range = mmu_notifier_invalidate_range_start(cpu, mm, cpu.pmd_range(address)).await;
    let old = {
        let _pmd_ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
        pmdp_collapse_flush(cpu, mm, address, pmdp).await
    };
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    wait_for_walkers(cpu).await;
    let first = old.pte_offset(cpu.mmu.geometry, address);
    let isolated = {
        let _ptl = cpu.lock(cpu.kernel.ptl(first.table())).await;
        __collapse_huge_page_isolate(cpu, vma, (first, address), by).await
    };
    let isolated = match isolated {
        Ok(isolated) => isolated,
        Err(why) => {
            let _pmd_ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
            bug_on_used(cpu, pmdp).await;
            cpu.populate_split_pmd(mm, address, pmdp, first.table()).await;
            return Err(why);
        }
    };
    // All pages are locked and off their lists: whoever comes from a page to its mappings has it locked.
    drop(anon_vma);
    Box::pin(__collapse_huge_page_copy(cpu, mm, (first, address), new, isolated)).await;
    map_huge_page(cpu, mm, vma, (pmdp, address), new, Page(first.table())).await;
    Ok(())
}

/// `BUG_ON(!pmd_none(*pmd))`: nobody may have used the entry meanwhile.
async fn bug_on_used(cpu: Cpu<'_>, pmdp: Pmdp) {
    if !cpu.read_once(pmdp).await.none() {
        cpu.note(Event::KernelBug { what: "BUG_ON(!pmd_none(*pmd))" });
    }
}

/// The end of `collapse_huge_page()`: the entry maps the huge page. It comes last, for from then on everybody finds the page.
async fn map_huge_page<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    (pmdp, address): (Pmdp, VirtAddr),
    new: Page,
    table: Page,
) {
    let _pmd_ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
    bug_on_used(cpu, pmdp).await;
    folio_add_new_anon_rmap(cpu, new, vma, address).await;
    folio_add_lru_vma(cpu, new, vma).await;
    pgtable_trans_huge_deposit(cpu, pmdp, table);
    let written = mkdirty(cpu) | maybe_mkwrite(cpu, vma);
    let entry = Pmd::make_huge(new.0, vm_get_page_prot(vma.flags(cpu))).with(written);
    cpu.set_pmd_at(mm, address, pmdp, entry).await;
}
