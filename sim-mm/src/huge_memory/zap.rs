//! A huge page goes: `zap_huge_pmd()`.

use sim_core::Held;
use sim_mmu::VirtAddr;

use super::change::pmd_trans_huge_lock;
use super::zero::{entries_count, is_huge_zero_pmd, put_huge_zero_page};
use crate::folio::page_is_anon;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::mmu_gather::MmuGather;
use crate::page::{put_page, set_page_dirty_no_writeback};
use crate::pgtable::Pmdp;
use crate::pgtable_generic::pgtable_trans_huge_withdraw;
use crate::pgtable_huge::pmdp_huge_get_and_clear;
use crate::rmap::folio_remove_rmap_pmd;
use crate::safeguards::GATHER_HOLDS_HUGE_ZERO;
use crate::swapops::MigrationEntry;

/// `zap_huge_pmd()`: the entry is empty, and the page is the gather's. False if the entry maps no huge page any more.
pub(crate) async fn zap_huge_pmd<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    pmdp: Pmdp,
    address: VirtAddr,
) -> bool {
    let _routine = cpu.enter("zap_huge_pmd");
    let Some((ptl, _)) = pmd_trans_huge_lock(cpu, pmdp).await else { return false };
    let orig = pmdp_huge_get_and_clear(cpu, tlb.mm, address, pmdp).await;
    // tlb_remove_pmd_tlb_entry()
    for nth in 0..cpu.pmd_nr() {
        tlb.remove_tlb_entry(address.plus_pages(nth));
    }
    if let Some(entry) = orig.migration() {
        return zap_migrating(cpu, pmdp, entry, ptl).await;
    }
    // vma_is_special_huge(): the entry had no reference to the blocks.
    if orig.devmap() {
        return true;
    }
    let head = Page(orig.pfn());
    let is_zero = is_huge_zero_pmd(cpu, orig);
    let mut deposited = None;
    if is_zero || page_is_anon(cpu, head) {
        // zap_deposited_table()
        deposited = pgtable_trans_huge_withdraw(cpu, pmdp);
    }
    if !is_zero {
        if orig.dirty() && !page_is_anon(cpu, head) {
            set_page_dirty_no_writeback(cpu, head).await;
        }
        folio_remove_rmap_pmd(cpu, head, tlb.mm.id).await;
    }
    drop(ptl);
    if let Some(table) = deposited {
        put_page(cpu, table).await;
    }
    let is_counted = is_zero && entries_count(cpu);
    // The flush has yet to come, and other CPUs can read the page until then.
    let is_gathered = if is_counted { cpu.has(GATHER_HOLDS_HUGE_ZERO) } else { !is_zero };
    if is_counted && !is_gathered {
        put_huge_zero_page(cpu).await;
    }
    if is_gathered && tlb.remove_page(head) && tlb.is_full(cpu).await {
        tlb.force_flush(cpu).await;
        tlb.free(cpu).await;
    }
    true
}

/// The part of `zap_huge_pmd()` for a huge page that is being moved: the entry has no reference to it.
async fn zap_migrating<'m>(cpu: Cpu<'m>, pmdp: Pmdp, entry: MigrationEntry, ptl: Held<'m>) -> bool {
    // The entry is empty by now. So nothing keeps the page locked, and nothing is asserted of it.
    let page = Page(entry.pfn);
    let deposited = if page_is_anon(cpu, page) { pgtable_trans_huge_withdraw(cpu, pmdp) } else { None };
    drop(ptl);
    if let Some(table) = deposited {
        put_page(cpu, table).await;
    }
    true
}
