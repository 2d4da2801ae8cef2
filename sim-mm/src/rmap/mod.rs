//! Reverse mapping: `mm/rmap.c`.

mod anon_vma;
mod batch;
mod referenced;
pub(crate) mod types;
mod unmap;
mod walk;

pub(crate) use anon_vma::{
    anon_vma_clone, anon_vma_fork, anon_vma_lock_write, anon_vma_prepare, has_one_anon_vma, unlink_anon_vmas,
    walked,
};
pub(crate) use batch::{flush_tlb_batched_pending, try_to_unmap_flush, try_to_unmap_flush_dirty};
pub(crate) use referenced::page_referenced;
pub(crate) use unmap::{page_mapped, try_to_unmap};

use sim_core::{Op, OpKind};
use sim_mmu::VirtAddr;

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::{Page, Vma};
use crate::page::page_is_anon;
use crate::page_flags::{PageFlags, anon_mapping};
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

/// `page_add_anon_rmap()`, `do_page_add_anon_rmap()` before v5.19: one more mapping of a page that was read from swap. The page is locked.
///
/// A page that may be shared hangs on the root of the tree, since any of the processes could map it next.
pub(crate) async fn page_add_anon_rmap(cpu: Cpu<'_>, page: Page, vma: Vma, addr: VirtAddr, exclusive: bool) {
    if !page_is_anon(cpu, page) {
        // __page_set_anon_rmap()
        let own = vma.anon_vma(cpu);
        let anon_vma = if exclusive { own } else { own.map(|own| anon_vma::root_of(cpu, own)) };
        let slot = anon_vma.map_or(0, |anon_vma| anon_vma.index() as u64 + 1);
        cpu.this_cpu_write(cpu.kernel.page(page).mapping(), anon_mapping(slot));
        cpu.this_cpu_write(cpu.kernel.page(page).index(), vma.index_of(cpu, addr));
    }
    change_mapcount(cpu, page, |count| count.wrapping_add(1)).await;
    if exclusive {
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
