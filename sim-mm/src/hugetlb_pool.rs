//! The free list of huge pages: how a page leaves it, and how it comes back when its last reference goes.
//!
//! A page of the pool that is not used has a count of zero, as any free page has. The allocator does not know of it.

use sim_mmu::Level;

use crate::event::{Event, FrameUse, Order};
use crate::gfp::Gfp;
use crate::hugetlb_types::{Hstate, HugePageSize};
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page_flags::PageFlags;

impl Kernel {
    /// `folio_test_hugetlb()`: whether a page, the first of several, is one of the pool.
    pub(crate) fn is_hugetlb(&self, head: Page) -> bool {
        self.has_hugetlb()
            && PageFlags::from_bits_retain(self.core().memory.get(self.page_flags(head).loc()))
                .contains(PageFlags::HUGETLB)
    }

    /// Of which level an entry is that maps a huge page. A page of the pool is never split, so it keeps its size.
    pub fn level_of_huge(&self, head: Page) -> Level {
        if self.is_hugetlb(head) { self.hugetlb_size(head).level() } else { Level::Pmd }
    }

    /// `folio_hstate()`: the pool that a page is of.
    pub(crate) fn hstate_of(&self, head: Page) -> &Hstate {
        self.hugetlb.hstate(self.hugetlb_size(head))
    }

    fn hugetlb_size(&self, head: Page) -> HugePageSize {
        match self.folio_order(head) == HugePageSize::Huge.order(self.mmu.geometry) {
            true => HugePageSize::Huge,
            false => HugePageSize::Gigantic,
        }
    }
}

/// `free_huge_folio()`, `free_huge_page()` before v6.7: the last reference is gone, and the page is free again. It stays in the pool.
pub(crate) async fn free_huge_folio(cpu: Cpu<'_>, head: Page) {
    let _routine = cpu.enter("free_huge_folio");
    let descriptor = cpu.kernel.page(head);
    cpu.this_cpu_write(descriptor.mapping(), 0);
    cpu.this_cpu_write(descriptor.index(), 0);
    // The fault that has mapped a page of its own unlocks it without a reference. So the page may be locked still, and who takes it next waits.
    let locked = cpu.this_cpu_read(descriptor.flags()) & PageFlags::LOCKED;
    cpu.this_cpu_write(descriptor.flags(), PageFlags::HEAD | PageFlags::HUGETLB | locked);
    let _irq = cpu.irq_save();
    let _hugetlb_lock = cpu.lock(cpu.kernel.hugetlb.lock).await;
    enqueue_hugetlb_folio(cpu, head).await;
}

/// `enqueue_hugetlb_folio()`: the page is the next one that is taken. The caller holds `hugetlb_lock`.
async fn enqueue_hugetlb_folio(cpu: Cpu<'_>, head: Page) {
    let order = Order::new(cpu.kernel.folio_order(head));
    cpu.update(&cpu.kernel.hstate_of(head).freelist, move |free| {
        free.push(head);
        cpu.note(Event::FrameFreed { pfn: head.0, order });
    })
    .await;
}

/// `dequeue_hugetlb_folio()`: the page that was freed last, with a reference. The caller holds `hugetlb_lock`.
pub(crate) async fn dequeue_hugetlb_folio(cpu: Cpu<'_>, hstate: &Hstate) -> Option<Page> {
    dequeue_hugetlb_folio_node(cpu, hstate, Gfp::empty()).await
}

/// `dequeue_hugetlb_folio_node_exact()`: the same of the node that `gfp` names, if it names one.
pub(crate) async fn dequeue_hugetlb_folio_node(cpu: Cpu<'_>, hstate: &Hstate, gfp: Gfp) -> Option<Page> {
    let node = gfp.node();
    cpu.update(&hstate.freelist, move |free| {
        let nth = free.iter().rposition(|head| node.is_none_or(|node| cpu.kernel.mem_map.node(head.0) == node))?;
        let head = free.remove(nth);
        // folio_ref_unfreeze(): nobody gets a reference to a page whose count is zero, so a plain store is enough.
        cpu.this_cpu_write(cpu.kernel.refcount(head), 1);
        let order = Order::new(cpu.kernel.folio_order(head));
        cpu.note(Event::FrameAllocated { pfn: head.0, order, for_use: FrameUse::Data });
        Some(head)
    })
    .await
}
