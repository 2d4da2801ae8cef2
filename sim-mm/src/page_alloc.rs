//! The page allocator: `mm/page_alloc.c`.
//!
//! There are two of them ([`PageAlloc`]). In one, any free frame can come next. In a kernel the lists that decide it depend
//! on everything that ran before, so here it is a choice. In the other, these lists are there: blocks by order, zones,
//! and on each CPU a list of the frames that it freed last. Nothing is reclaimed, so there are no watermarks. Frames of
//! all migrate types are on one list.

use sim_core::{BoxFuture, CpuId, Op, OpKind, Record, Routine};
use sim_mmu::{Level, Pfn};

use crate::check;
use crate::event::{Event, FrameUse, Order};
use crate::fault_inject::should_fail;
use crate::folio::note_arrival;
use crate::gfp::Gfp;
use crate::highmem::clear_page;
use crate::huge_memory::unqueue_deferred_split;
use crate::hugetlb_pool::free_huge_folio;
use crate::hwpoison::has_hwpoison;
use crate::kernel::Cpu;
use crate::memremap::free_zone_device_page;
use crate::mm_types::{MmStruct, Page, PageDescriptor};
use crate::mmzone::{Lists, Zone};
use crate::page_flags::{PageFlags, PageType};
use crate::safeguards::CHECK_NEW_PAGE_HWPOISON;
use crate::settings::PageAlloc;

fn lists<'m>(cpu: Cpu<'m>) -> Lists<'m> {
    Lists { memory: &cpu.kernel.core().memory, mem_map: cpu.kernel.mem_map }
}

/// `__alloc_pages()`: a block of two to the power of `order` frames, of which the first has a reference count of one.
async fn __alloc_pages(cpu: Cpu<'_>, order: u8, gfp: Gfp, for_use: FrameUse) -> Option<Page> {
    match cpu.setting::<PageAlloc>() {
        PageAlloc::AnyFrame => any_frame(cpu, order, gfp, for_use).await,
        PageAlloc::Buddy => Box::pin(alloc_from_lists(cpu, order, gfp, for_use)).await,
    }
}

/// Takes a block off the one list: whichever, with the zone lock held.
#[track_caller]
fn any_frame<'m>(
    cpu: Cpu<'m>,
    order: u8,
    gfp: Gfp,
    for_use: FrameUse,
) -> impl Future<Output = Option<Page>> + use<'m> {
    let op = Op::new(OpKind::Rmw, cpu.kernel.any_frame.lock);
    cpu.step(op, move |hw| {
        let memory = &hw.core.memory;
        if should_fail(cpu, for_use.name()) {
            hw.perform_rmw(&op, memory.get(op.loc), memory.get(op.loc));
            return None;
        }
        let choose = |count| hw.core.choose_value("free frame", count);
        let mut pfn = cpu.kernel.any_frame.rmqueue(memory, order, gfp, choose)?;
        while is_bad(cpu, pfn, order) {
            pfn = cpu.kernel.any_frame.rmqueue(memory, order, gfp, choose)?;
        }
        prep_new_page(cpu, pfn, order, gfp);
        hw.perform_rmw(&op, memory.get(op.loc), pfn.0);
        cpu.note(Event::FrameAllocated { pfn, order: Order::new(order), for_use });
        Some(Page(pfn))
    })
}

/// The same from the lists of the zones. Where no zone has such a block, what other CPUs keep for themselves goes back
/// first: `__alloc_pages_slowpath()`.
async fn alloc_from_lists(cpu: Cpu<'_>, order: u8, gfp: Gfp, for_use: FrameUse) -> Option<Page> {
    if should_fail(cpu, for_use.name()) {
        return None;
    }
    let mut found = get_page_from_freelist(cpu, order, gfp).await;
    if found.is_none() && !gfp.contains(Gfp::NOWAIT) {
        drain_all_pages(cpu).await;
        found = get_page_from_freelist(cpu, order, gfp).await;
    }
    let pfn = found?;
    prep_new_page(cpu, pfn, order, gfp);
    cpu.note(Event::FrameAllocated { pfn, order: Order::new(order), for_use });
    Some(Page(pfn))
}

/// `get_page_from_freelist()`: from the first zone that has such a block.
async fn get_page_from_freelist(cpu: Cpu<'_>, order: u8, gfp: Gfp) -> Option<Pfn> {
    for zone in cpu.kernel.zones.iter().filter(|zone| zone.allows(gfp)) {
        loop {
            let found = match order {
                0 => rmqueue_pcplist(cpu, zone).await,
                _ => rmqueue_buddy(cpu, zone, order).await,
            };
            let Some(pfn) = found else { break };
            if !is_bad(cpu, pfn, order) {
                return found;
            }
            // The block is on no list any more.
            for pfn in pfn.0..pfn.0 + (1 << order) {
                cpu.this_cpu_write(cpu.kernel.page(Page(Pfn(pfn))).page_type(), PageType::InUse);
            }
        }
    }
    None
}

/// `rmqueue_buddy()`.
async fn rmqueue_buddy(cpu: Cpu<'_>, zone: &Zone, order: u8) -> Option<Pfn> {
    let _irq = cpu.irq_save();
    let _zone = cpu.lock(zone.lock).await;
    zone.__rmqueue_smallest(lists(cpu), order)
}

/// `rmqueue_pcplist()`: the frame that this CPU freed last, or the first of a batch.
async fn rmqueue_pcplist(cpu: Cpu<'_>, zone: &Zone) -> Option<Pfn> {
    let _irq = cpu.irq_save();
    let pcp = zone.pcp(cpu.id);
    // Somebody empties the list.
    let Some(_pcp) = cpu.try_lock(pcp.lock()).await else { return rmqueue_buddy(cpu, zone, 0).await };
    if lists(cpu).first(pcp.list()).is_none() {
        let _zone = cpu.lock(zone.lock).await;
        zone.rmqueue_bulk(lists(cpu), pcp);
    }
    let pfn = lists(cpu).first(pcp.list())?;
    lists(cpu).del(pcp.list(), pfn);
    Some(pfn)
}

/// `drain_all_pages()`: no CPU keeps a frame for itself. Before v6.0 each of them was asked to give its own back.
async fn drain_all_pages(cpu: Cpu<'_>) {
    let _routine = cpu.enter("drain_all_pages");
    for of in CpuId::all(cpu.kernel.config.cpus) {
        for zone in &cpu.kernel.zones {
            let pcp = zone.pcp(of);
            let _irq = cpu.irq_save();
            let _pcp = cpu.lock(pcp.lock()).await;
            let count = lists(cpu).count(pcp.list());
            if count > 0 {
                let _zone = cpu.lock(zone.lock).await;
                zone.free_pcppages_bulk(lists(cpu), pcp, count);
            }
        }
    }
}

/// `check_new_pages()`: whether a block has a frame that must not be handed out, because its memory is broken. Then all of it stays away.
fn is_bad(cpu: Cpu<'_>, first: Pfn, order: u8) -> bool {
    check!(cpu, CHECK_NEW_PAGE_HWPOISON, has_hwpoison(cpu, first, order))
}

/// `prep_new_page()`: nothing is left of what the frames were, and they may be one page from now on.
fn prep_new_page(cpu: Cpu<'_>, first: Pfn, order: u8, gfp: Gfp) {
    let memory = &cpu.core.memory;
    for pfn in first.0..first.0 + (1 << order) {
        let page = cpu.kernel.page(Page(Pfn(pfn)));
        // PAGE_FLAGS_CHECK_AT_PREP: of all flags this one would stay.
        let broken = cpu.kernel.is_hwpoison(Page(Pfn(pfn)));
        memory.clear(page.loc().offset(1), PageDescriptor::WORDS - 1);
        if broken {
            cpu.this_cpu_write(page.flags(), PageFlags::HWPOISON);
        }
        if cpu.setting::<PageAlloc>() == PageAlloc::Buddy {
            cpu.this_cpu_write(page.page_type(), PageType::InUse);
        }
    }
    // set_page_refcounted()
    memory.set(cpu.kernel.refcount(Page(first)).loc(), 1);
    if order > 0 && gfp.contains(Gfp::COMP) {
        prep_compound_page(cpu, first, order);
    }
}

/// `prep_compound_page()`: the first page stands for all. The others say which it is, and count nothing themselves.
fn prep_compound_page(cpu: Cpu<'_>, first: Pfn, order: u8) {
    prep_compound_head(cpu, first, order);
    for tail in first.0 + 1..first.0 + (1 << order) {
        cpu.this_cpu_write(cpu.kernel.page(Page(Pfn(tail))).compound_head(), first.0 + 1);
    }
}

/// `prep_compound_head()`.
pub(crate) fn prep_compound_head(cpu: Cpu<'_>, first: Pfn, order: u8) {
    let head = cpu.kernel.page(Page(first));
    cpu.this_cpu_write(head.flags(), PageFlags::HEAD);
    cpu.this_cpu_write(head.compound_order(), u64::from(order));
}

/// `compound_order()`: of a page that is the first of several, two to the power of how many. Zero of any other page. Nobody
/// but the allocator changes it.
pub fn compound_order(cpu: Cpu<'_>, page: Page) -> u8 {
    cpu.this_cpu_read(cpu.kernel.page(page).compound_order()) as u8
}

/// `free_pages_prepare()`: the frames are single pages again, and nobody's. Nothing happens, and it says so, if the first
/// one is free already or memory does not have it: that is the oracle's to judge.
fn free_pages_prepare(cpu: Cpu<'_>, page: Page, order: u8) -> bool {
    if !cpu.kernel.mmu.phys.contains(page.0) || cpu.kernel.is_free(page) {
        return false;
    }
    note_arrival(cpu, page);
    // Since v5.10 a frame whose memory is broken does not come back. Before, and as a part of a larger block, it is passed over later.
    if order == 0 && has_hwpoison(cpu, page.0, order) {
        return false;
    }
    if order > 0 {
        let flags = cpu.kernel.page_flags(page);
        cpu.this_cpu_write(flags, cpu.this_cpu_read(flags) - PageFlags::HEAD);
    }
    for pfn in page.0.0..page.0.0 + (1 << order) {
        let page = cpu.kernel.page(Page(Pfn(pfn)));
        // PageMappingFlags(): ksmd still looks at frames that were merged pages.
        if cpu.kernel.has_ksm() {
            cpu.this_cpu_write(page.mapping(), 0);
        }
        if order > 0 {
            cpu.this_cpu_write(page.compound_head(), 0);
            cpu.this_cpu_write(page.compound_order(), 0);
        }
        if cpu.setting::<PageAlloc>() == PageAlloc::Buddy {
            cpu.this_cpu_write(page.page_type(), PageType::Free);
        }
    }
    true
}

/// `free_unref_page()`: puts a frame back on the free list; of a kernel with such lists, to the front of this CPU's.
pub(crate) async fn free_unref_page(cpu: Cpu<'_>, page: Page) {
    free_the_page(cpu, page, 0).await;
}

/// `free_the_page()`: puts a block back.
pub(crate) async fn free_the_page(cpu: Cpu<'_>, page: Page, order: u8) {
    if cpu.kernel.is_zone_device(page.0) {
        return Box::pin(free_zone_device_page(cpu)).await;
    }
    let _routine = cpu.enter(Routine::helper(if order == 0 { "free_unref_page" } else { "__free_pages_ok" }));
    match (cpu.setting::<PageAlloc>(), order) {
        (_, 1..) => Box::pin(free_block(cpu, page, order)).await,
        (PageAlloc::AnyFrame, 0) => free_to_the_list(cpu, page, order).await,
        (PageAlloc::Buddy, 0) => Box::pin(free_unref_page_commit(cpu, page)).await,
    }
}

/// The same of several frames. A folio leaves the queue of those that are to be split.
async fn free_block(cpu: Cpu<'_>, page: Page, order: u8) {
    if cpu.kernel.mmu.phys.contains(page.0) {
        // The destructor of a compound page.
        if cpu.kernel.is_hugetlb(page) {
            return free_huge_folio(cpu, page).await;
        }
        unqueue_deferred_split(cpu, page).await;
    }
    match cpu.setting::<PageAlloc>() {
        PageAlloc::AnyFrame => free_to_the_list(cpu, page, order).await,
        PageAlloc::Buddy => free_one_page(cpu, page, order).await,
    }
}

/// Puts a block back on the one list.
#[track_caller]
fn free_to_the_list<'m>(cpu: Cpu<'m>, page: Page, order: u8) -> impl Future<Output = ()> + use<'m> {
    let op = Op::new(OpKind::Rmw, cpu.kernel.any_frame.lock);
    cpu.step(op, move |hw| {
        let memory = &hw.core.memory;
        if free_pages_prepare(cpu, page, order) {
            cpu.kernel.any_frame.put(memory, page.0, order);
        }
        hw.perform_rmw(&op, memory.get(op.loc), page.0.0);
        cpu.note(Event::FrameFreed { pfn: page.0, order: Order::new(order) });
    })
}

/// `free_unref_page_commit()`: this CPU uses the frame next, unless it has too many.
async fn free_unref_page_commit(cpu: Cpu<'_>, page: Page) {
    let Some(zone) = cpu.kernel.page_zone(page) else {
        cpu.note(Event::FrameFreed { pfn: page.0, order: Order::PTE });
        return;
    };
    let _irq = cpu.irq_save();
    let pcp = zone.pcp(cpu.id);
    let Some(_pcp) = cpu.try_lock(pcp.lock()).await else { return free_one_page(cpu, page, 0).await };
    if free_pages_prepare(cpu, page, 0) {
        lists(cpu).add(pcp.list(), page.0);
    }
    cpu.note(Event::FrameFreed { pfn: page.0, order: Order::PTE });
    if lists(cpu).count(pcp.list()) >= zone.pcp_high() {
        let _zone = cpu.lock(zone.lock).await;
        zone.free_pcppages_bulk(lists(cpu), pcp, zone.pcp_batch());
    }
}

/// `free_one_page()`: straight to the blocks of the zone.
async fn free_one_page(cpu: Cpu<'_>, page: Page, order: u8) {
    let _irq = cpu.irq_save();
    if let Some(zone) = cpu.kernel.page_zone(page) {
        let _zone = cpu.lock(zone.lock).await;
        if free_pages_prepare(cpu, page, order) {
            zone.__free_one_page(lists(cpu), page.0, order);
        }
    }
    cpu.note(Event::FrameFreed { pfn: page.0, order: Order::new(order) });
}

/// `alloc_pages()`: a block of frames with whatever they held before. With [`Gfp::COMP`] they are one page.
pub fn alloc_pages(cpu: Cpu<'_>, order: u8, gfp: Gfp) -> BoxFuture<'_, Option<Page>> {
    Box::pin(async move {
        let _routine = cpu.enter(Routine::helper("alloc_pages"));
        __alloc_pages(cpu, order, gfp, FrameUse::Data).await
    })
}

/// `alloc_page()`: a frame with whatever it held before.
pub(crate) async fn alloc_page(cpu: Cpu<'_>) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("alloc_page"));
    __alloc_pages(cpu, 0, Gfp::MOVABLE, FrameUse::Data).await
}

/// A frame for a driver, who does not count references to it.
pub(crate) async fn alloc_driver_page(cpu: Cpu<'_>) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("alloc_page"));
    let page = __alloc_pages(cpu, 0, Gfp::empty(), FrameUse::Driver).await?;
    cpu.this_cpu_write(cpu.kernel.refcount(page), 0);
    Some(page)
}

/// A frame for a batch. It is not waited for: the caller may hold a spin lock.
pub(crate) async fn alloc_batch(cpu: Cpu<'_>) -> Option<Page> {
    __alloc_pages(cpu, 0, Gfp::NOWAIT, FrameUse::Batch).await
}

/// `alloc_zeroed_user_highpage_movable()`.
pub(crate) async fn alloc_zeroed_user_highpage_movable(cpu: Cpu<'_>) -> Option<Page> {
    alloc_zeroed_page(cpu, Gfp::MOVABLE).await
}

/// `alloc_page()` with `__GFP_ZERO`.
pub(crate) async fn alloc_zeroed_page(cpu: Cpu<'_>, gfp: Gfp) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("alloc_page"));
    let page = __alloc_pages(cpu, 0, gfp, FrameUse::Data).await?;
    clear_page(cpu, page.0).await;
    cpu.note(Event::PageCleared { pfn: page.0 });
    Some(page)
}

/// A cleared frame for a table: `pte_alloc_one()` and its kin.
pub(crate) async fn alloc_table(cpu: Cpu<'_>, level: Level, root: Pfn) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("alloc_table"));
    let page = __alloc_pages(cpu, 0, Gfp::empty(), FrameUse::Table { level, root }).await?;
    clear_page(cpu, page.0).await;
    Some(page)
}

/// `pte_alloc_one()`: a page table that is linked nowhere yet.
pub(crate) async fn pte_alloc_one(cpu: Cpu<'_>, mm: &MmStruct) -> Option<Page> {
    alloc_table(cpu, Level::Pte, cpu.this_cpu_read(mm.pgd())).await
}

/// A cleared frame for a top-level table: `pgd_alloc()`.
pub(crate) async fn pgd_alloc(cpu: Cpu<'_>) -> Option<Page> {
    let _routine = cpu.enter("pgd_alloc");
    let page = __alloc_pages(cpu, 0, Gfp::empty(), FrameUse::Root).await?;
    clear_page(cpu, page.0).await;
    Some(page)
}
