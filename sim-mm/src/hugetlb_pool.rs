//! The free list of huge pages: how a page leaves it, and how it comes back when its last reference goes.
//!
//! A page of the pool that is not used has a count of zero, as any free page has. The allocator does not know of it.

use sim_mmu::Level;

use crate::check;
use crate::event::{Event, FrameUse, Order};
use crate::gfp::Gfp;
use crate::hugetlb_types::{Hstate, HugePageSize};
use crate::hwpoison::{folio_clear_hugetlb_hwpoison, has_hwpoison};
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page_flags::PageFlags;
use crate::safeguards::HUGETLB_DEQUEUE_HWPOISON;

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

    /// Of which size a page of the pool is.
    pub(crate) fn hugetlb_size(&self, head: Page) -> HugePageSize {
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
    let stays = PageFlags::LOCKED | PageFlags::HWPOISON | PageFlags::HWPOISON_RAW;
    let mut flags = PageFlags::HEAD | PageFlags::HUGETLB | cpu.this_cpu_read(descriptor.flags()) & stays;
    flags.set(PageFlags::HUGETLB_FREEING, cpu.kernel.has_memory_failure());
    cpu.this_cpu_write(descriptor.flags(), flags);
    let _irq = cpu.irq_save();
    let _hugetlb_lock = cpu.lock(cpu.kernel.hugetlb.lock).await;
    enqueue_hugetlb_folio(cpu, head).await;
}

/// `enqueue_hugetlb_folio()`: the page is the next one that is taken. The caller holds `hugetlb_lock`.
async fn enqueue_hugetlb_folio(cpu: Cpu<'_>, head: Page) {
    let order = Order::new(cpu.kernel.folio_order(head));
    let flags = cpu.kernel.own_flags(head);
    cpu.update(&cpu.kernel.hstate_of(head).freelist, move |free| {
        free.push(head);
        cpu.this_cpu_write(flags, cpu.this_cpu_read(flags) - PageFlags::HUGETLB_FREEING);
        cpu.note(Event::FrameFreed { pfn: head.0, order });
    })
    .await;
}

/// `dequeue_hugetlb_folio()`: the page that was freed last, with a reference. The caller holds `hugetlb_lock`.
pub(crate) async fn dequeue_hugetlb_folio(cpu: Cpu<'_>, hstate: &Hstate) -> Option<Page> {
    dequeue_hugetlb_folio_node(cpu, hstate, Gfp::empty()).await
}

/// `dequeue_hugetlb_folio_node_exact()`: the same of the node that `gfp` names, if it names one. A page that is marked as broken stays where it is.
pub(crate) async fn dequeue_hugetlb_folio_node(cpu: Cpu<'_>, hstate: &Hstate, gfp: Gfp) -> Option<Page> {
    let node = gfp.node();
    let is_wanted = move |head: &Page| {
        node.is_none_or(|node| cpu.kernel.mem_map.node(head.0) == node)
            && !check!(cpu, HUGETLB_DEQUEUE_HWPOISON, has_hwpoison(cpu, head.0, 0))
    };
    cpu.update(&hstate.freelist, move |free| {
        let head = free.remove(free.iter().rposition(is_wanted)?);
        first_reference(cpu, head, FrameUse::Data);
        Some(head)
    })
    .await
}

/// A page is on the free list no more, and the caller has the one reference. A part of the step that takes it off the list.
fn first_reference(cpu: Cpu<'_>, head: Page, for_use: FrameUse) {
    // folio_ref_unfreeze(): nobody gets a reference to a page whose count is zero, so a plain store is enough.
    cpu.this_cpu_write(cpu.kernel.refcount(head), 1);
    let order = Order::new(cpu.kernel.folio_order(head));
    cpu.note(Event::FrameAllocated { pfn: head.0, order, for_use });
}

/// `remove_hugetlb_folio()`: a free page is none of the pool any more, and the allocator gets it with its last reference, which the caller has. It is the page that was
/// freed last, unless the caller asks for a page by a frame of it that is broken. The caller holds `hugetlb_lock`.
pub(crate) async fn remove_hugetlb_folio(cpu: Cpu<'_>, hstate: &Hstate, broken: Option<Page>) -> Option<Page> {
    let head = cpu
        .update(&hstate.freelist, move |free| {
            let head = match broken {
                Some(page) => {
                    let head = cpu.kernel.folio_of(page);
                    free.retain(|other| *other != head);
                    head
                }
                None => free.pop()?,
            };
            first_reference(cpu, head, FrameUse::Returned);
            folio_clear_hugetlb_hwpoison(cpu, head, broken);
            let flags = cpu.kernel.own_flags(head);
            cpu.this_cpu_write(flags, PageFlags::HEAD | cpu.this_cpu_read(flags) & PageFlags::HWPOISON);
            Some(head)
        })
        .await?;
    cpu.store(hstate.nr_huge_pages, cpu.this_cpu_read(hstate.nr_huge_pages) - 1).await;
    Some(head)
}
