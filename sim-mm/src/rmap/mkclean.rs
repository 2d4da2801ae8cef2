//! `page_mkclean()`: the next write to a page of a file is noticed.

use sim_mmu::Entry;

use crate::arch::tlb::flush_tlb_page;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page_vma_mapped::{Find, PageVmaMappedWalk, Run};
use crate::safeguards::{MKCLEAN_FLUSH, MKCLEAN_SYNC};
use crate::vm_flags::VmFlags;

use super::page_mapped;
use super::walk::{Place, RmapLock, invalidating, rmap_walk};

/// `page_mkclean()`, of a page that is locked: its entries in shared mappings are clean and read-only when this returns, in the tables and
/// in every TLB. Answers whether one of them was dirty or writable.
///
/// A page that nobody maps is not looked for. So whoever unmaps it lets it count as mapped until nobody can write to it any more.
pub(crate) async fn page_mkclean(cpu: Cpu<'_>, page: Page) -> bool {
    let _routine = cpu.enter("page_mkclean");
    let mut cleaned = false;
    if page_mapped(cpu, page).await {
        let one = async |place: Place<'_>| {
            // invalid_mkclean_vma(): what a private mapping writes is its own.
            let is_shared = place.vma.flags(cpu).contains(VmFlags::SHARED);
            !is_shared || invalidating(cpu, place, page_mkclean_one(cpu, place.run, &mut cleaned)).await
        };
        rmap_walk(cpu, page, RmapLock::OfMapped, one).await;
    }
    cleaned
}

/// `page_mkclean_one()`.
async fn page_mkclean_one<'m>(cpu: Cpu<'m>, run: Run<'m>, cleaned: &mut bool) -> bool {
    let _routine = cpu.enter("page_mkclean_one");
    // An entry that is empty may be so for a moment only, or lead to a flush that is not done: who has the lock is waited for.
    let find = if cpu.has(MKCLEAN_SYNC) { Find::MappingInSync } else { Find::Mapping };
    let mut walk = PageVmaMappedWalk::new(run, find);
    while let Some(mapped) = walk.next(cpu).await {
        if !mapped.pte.dirty() && !mapped.pte.write() {
            continue;
        }
        // ptep_clear_flush(): while the entry is empty, the hardware sets no bit in it.
        let old = cpu.update_pte(run.mm, mapped.address, mapped.ptep, |_| Entry::NONE).await;
        if cpu.has(MKCLEAN_FLUSH) {
            flush_tlb_page(cpu, run.mm, mapped.address).await;
        }
        let clean = old.entry.without(Entry::RW | Entry::DIRTY);
        cpu.set_pte_at(run.mm, mapped.address, mapped.ptep, clean).await;
        *cleaned = true;
    }
    true
}
