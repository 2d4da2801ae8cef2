//! Reverse mapping: `mm/rmap.c`, as far as it counts and links.

mod anon_vma;
pub(crate) mod types;

pub(crate) use anon_vma::{anon_vma_clone, anon_vma_fork, anon_vma_prepare, has_one_anon_vma, unlink_anon_vmas};

use sim_core::{Op, OpKind};
use sim_mmu::VirtAddr;

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::{Page, Vma};
use crate::page_flags::{PageFlags, anon_mapping, is_anon_mapping};
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

/// `PageAnon()`, for a caller that keeps the page.
pub fn page_is_anon(cpu: Cpu<'_>, page: Page) -> bool {
    is_anon_mapping(cpu.this_cpu_read(cpu.kernel.page(page).mapping()))
}

/// `page_add_new_anon_rmap()`: the first mapping of a page that nobody else knows.
pub(crate) async fn page_add_new_anon_rmap(cpu: Cpu<'_>, page: Page, vma: Vma, addr: VirtAddr) {
    // __page_set_anon_rmap(): nobody finds the page before it is mapped.
    let anon_vma = vma.anon_vma(cpu).map_or(0, |anon_vma| anon_vma.index() as u64 + 1);
    cpu.this_cpu_write(cpu.kernel.page(page).mapping(), anon_mapping(anon_vma));
    cpu.this_cpu_write(cpu.kernel.page(page).index(), vma.index_of(cpu, addr));
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

/// `page_dup_rmap()`, `page_try_dup_anon_rmap()` since v5.19: one more mapping of an anonymous page, by fork.
pub(crate) async fn page_dup_rmap(cpu: Cpu<'_>, page: Page) {
    if marks_exclusive(cpu) {
        cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::ANON_EXCLUSIVE).await;
    }
    change_mapcount(cpu, page, |count| count.wrapping_add(1)).await;
}

/// `page_add_file_rmap()`: one more mapping of a page of a file.
pub(crate) async fn page_add_file_rmap(cpu: Cpu<'_>, page: Page) {
    change_mapcount(cpu, page, |count| count.wrapping_add(1)).await;
}

/// `page_remove_rmap()`: one mapping less.
pub(crate) async fn page_remove_rmap(cpu: Cpu<'_>, page: Page) {
    change_mapcount(cpu, page, |count| count.wrapping_sub(1)).await;
}
