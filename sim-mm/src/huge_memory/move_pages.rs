//! A huge page goes to another address, with the entry alone: `move_pages_huge_pmd()`, for `UFFDIO_MOVE`. Since v6.8.

use sim_core::Held;
use sim_mmu::VirtAddr;

use super::zero::is_huge_zero_pmd;
use crate::check;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::migrate::pmd_migration_entry_wait;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::{get_page, lock_page, page_maybe_dma_pinned, put_page, unlock_page};
use crate::pgtable::{Pmd, Pmdp, maybe_mkwrite, mkdirty, vm_get_page_prot};
use crate::pgtable_generic::{
    double_pt_lock, pgtable_trans_huge_deposit, pgtable_trans_huge_withdraw, pmdp_huge_clear_flush,
};
use crate::rmap::{
    anon_vma_lock_write_tree, folio_move_anon_rmap, may_move_page, page_get_anon_vma, put_anon_vma,
};
use crate::safeguards::UFFD_MOVE_HUGE_PIN_RECHECK;

/// `move_pages_huge_pmd()`: the new entry is empty, and the lock of the old one is given.
///
/// # Errors
/// `EBUSY` if somebody else may have the page; `EAGAIN` if an entry has changed meanwhile.
pub(crate) async fn move_pages_huge_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    to: (Vma, VirtAddr, Pmdp),
    from: (VirtAddr, Pmdp, Pmd),
    ptl: Held<'m>,
) -> Result<(), Errno> {
    let _routine = cpu.enter("move_pages_huge_pmd");
    let (src, src_pmdp, pmd) = from;
    if pmd.migration().is_some() {
        drop(ptl);
        pmd_migration_entry_wait(cpu, src_pmdp, pmd).await;
        return Err(Errno::Eagain);
    }
    let folio = (!is_huge_zero_pmd(cpu, pmd)).then_some(Page(pmd.pfn()));
    if let Some(folio) = folio {
        if !may_move_page(cpu, folio).await {
            return Err(Errno::Ebusy);
        }
        get_page(cpu, folio).await;
    }
    drop(ptl);
    let range = mmu_notifier_invalidate_range_start(cpu, mm, cpu.pmd_range(src)).await;
    let moved = match folio {
        Some(folio) => {
            lock_page(cpu, folio).await;
            let moved = move_folio(cpu, mm, to, from, folio).await;
            unlock_page(cpu, folio).await;
            put_page(cpu, folio).await;
            moved
        }
        None => move_entry(cpu, mm, to, from, None).await,
    };
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    moved
}

/// With the folio locked: nobody walks its tree until the entry is there.
async fn move_folio<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    to: (Vma, VirtAddr, Pmdp),
    from: (VirtAddr, Pmdp, Pmd),
    folio: Page,
) -> Result<(), Errno> {
    let anon_vma = page_get_anon_vma(cpu, folio).await.ok_or(Errno::Eagain)?;
    let tree = anon_vma_lock_write_tree(cpu, anon_vma).await;
    let moved = move_entry(cpu, mm, to, from, Some(folio)).await;
    drop(tree);
    put_anon_vma(cpu, anon_vma).await;
    moved
}

async fn move_entry<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (dst_vma, dst, dst_pmdp): (Vma, VirtAddr, Pmdp),
    (src, src_pmdp, pmd): (VirtAddr, Pmdp, Pmd),
    folio: Option<Page>,
) -> Result<(), Errno> {
    let _locks = double_pt_lock(cpu, src_pmdp.table(), dst_pmdp.table()).await;
    if cpu.read_once(src_pmdp).await != pmd || !cpu.read_once(dst_pmdp).await.none() {
        return Err(Errno::Eagain);
    }
    if let Some(folio) = folio
        && (page_maybe_dma_pinned(cpu, folio).await || !may_move_page(cpu, folio).await)
    {
        return Err(Errno::Ebusy);
    }
    let old = pmdp_huge_clear_flush(cpu, mm, src, src_pmdp).await;
    let prot = vm_get_page_prot(dst_vma.flags(cpu));
    let entry = match folio {
        None => old.entry,
        Some(folio) => {
            // A lockless pin shows in the count by now, or finds that the entry has changed.
            if check!(cpu, UFFD_MOVE_HUGE_PIN_RECHECK, page_maybe_dma_pinned(cpu, folio).await) {
                cpu.set_pmd_at(mm, src, src_pmdp, old.entry).await;
                return Err(Errno::Ebusy);
            }
            folio_move_anon_rmap(cpu, folio, dst_vma, dst).await;
            Pmd::make_huge(folio.0, prot).with(mkdirty(cpu) | maybe_mkwrite(cpu, dst_vma))
        }
    };
    cpu.set_pmd_at(mm, dst, dst_pmdp, entry).await;
    if let Some(table) = pgtable_trans_huge_withdraw(cpu, src_pmdp) {
        pgtable_trans_huge_deposit(cpu, dst_pmdp, table);
    }
    Ok(())
}
