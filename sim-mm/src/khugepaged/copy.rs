//! What the small pages hold goes to the huge page, and they are unmapped: `__collapse_huge_page_copy()`.

use sim_mmu::{Entry, Pfn, VirtAddr};

use super::isolate::{is_none_or_zero, release_pte_folio};
use crate::entries::entries;
use crate::event::Event;
use crate::folio::is_large;
use crate::highmem::{clear_page, copy_user_highpage};
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::{put_page, unlock_page};
use crate::pgtable::Ptep;
use crate::rmap::page_remove_rmap;
use crate::swap::putback_lru_page;
use crate::swapfile::free_swap_cache;

/// `__collapse_huge_page_copy()`: first all is copied, and then the entries go, of a page table that is linked nowhere. Before v6.4 each page
/// was unmapped as soon as it was copied. `isolated` are the folios, which are locked.
pub(super) async fn __collapse_huge_page_copy<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (first, haddr): (Ptep, VirtAddr),
    new: Page,
    isolated: Vec<Page>,
) {
    let _routine = cpu.enter("__collapse_huge_page_copy");
    let geometry = cpu.mmu.geometry;
    // compound_pagelist: small ones may be free before the end, and be parts of another large page.
    let compound: Vec<Page> = isolated.into_iter().filter(|head| is_large(cpu, *head)).collect();
    let all = || entries(geometry, first, haddr, haddr.plus_pages(cpu.pmd_nr()));
    for (nth, (ptep, ..)) in all().enumerate() {
        let pte = cpu.read_once(ptep).await;
        let to = Page(Pfn(new.0.0 + nth as u64));
        if is_none_or_zero(cpu, pte) {
            clear_page(cpu, to.0).await;
            cpu.note(Event::PageCleared { pfn: to.0 });
        } else {
            copy_user_highpage(cpu, to, Page(pte.pfn())).await;
        }
    }
    // __collapse_huge_page_copy_succeeded()
    let ptl = cpu.kernel.ptl(first.table());
    for (ptep, address, _) in all() {
        let pte = cpu.read_once(ptep).await;
        if pte.none() {
            continue;
        }
        if is_none_or_zero(cpu, pte) {
            let _ptl = cpu.lock(ptl).await;
            cpu.set_pte_at(mm, address, ptep, Entry::NONE).await;
            continue;
        }
        let page = Page(pte.pfn());
        let head = cpu.kernel.folio_of(page);
        // A large one is let go of below, when all of its entries are gone.
        if !is_large(cpu, page) {
            release_pte_folio(cpu, head).await;
        }
        {
            let _ptl = cpu.lock(ptl).await;
            cpu.set_pte_at(mm, address, ptep, Entry::NONE).await;
            page_remove_rmap(cpu, page, mm.id).await;
        }
        // free_folio_and_swap_cache()
        if cpu.has_swap() {
            Box::pin(free_swap_cache(cpu, head)).await;
        }
        put_page(cpu, head).await;
    }
    for head in compound {
        unlock_page(cpu, head).await;
        if cpu.has_swap() {
            Box::pin(free_swap_cache(cpu, head)).await;
        }
        putback_lru_page(cpu, head).await;
    }
}
