//! Gigantic pages: `alloc_gigantic_folio()`. One PUD entry maps such a page. They are made of frames that belonged to others a moment ago, and are
//! not the allocator's blocks.

use sim_mmu::{Level, Pfn};

use crate::check;
use crate::gfp::Gfp;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{page_ref_freeze, page_ref_unfreeze, put_page};
use crate::page_alloc::{alloc_pages, prep_compound_head};
use crate::safeguards::GIGANTIC_FREEZE_TAILS;

/// `PUD_ORDER`: two to the power of it is the number of frames of a gigantic page.
fn pud_order(cpu: Cpu<'_>) -> u8 {
    cpu.mmu.geometry.order(Level::Pud)
}

/// `alloc_gigantic_folio()`: a gigantic page of the node that `of_node` names, to which the caller has the one reference.
pub(super) async fn alloc_gigantic_folio(cpu: Cpu<'_>, of_node: Gfp) -> Option<Page> {
    let _routine = cpu.enter("alloc_gigantic_folio");
    // alloc_contig_pages(): each frame is a page of its own, with a reference, before they become one.
    let head = alloc_pages(cpu, pud_order(cpu), of_node).await?;
    for tail in tails(cpu, head) {
        page_ref_unfreeze(cpu, tail, 1).await;
    }
    if prep_compound_gigantic_folio(cpu, head).await {
        return Some(head);
    }
    for page in std::iter::once(head).chain(tails(cpu, head)) {
        put_page(cpu, page).await;
    }
    None
}

fn tails(cpu: Cpu<'_>, head: Page) -> impl Iterator<Item = Page> + use<> {
    (head.0.0 + 1..head.0.0 + (1 << pud_order(cpu))).map(|pfn| Page(Pfn(pfn)))
}

/// `prep_compound_gigantic_folio()`: the frames become one page. False if that cannot be, and all is as before.
///
/// A lockless walker may have got a reference to one of the frames, by an entry that led there when it was another's. He gives it back when he has looked again. So a tail gets its
/// count of zero by a freeze, which fails if there is such a reference.
async fn prep_compound_gigantic_folio(cpu: Cpu<'_>, head: Page) -> bool {
    let _routine = cpu.enter("prep_compound_gigantic_folio");
    for tail in tails(cpu, head) {
        if check!(cpu, GIGANTIC_FREEZE_TAILS, !page_ref_freeze(cpu, tail, 1).await) {
            for undone in tails(cpu, head).take_while(|undone| *undone != tail) {
                cpu.store(cpu.kernel.page(undone).compound_head(), 0).await;
                page_ref_unfreeze(cpu, undone, 1).await;
            }
            return false;
        }
        // set_page_count(): a plain store.
        page_ref_unfreeze(cpu, tail, 0).await;
        cpu.store(cpu.kernel.page(tail).compound_head(), head.0.0 + 1).await;
    }
    prep_compound_head(cpu, head.0, pud_order(cpu));
    true
}
