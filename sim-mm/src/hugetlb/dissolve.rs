//! A free huge page leaves its pool because of one page of it: `dissolve_free_hugetlb_folio()`.

use sim_core::{Bytes, Gate, Op, OpKind};

use crate::check;
use crate::errno::Errno;
use crate::hugetlb_pool::remove_hugetlb_folio;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{compound_head, page_count, put_page};
use crate::page_flags::PageFlags;
use crate::safeguards::HUGETLB_DISSOLVE_FREED;

/// `dissolve_free_hugetlb_folio()`, `dissolve_free_huge_page()` before v6.11: the allocator gets the huge page that has this page, if nobody else has it. Only the page itself
/// is marked as broken then, so the others can be used.
///
/// # Errors
/// `EBUSY`, if somebody has it, or it is set aside.
pub(crate) async fn dissolve_free_hugetlb_folio(cpu: Cpu<'_>, page: Page) -> Result<(), Errno> {
    let _routine = cpu.enter("dissolve_free_hugetlb_folio");
    loop {
        let hugetlb_lock = cpu.lock(cpu.kernel.hugetlb.lock).await;
        let head = compound_head(cpu, page).await;
        if !cpu.load(cpu.kernel.own_flags(head)).await.contains(PageFlags::HUGETLB) {
            return Ok(());
        }
        if page_count(cpu, head).await > 0 {
            return Err(Errno::Ebusy);
        }
        let hstate = cpu.kernel.hstate_of(head);
        let free = cpu.read(&hstate.freelist, |free| free.len() as u64).await;
        if free <= cpu.load(hstate.resv_huge_pages).await {
            return Err(Errno::Ebusy);
        }
        // Who has put the last reference waits for hugetlb_lock. He would put a page on the free list that is the allocator's by then.
        if check!(cpu, HUGETLB_DISSOLVE_FREED, is_being_freed(cpu, head).await) {
            drop(hugetlb_lock);
            wait_until_freed(cpu, head).await;
            continue;
        }
        let removed = remove_hugetlb_folio(cpu, hstate, Some(page)).await;
        drop(hugetlb_lock);
        if let Some(head) = removed {
            put_page(cpu, head).await;
        }
        return Ok(());
    }
}

/// `!folio_test_hugetlb_freed()` of a page that nobody has.
async fn is_being_freed(cpu: Cpu<'_>, head: Page) -> bool {
    cpu.load(cpu.kernel.own_flags(head)).await.contains(PageFlags::HUGETLB_FREEING)
}

/// `cond_resched()`: Linux looks again until the page is on the free list.
async fn wait_until_freed(cpu: Cpu<'_>, head: Page) {
    let flags = cpu.kernel.own_flags(head).loc();
    let freed = Gate::Is(flags, Bytes::of(5, 1), 0);
    cpu.step(Op::new(OpKind::Wait, flags).behind(freed).sleeping(), |_| ()).await;
}
