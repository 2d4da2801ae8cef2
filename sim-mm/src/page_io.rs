//! `mm/page_io.c`: pages go to the swap device and come back.
//!
//! The device is a part of memory, as zram is. Reading and writing take one step on each side. A device that is not synchronous
//! differs in what the kernel does about it: it reads by way of the swap cache, and a page that was written stays until the
//! next time that reclaim comes by.

use sim_core::{Op, OpKind};

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{end_page_writeback, set_page_writeback, unlock_page};
use crate::swapops::SwpEntry;

/// `swap_writepage()`: writes a folio that is locked to its slots, and unlocks it.
pub(crate) async fn swap_writepage(cpu: Cpu<'_>, head: Page, first: SwpEntry) {
    let _routine = cpu.enter("swap_writepage");
    set_page_writeback(cpu, head).await;
    unlock_page(cpu, head).await;
    for (page, slot) in cpu.kernel.folio_pages(head).zip(first.0..) {
        write_page(cpu, page, SwpEntry(slot)).await;
    }
    end_page_writeback(cpu, head).await;
}

async fn write_page(cpu: Cpu<'_>, page: Page, entry: SwpEntry) {
    let phys = &cpu.mmu.phys;
    let read = Op::new(OpKind::Read, phys.word(page.0, 0));
    let held = cpu.step(read, move |hw| hw.perform_block_load(&read, phys.words_per_frame())).await;
    let write = Op::new(OpKind::Write, cpu.kernel.swap.contents(entry));
    cpu.step(write, move |hw| {
        hw.perform_block_store(&write, held.iter().copied());
        cpu.note(Event::SwappedOut { pfn: page.0, slot: entry.0 });
    })
    .await;
}

/// `swap_readpage()`: fills a page that is locked with what its slot holds.
pub(crate) async fn swap_readpage(cpu: Cpu<'_>, page: Page, entry: SwpEntry) {
    let _routine = cpu.enter("swap_readpage");
    let phys = &cpu.mmu.phys;
    let read = Op::new(OpKind::Read, cpu.kernel.swap.contents(entry));
    let held = cpu.step(read, move |hw| hw.perform_block_load(&read, phys.words_per_frame())).await;
    let write = Op::new(OpKind::Write, phys.word(page.0, 0));
    cpu.step(write, move |hw| {
        hw.perform_block_store(&write, held.iter().copied());
        cpu.note(Event::SwappedIn { slot: entry.0, pfn: page.0 });
    })
    .await;
}
