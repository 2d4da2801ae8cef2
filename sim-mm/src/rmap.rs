//! Reverse mapping of anonymous pages: `mm/rmap.c`, as far as it counts.

use sim_core::{Op, OpKind};

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page_flags::PageFlags;
use crate::settings::CowReuse;

#[track_caller]
fn change_mapcount<'m>(cpu: Cpu<'m>, page: Page, update: impl Fn(u64) -> u64 + Unpin) -> impl Future<Output = ()> {
    let op = Op::new(OpKind::Rmw, cpu.kernel.mapcount(page).loc());
    cpu.step(op, move |hw| {
        let old = hw.core.memory.get(op.loc);
        let new = update(old);
        hw.perform_rmw(&op, old, new);
        cpu.note(Event::MapcountChanged { pfn: page.0, old, new });
    })
}

/// Whether this kernel marks pages that one address space has for itself.
fn marks_exclusive(cpu: Cpu<'_>) -> bool {
    cpu.setting::<CowReuse>() == CowReuse::Exclusive
}

/// `page_add_new_anon_rmap()`: the first mapping of a page that nobody else knows.
pub(crate) async fn page_add_new_anon_rmap(cpu: Cpu<'_>, page: Page) {
    change_mapcount(cpu, page, |_| 1).await;
    if marks_exclusive(cpu) {
        page_move_anon_rmap(cpu, page).await;
    }
}

/// `page_move_anon_rmap()`: the page belongs to this address space alone from now on.
pub(crate) async fn page_move_anon_rmap(cpu: Cpu<'_>, page: Page) {
    if marks_exclusive(cpu) {
        cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::ANON_EXCLUSIVE).await;
    }
}

/// `page_dup_rmap()`, `page_try_dup_anon_rmap()` since v5.19: one more mapping, by fork.
pub(crate) async fn page_dup_rmap(cpu: Cpu<'_>, page: Page) {
    if marks_exclusive(cpu) {
        cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::ANON_EXCLUSIVE).await;
    }
    change_mapcount(cpu, page, |count| count.wrapping_add(1)).await;
}

/// `page_remove_rmap()`: one mapping less.
pub(crate) async fn page_remove_rmap(cpu: Cpu<'_>, page: Page) {
    change_mapcount(cpu, page, |count| count.wrapping_sub(1)).await;
}
