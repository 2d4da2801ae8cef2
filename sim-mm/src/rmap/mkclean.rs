//! `page_mkclean()`: the next write to a page of a file is noticed.

use sim_mmu::Entry;

use crate::arch::tlb::flush_tlb_page;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page_vma_mapped::page_vma_mapped_walk;
use crate::safeguards::{MKCLEAN_FLUSH, MKCLEAN_SYNC};
use crate::vm_flags::VmFlags;

use super::page_mapped;
use super::walk::{AnonLock, Place, rmap_walk};

/// `page_mkclean()`, of a page that is locked: its entries in shared mappings are clean and read-only when this returns, in the tables and
/// in every TLB. Answers whether one of them was dirty or writable.
///
/// A page that nobody maps is not looked for. So whoever unmaps it lets it count as mapped until nobody can write to it any more.
pub(crate) async fn page_mkclean(cpu: Cpu<'_>, page: Page) -> bool {
    let _routine = cpu.enter("page_mkclean");
    let mut cleaned = false;
    if page_mapped(cpu, page).await {
        rmap_walk(cpu, page, AnonLock::OfMapped, async |place| {
            page_mkclean_one(cpu, page, place, &mut cleaned).await
        })
        .await;
    }
    cleaned
}

/// `page_mkclean_one()`.
async fn page_mkclean_one<'m>(cpu: Cpu<'m>, page: Page, place: Place<'m>, cleaned: &mut bool) -> bool {
    let _routine = cpu.enter("page_mkclean_one");
    let Place { mm, vma, address } = place;
    // invalid_mkclean_vma(): what a private mapping writes is its own.
    if !vma.flags(cpu).contains(VmFlags::SHARED) {
        return true;
    }
    // An entry that is empty may be so for a moment only, or lead to a flush that is not done: who has the lock is waited for.
    let sync = cpu.has(MKCLEAN_SYNC);
    let Some(mapped) = page_vma_mapped_walk(cpu, page, mm, address, sync).await else { return true };
    if !mapped.pte.dirty() && !mapped.pte.write() {
        return true;
    }
    // ptep_clear_flush(): while the entry is empty, the hardware sets no bit in it.
    let old = cpu.update_pte(mm, address, mapped.ptep, |_| Entry::NONE).await;
    if cpu.has(MKCLEAN_FLUSH) {
        flush_tlb_page(cpu, mm, address).await;
    }
    cpu.set_pte_at(mm, address, mapped.ptep, old.entry.without(Entry::RW | Entry::DIRTY)).await;
    *cleaned = true;
    true
}
