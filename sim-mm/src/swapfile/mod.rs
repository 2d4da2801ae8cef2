//! `mm/swapfile.c`: who has a slot of the swap area, and when it becomes free.
//!
//! Each entry of a page table that names a slot counts in `swap_map`, and so does the swap cache. A slot is free when nobody
//! has it. Linux changes `swap_map` under a lock, so each change is one step here.

mod cache;
mod device;
mod swapoff;
mod unuse;

pub(crate) use cache::{free_swap_and_cache, free_swap_cache, reuse_swap_page, try_to_free_swap};
pub(crate) use device::{get_swap_device, put_swap_device};
pub use swapoff::sys_swapoff;

use sim_core::{Op, OpKind, Routine, Step};

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::swap_info::SWAP_HAS_CACHE;
use crate::swapops::SwpEntry;

/// The entries of page tables that name a slot.
fn swap_count(map: u64) -> u64 {
    map & !SWAP_HAS_CACHE
}

/// `get_swap_page()`, since v6.12 `folio_alloc_swap()`: as many free slots in a row as a folio has pages, for it is going to be in the swap
/// cache. The first of them is a multiple of their number.
pub(crate) async fn get_swap_page(cpu: Cpu<'_>, pages: u64) -> Option<SwpEntry> {
    let _routine = cpu.enter(Routine::helper("get_swap_page"));
    let swap = &cpu.kernel.swap;
    let op = Op::new(OpKind::Rmw, swap.lock);
    cpu.step(op, move |hw| {
        let memory = &hw.core.memory;
        let is_free = |entry: &SwpEntry| memory.get(swap.slot(*entry).swap_map().loc()) == 0;
        let is_open = memory.get(swap.state.closed().loc()) == 0;
        let slots = |first: u64| (first..first + pages).map(SwpEntry);
        let free = (0..swap.len() / pages)
            .map(|nth| nth * pages)
            .filter(|_| is_open)
            .find(|first| slots(*first).all(|slot| is_free(&slot)));
        for entry in free.into_iter().flat_map(slots) {
            let slot = swap.slot(entry);
            memory.set(slot.swap_map().loc(), SWAP_HAS_CACHE);
            memory.set(slot.busy().loc(), 1);
        }
        hw.perform_rmw(&op, memory.get(op.loc), memory.get(op.loc) + 1);
        free.map(SwpEntry)
    })
    .await
}

/// A locked change of the `swap_map` of a slot; answers what it was.
#[track_caller]
fn change_map<'m>(
    cpu: Cpu<'m>,
    entry: SwpEntry,
    update: impl Fn(u64) -> u64 + Unpin,
) -> Step<'m, impl FnMut(sim_core::Cpu<'m>) -> u64 + Unpin> {
    let op = Op::new(OpKind::Rmw, cpu.kernel.swap.slot(entry).swap_map().loc());
    cpu.step(op, move |hw| {
        let old = hw.core.memory.get(op.loc);
        let new = update(old);
        hw.perform_rmw(&op, old, new);
        if new != old {
            cpu.kernel.swap.note_change(&hw.core.memory);
        }
        old
    })
}

/// `swap_duplicate()`: one more entry names the slot. False if the slot is free.
pub(crate) async fn swap_duplicate(cpu: Cpu<'_>, entry: SwpEntry) -> bool {
    let old = change_map(cpu, entry, |map| if map == 0 { 0 } else { map + 1 }).await;
    if old == 0 {
        cpu.note(Event::KernelBug { what: "swap_duplicate: unused swap offset entry" });
    }
    old != 0
}

/// Why a slot cannot be had for the swap cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPrepared {
    /// `-ENOENT`: it is free.
    Free,
    /// `-EEXIST`: the swap cache has it.
    Taken,
}

/// `swapcache_prepare()`: the swap cache has the slots from now on, which are in a row. Whoever it is that gets this reads them, and no one
/// else.
pub(crate) async fn swapcache_prepare(cpu: Cpu<'_>, first: SwpEntry, pages: u64) -> Result<(), NotPrepared> {
    let op = Op::new(OpKind::Rmw, cpu.kernel.swap.slot(first).swap_map().loc());
    cpu.step(op, move |hw| {
        let memory = &hw.core.memory;
        let slots = || (first.0..first.0 + pages).map(|slot| cpu.kernel.swap.slot(SwpEntry(slot)));
        let answer = slots().try_for_each(|slot| match memory.get(slot.swap_map().loc()) {
            0 => Err(NotPrepared::Free),
            map if map & SWAP_HAS_CACHE != 0 => Err(NotPrepared::Taken),
            _ => Ok(()),
        });
        let map = memory.get(op.loc);
        if answer.is_ok() {
            cpu.kernel.swap.note_change(memory);
            for slot in slots() {
                memory.set(slot.busy().loc(), 1);
            }
            for slot in slots().skip(1) {
                memory.set(slot.swap_map().loc(), memory.get(slot.swap_map().loc()) | SWAP_HAS_CACHE);
            }
        }
        hw.perform_rmw(&op, map, if answer.is_ok() { map | SWAP_HAS_CACHE } else { map });
        answer
    })
    .await
}

/// `put_swap_page()`, `swapcache_clear()`: the swap cache has the slot no more.
pub(crate) async fn put_swap_page(cpu: Cpu<'_>, entry: SwpEntry) {
    let slot = cpu.kernel.swap.slot(entry);
    let op = Op::new(OpKind::Rmw, slot.swap_map().loc());
    cpu.step(op, move |hw| {
        let memory = &hw.core.memory;
        let map = memory.get(op.loc);
        hw.perform_rmw(&op, map, map & !SWAP_HAS_CACHE);
        cpu.kernel.swap.note_change(memory);
        memory.set(slot.busy().loc(), 0);
    })
    .await;
}

/// `swap_free()`: one entry less names the slot; answers what is left of `swap_map`.
pub(crate) async fn swap_free(cpu: Cpu<'_>, entry: SwpEntry) -> u64 {
    let _routine = cpu.enter(Routine::helper("swap_free"));
    let old = change_map(cpu, entry, |map| if swap_count(map) == 0 { map } else { map - 1 }).await;
    if swap_count(old) == 0 {
        cpu.note(Event::KernelBug { what: "swap_free: Unused swap offset entry" });
        return old;
    }
    old - 1
}

/// `__swap_count()`: how many entries name the slot.
pub(crate) async fn __swap_count(cpu: Cpu<'_>, entry: SwpEntry) -> u64 {
    swap_count(cpu.load(cpu.kernel.swap.slot(entry).swap_map()).await)
}

/// `page_swap_entry()`: the slot of a page of the swap cache, for who has the page locked.
pub(crate) fn page_swap_entry(cpu: Cpu<'_>, page: Page) -> Option<SwpEntry> {
    cpu.this_cpu_read(cpu.kernel.page(page).private()).checked_sub(1).map(SwpEntry)
}
