//! A huge page goes: `zap_huge_pmd()`.

use sim_mmu::VirtAddr;

use super::change::pmd_trans_huge_lock;
use super::zero::is_huge_zero_pmd;
use crate::folio::page_is_anon;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::mmu_gather::MmuGather;
use crate::page::{put_page, set_page_dirty};
use crate::pgtable::Pmdp;
use crate::pgtable_generic::pgtable_trans_huge_withdraw;
use crate::pgtable_huge::pmdp_huge_get_and_clear;
use crate::rmap::folio_remove_rmap_pmd;

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
    let head = Page(orig.pfn());
    let is_zero = is_huge_zero_pmd(cpu, orig);
    let mut deposited = None;
    if is_zero || page_is_anon(cpu, head) {
        // zap_deposited_table()
        deposited = pgtable_trans_huge_withdraw(cpu, pmdp);
    }
    if !is_zero {
        if orig.dirty() && !page_is_anon(cpu, head) {
            set_page_dirty(cpu, head).await;
        }
        folio_remove_rmap_pmd(cpu, head, tlb.mm.id).await;
    }
    drop(ptl);
    if let Some(table) = deposited {
        put_page(cpu, table).await;
    }
    if !is_zero && tlb.remove_page(head) && tlb.is_full(cpu).await {
        tlb.force_flush(cpu).await;
        tlb.free(cpu).await;
    }
    true
}
