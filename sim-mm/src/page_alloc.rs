//! The page allocator: `mm/page_alloc.c`, order 0.
//!
//! The free list is one location: whoever takes from it or gives to it holds the zone lock, so each
//! of the two is one step. Which free frame comes next is a choice, since the lists that decide it
//! in a kernel (buddies, per-CPU lists, colours) depend on everything that ran before. Frames that
//! were never used are alike, so only the first of them is offered.

use sim_core::{Op, OpKind, Record, Routine};
use sim_mmu::{Level, Pfn};

use crate::event::{Event, FrameUse};
use crate::fault_inject::should_fail;
use crate::kernel::Cpu;
use crate::mm_types::{Page, PageDescriptor};

/// Takes a frame off the free list, with a reference count of one.
async fn rmqueue(cpu: Cpu<'_>, for_use: FrameUse) -> Option<Page> {
    let zone = cpu.kernel.zone;
    let op = Op::new(OpKind::Rmw, zone.lock);
    cpu.step(op, move |hw| {
        let memory = &hw.core.memory;
        if should_fail(cpu, for_use.name()) {
            hw.perform_rmw(&op, memory.get(op.loc), memory.get(op.loc));
            return None;
        }
        let pfn = zone.choose(memory, |count| hw.core.choose_value("free frame", count))?;
        zone.flip(memory, zone.free, pfn);
        if !zone.is_set(memory, zone.used, pfn) {
            zone.flip(memory, zone.used, pfn);
        }
        let page = Page(pfn);
        let descriptor = cpu.kernel.page(page);
        for word in 1..PageDescriptor::WORDS {
            let word = descriptor.loc().offset(word);
            if memory.get(word) != 0 {
                memory.set(word, 0);
            }
        }
        memory.set(descriptor.refcount().loc(), 1);
        hw.perform_rmw(&op, memory.get(op.loc), pfn.0);
        cpu.note(Event::FrameAllocated { pfn, for_use });
        Some(page)
    })
    .await
}

/// `free_unref_page()`: puts a frame back on the free list.
pub(crate) async fn free_unref_page(cpu: Cpu<'_>, page: Page) {
    let _routine = cpu.enter(Routine::helper("free_unref_page"));
    let zone = cpu.kernel.zone;
    let op = Op::new(OpKind::Rmw, zone.lock);
    cpu.step(op, move |hw| {
        let memory = &hw.core.memory;
        // A frame that is free already, or that memory does not have, is the oracle's to judge.
        if cpu.kernel.mmu.phys.contains(page.0) && !zone.is_set(memory, zone.free, page.0) {
            zone.flip(memory, zone.free, page.0);
        }
        hw.perform_rmw(&op, memory.get(op.loc), page.0.0);
        cpu.note(Event::FrameFreed { pfn: page.0 });
    })
    .await;
}

/// `alloc_page()`: a frame with whatever it held before.
pub(crate) async fn alloc_page(cpu: Cpu<'_>) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("alloc_page"));
    rmqueue(cpu, FrameUse::Data).await
}

/// A frame for a driver, who does not count references to it.
pub(crate) async fn alloc_driver_page(cpu: Cpu<'_>) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("alloc_page"));
    let page = rmqueue(cpu, FrameUse::Driver).await?;
    cpu.this_cpu_write(cpu.kernel.refcount(page), 0);
    Some(page)
}

/// `alloc_zeroed_user_highpage_movable()`.
pub(crate) async fn alloc_zeroed_user_highpage_movable(cpu: Cpu<'_>) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("alloc_page"));
    let page = rmqueue(cpu, FrameUse::Data).await?;
    clear_page(cpu, page.0).await;
    cpu.note(Event::PageCleared { pfn: page.0 });
    Some(page)
}

/// A cleared frame for a table: `pte_alloc_one()` and its kin.
pub(crate) async fn alloc_table(cpu: Cpu<'_>, level: Level, root: Pfn) -> Option<Page> {
    let _routine = cpu.enter(Routine::helper("alloc_table"));
    let page = rmqueue(cpu, FrameUse::Table { level, root }).await?;
    clear_page(cpu, page.0).await;
    Some(page)
}

/// A cleared frame for a top-level table: `pgd_alloc()`.
pub(crate) async fn pgd_alloc(cpu: Cpu<'_>) -> Option<Page> {
    let _routine = cpu.enter("pgd_alloc");
    let page = rmqueue(cpu, FrameUse::Root).await?;
    clear_page(cpu, page.0).await;
    Some(page)
}

/// Fills a frame with zeroes, in one step: nobody else knows of it yet. A store buffer may hold them back; what
/// links the frame is stored later, and so reaches memory later.
async fn clear_page(cpu: Cpu<'_>, pfn: Pfn) {
    let phys = &cpu.mmu.phys;
    let op = Op::new(OpKind::Write, phys.word(pfn, 0));
    let zeroes = std::iter::repeat_n(0, phys.words_per_frame() as usize);
    cpu.step(op, move |hw| hw.perform_block_store(&op, zeroes.clone())).await;
}

/// `copy_user_highpage()`: reads the old page in one step, fills the new one in another.
pub(crate) async fn copy_user_highpage(cpu: Cpu<'_>, to: Page, from: Page) {
    let _routine = cpu.enter(Routine::helper("copy_user_highpage"));
    let phys = &cpu.mmu.phys;
    let read = Op::new(OpKind::Read, phys.word(from.0, 0));
    let contents = cpu.step(read, move |hw| hw.perform_block_load(&read, phys.words_per_frame())).await;
    let write = Op::new(OpKind::Write, phys.word(to.0, 0));
    cpu.step(write, move |hw| {
        hw.perform_block_store(&write, contents.iter().copied());
        cpu.note(Event::PageCopied { from: from.0, to: to.0 });
    })
    .await;
}
