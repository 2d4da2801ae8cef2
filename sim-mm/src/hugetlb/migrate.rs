//! What moving a huge page of the pool needs: another page of the pool, and entries that say that the page is being moved.

use sim_mmu::Entry;

use super::pmd_share::{huge_pmd_unshare, unshare_flushed, unshared_range};
use super::{huge_pte_offset, hugetlb_vma_trylock_write};
use crate::arch::tlb::flush_tlb_mm_range;
use crate::folio::page_is_anon;
use crate::gfp::Gfp;
use crate::huge_pte::huge_pte_lock;
use crate::hugetlb_pool::dequeue_hugetlb_folio_node;
use crate::hugetlb_types::HugePageSize;
use crate::kernel::Cpu;
use crate::mm_types::{Page, Vma};
use crate::page::{put_page, set_page_dirty_no_writeback};
use crate::page_vma_mapped::Run;
use crate::pgtable_generic::pmdp_huge_clear_flush;
use crate::rmap::{folio_remove_rmap_pmd, make_migration_entry, page_anon_exclusive, page_try_share_anon_rmap};

/// `alloc_hugetlb_folio_nodemask()`: a free page that is not set aside, of the node that `gfp` names.
///
/// Not modelled: a page that the pool does not have is made for the purpose.
pub(crate) async fn alloc_hugetlb_folio_nodemask(cpu: Cpu<'_>, gfp: Gfp) -> Option<Page> {
    let hugetlb = &cpu.kernel.hugetlb;
    let _hugetlb_lock = cpu.lock(hugetlb.lock).await;
    let free = cpu.read(&hugetlb.huge.freelist, |free| free.len() as u64).await;
    if free <= cpu.load(hugetlb.huge.resv_huge_pages).await {
        return None;
    }
    dequeue_hugetlb_folio_node(cpu, &hugetlb.huge, gfp).await
}

/// The part of `try_to_migrate_one()` for a huge page of the pool, which is locked: its entry in this mapping says that the page is being moved. Of a table that is
/// shared nothing is changed: the address space gives it up. False if the page has to stay where it is.
pub(crate) async fn set_huge_pte_migration<'m>(cpu: Cpu<'m>, head: Page, vma: Vma, run: Run<'m>) -> bool {
    let _routine = cpu.enter("try_to_migrate_one");
    let Run { mm, address, .. } = run;
    let is_anon = page_is_anon(cpu, head);
    let Some(ptep) = huge_pte_offset(cpu, mm, address, HugePageSize::Huge).await else { return true };
    let _ptl = huge_pte_lock(cpu, mm, ptep).await;
    if !cpu.read_once(ptep).await.maps(head) {
        return true;
    }
    if !is_anon {
        let Ok(vma_lock) = hugetlb_vma_trylock_write(cpu, vma).await else { return false };
        let unshared = huge_pmd_unshare(cpu, mm, address, ptep).await;
        drop(vma_lock);
        if unshared {
            let page = (address, address.plus_pages(cpu.pmd_nr()));
            let (first, last) = unshared_range(cpu, vma, page, address);
            flush_tlb_mm_range(cpu, mm, first, last, false).await;
            unshare_flushed(cpu, mm);
            return true;
        }
    }
    let exclusive = is_anon && page_anon_exclusive(cpu, head).await;
    let old = pmdp_huge_clear_flush(cpu, mm, address, ptep).await;
    if old.dirty() {
        set_page_dirty_no_writeback(cpu, head).await;
    }
    if exclusive && !page_try_share_anon_rmap(cpu, head).await {
        cpu.set_pmd_at(mm, address, ptep, old.entry).await;
        return false;
    }
    let entry = make_migration_entry(cpu, old.entry.without(Entry::PAGE_SIZE), exclusive);
    cpu.set_pmd_at(mm, address, ptep, entry.to_pte()).await;
    folio_remove_rmap_pmd(cpu, head, mm.id).await;
    put_page(cpu, head).await;
    true
}
