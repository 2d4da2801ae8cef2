//! `include/linux/highmem.h`: clearing and copying whole pages.

use sim_core::{Op, OpKind, Routine};
use sim_mmu::Pfn;

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::Page;

/// Fills a frame with zeroes, in one step: nobody else knows of it yet. A store buffer may hold them back; what
/// links the frame is stored later, and so reaches memory later.
pub(crate) async fn clear_page(cpu: Cpu<'_>, pfn: Pfn) {
    let phys = &cpu.mmu.phys;
    let op = Op::new(OpKind::Write, phys.word(pfn, 0));
    let zeroes = std::iter::repeat_n(0, phys.words_per_frame() as usize);
    cpu.step(op, move |hw| hw.perform_block_store(&op, zeroes.clone())).await;
}

/// `clear_huge_page()`, `folio_zero_user()` since v6.11: page by page.
pub(crate) async fn clear_huge_page(cpu: Cpu<'_>, head: Page, pages: u64) {
    let _routine = cpu.enter(Routine::helper("clear_huge_page"));
    for pfn in head.0.0..head.0.0 + pages {
        clear_page(cpu, Pfn(pfn)).await;
        cpu.note(Event::PageCleared { pfn: Pfn(pfn) });
    }
}

/// What a page holds, read in one step by the kernel's own mapping of it.
pub(crate) async fn read_page(cpu: Cpu<'_>, page: Page) -> Box<[u64]> {
    let phys = &cpu.mmu.phys;
    let read = Op::new(OpKind::Read, phys.word(page.0, 0));
    cpu.step(read, move |hw| hw.perform_block_load(&read, phys.words_per_frame())).await
}

/// `copy_user_highpage()`: reads the old page in one step, fills the new one in another.
pub(crate) async fn copy_user_highpage(cpu: Cpu<'_>, to: Page, from: Page) {
    let _routine = cpu.enter(Routine::helper("copy_user_highpage"));
    let contents = read_page(cpu, from).await;
    let write = Op::new(OpKind::Write, cpu.mmu.phys.word(to.0, 0));
    cpu.step(write, move |hw| {
        hw.perform_block_store(&write, contents.iter().copied());
        cpu.note(Event::PageCopied { from: from.0, to: to.0 });
    })
    .await;
}

/// `copy_user_huge_page()`, `copy_user_large_folio()` since v6.5: page by page.
pub(crate) async fn copy_user_huge_page(cpu: Cpu<'_>, to: Page, from: Page, pages: u64) {
    for nth in 0..pages {
        copy_user_highpage(cpu, Page(Pfn(to.0.0 + nth)), Page(Pfn(from.0.0 + nth))).await;
    }
}
