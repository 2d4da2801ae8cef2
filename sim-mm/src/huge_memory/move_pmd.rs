//! A huge page at another address: `move_huge_pmd()`.

use sim_mmu::{Level, VirtAddr};

use super::zero::is_huge_zero_pmd;
use crate::check;
use crate::folio::page_is_anon;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::pgtable::{Pmdp, soft_dirty};
use crate::pgtable_generic::{flush_pmd_tlb_range, pgtable_trans_huge_deposit, pgtable_trans_huge_withdraw};
use crate::pgtable_huge::pmdp_huge_get_and_clear;
use crate::safeguards::MREMAP_MOVE_DEPOSIT;
use crate::swapops::MigrationEntry;

/// `move_huge_pmd()`: false if the entry stands for no huge page any more, or the new place is not empty. Translations of the old place are gone
/// before the locks are let go of.
pub(crate) async fn move_huge_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (old, from): (Pmdp, VirtAddr),
    (new, to): (Pmdp, VirtAddr),
) -> bool {
    let _routine = cpu.enter("move_huge_pmd");
    if !cpu.read_once(new).await.none() {
        return false;
    }
    let _old_ptl = cpu.lock(cpu.kernel.ptl(old.table())).await;
    if !cpu.read_once(old).await.is_huge() {
        return false;
    }
    let other = new.table() != old.table();
    let _new_ptl = if other { Some(cpu.lock(cpu.kernel.ptl(new.table())).await) } else { None };
    let pmd = pmdp_huge_get_and_clear(cpu, mm, from, old).await;
    // pmd_move_must_withdraw(): each table of PMD entries keeps what its own huge pages need.
    let moved = pmd.migration();
    let head = Page(moved.map_or(pmd.pfn(), |moved| moved.pfn));
    let has_deposit = is_huge_zero_pmd(cpu, pmd) || page_is_anon(cpu, head);
    if has_deposit
        && check!(cpu, MREMAP_MOVE_DEPOSIT, other)
        && let Some(table) = pgtable_trans_huge_withdraw(cpu, old)
    {
        pgtable_trans_huge_deposit(cpu, new, table);
    }
    // move_soft_dirty_pmd()
    let marks = soft_dirty(cpu);
    let entry = match moved {
        Some(moved) => MigrationEntry { soft_dirty: moved.soft_dirty || marks != 0, ..moved }.to_pte(),
        None => pmd.entry.with(marks),
    };
    cpu.set_pmd_at(mm, to, new, entry).await;
    flush_pmd_tlb_range(cpu, mm, from, Level::Pmd).await;
    true
}
