//! `fs/dax.c`, and what a file system does around it: files whose pages are the blocks of a device. A file has no copies of them in memory. So a block
//! that a file gives up, and that somebody still has a reference to, is his and the next file's.

use sim_core::{Bytes, Gate, Op, OpKind};

use crate::errno::Errno;
use crate::event::{Event, FrameUse, Order, SharedPage};
use crate::fs::Inode;
use crate::highmem::clear_page;
use crate::inode::i_size_read;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page_flags::file_mapping;
use crate::safeguards::DAX_EVICT_WAITS;
use crate::settings::DaxPages;

/// The block of a page; `None` is a hole.
async fn find_dax_block(cpu: Cpu<'_>, inode: Inode, index: u64) -> Option<Page> {
    cpu.read(cpu.kernel.pgmap.i_data(inode), |blocks| blocks.get(&index).copied()).await
}

/// The file has the block from now on. `dax_associate_entry()` would say so of the page when it is first mapped.
fn give_block(cpu: Cpu<'_>, inode: Inode, index: u64, block: Page) {
    cpu.note(Event::FrameAllocated { pfn: block.0, order: Order::PTE, for_use: FrameUse::Data });
    cpu.note(Event::PageCached { pfn: block.0, page: SharedPage { file: inode.index() as u32, index } });
    cpu.this_cpu_write(cpu.kernel.page(block).mapping(), file_mapping(inode.index()));
    cpu.this_cpu_write(cpu.kernel.page(block).index(), index);
}

/// `dax_direct_access()` fails on a device that is gone.
///
/// # Errors
/// `EIO`.
pub(crate) async fn dax_alive(cpu: Cpu<'_>) -> Result<(), Errno> {
    if cpu.load(cpu.kernel.pgmap.alive).await { Ok(()) } else { Err(Errno::Eio) }
}

/// `dax_iomap_pfn()`, behind `iomap_begin()`: the block of a page. A hole gets one, full of zeroes; a file system would map zeroes for who only reads. The caller excludes
/// those who give blocks up.
///
/// # Errors
/// `EIO` if the device is gone, `ENOSPC` if it has no free block.
pub(crate) async fn dax_get_block(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Page, Errno> {
    dax_alive(cpu).await?;
    loop {
        if let Some(block) = find_dax_block(cpu, inode, index).await {
            return Ok(block);
        }
        let pgmap = &cpu.kernel.pgmap;
        let taken = cpu
            .update(pgmap.free(), |free| {
                let nth = free.iter().position(|free| *free)?;
                free[nth] = false;
                Some(pgmap.block(nth))
            })
            .await;
        let block = taken.ok_or(Errno::Enospc)?;
        clear_page(cpu, block.0).await;
        let is_first = cpu
            .update(pgmap.i_data(inode), |blocks| {
                let is_hole = !blocks.contains_key(&index);
                if is_hole {
                    blocks.insert(index, block);
                    give_block(cpu, inode, index, block);
                    cpu.note(Event::PageCleared { pfn: block.0 });
                }
                is_hole
            })
            .await;
        if is_first {
            return Ok(block);
        }
        // Another fault was first.
        cpu.update(pgmap.free(), |free| free[pgmap.place(block)] = true).await;
    }
}

/// A file that was there before anything ran: each of its pages has a block, of which the first word holds `value`. What one PMD entry could map has blocks in a row, if there are
/// such. It is a part of the step of the caller.
///
/// # Errors
/// `ENOSPC`, if the device has not as many free blocks.
pub(crate) fn fill_dax_blocks(cpu: Cpu<'_>, inode: Inode, pages: u64, value: u64) -> Result<(), Errno> {
    let pgmap = &cpu.kernel.pgmap;
    let huge = cpu.pmd_nr();
    let blocks = pgmap.free().poke(cpu.core, |free| {
        let mut blocks = Vec::new();
        while (blocks.len() as u64) < pages {
            let index = blocks.len() as u64;
            let all_free = |nth: &usize| {
                let frame = pgmap.block(*nth).0.0;
                frame.is_multiple_of(huge) && (0..huge as usize).all(|more| free.get(nth + more) == Some(&true))
            };
            let in_a_row = if index.is_multiple_of(huge) && index + huge <= pages {
                (0..free.len()).find(all_free).map(|nth| (nth, huge as usize))
            } else {
                None
            };
            let (nth, count) = in_a_row.or_else(|| free.iter().position(|free| *free).map(|nth| (nth, 1)))?;
            free[nth..nth + count].fill(false);
            blocks.extend((nth..nth + count).map(|nth| pgmap.block(nth)));
        }
        Some(blocks)
    });
    let blocks = blocks.ok_or(Errno::Enospc)?;
    for (index, block) in (0..).zip(&blocks) {
        give_block(cpu, inode, index, *block);
        cpu.note(Event::PageCleared { pfn: block.0 });
        cpu.core.memory.set(cpu.mmu.phys.word(block.0, 0), value);
    }
    pgmap.i_data(inode).poke(cpu.core, |has| has.extend((0..).zip(blocks)));
    Ok(())
}

/// The file gives up the blocks of its pages `from` up to `to`, and the next one who needs blocks gets them. Nobody maps them any more.
pub(crate) async fn free_dax_blocks(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    let _routine = cpu.enter("dax_delete_mapping_range");
    give_blocks_up(cpu, inode, from, to).await;
}

/// The body of [`free_dax_blocks`].
pub(crate) async fn give_blocks_up(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    let pgmap = &cpu.kernel.pgmap;
    let gone = cpu
        .update(pgmap.i_data(inode), |blocks| {
            let gone: Vec<(u64, Page)> = blocks.range(from.min(to)..to).map(|(at, block)| (*at, *block)).collect();
            for (index, block) in &gone {
                blocks.remove(index);
                let page = SharedPage { file: inode.index() as u32, index: *index };
                cpu.note(Event::PageUncached { pfn: block.0, page });
            }
            gone
        })
        .await;
    if !gone.is_empty() {
        cpu.update(pgmap.free(), |free| {
            for (_, block) in &gone {
                free[pgmap.place(*block)] = true;
                cpu.note(Event::FrameFreed { pfn: block.0, order: Order::PTE });
            }
        })
        .await;
    }
}

/// `dax_layout_busy_page()`, behind its unmapping: the first block of pages `from` up to `to` that somebody has a reference to, beside those that map it.
pub(crate) async fn dax_layout_busy_page(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) -> Option<Page> {
    let _routine = cpu.enter("dax_layout_busy_page");
    let mut next = from;
    loop {
        let (index, page) = cpu
            .read(cpu.kernel.pgmap.i_data(inode), |blocks| {
                blocks.range(next.min(to)..to).next().map(|(at, block)| (*at, *block))
            })
            .await?;
        // dax_busy_page()
        let count = cpu.load(cpu.kernel.refcount(page)).await;
        let idle = match cpu.setting::<DaxPages>() {
            DaxPages::Devmap => cpu.kernel.idle_count(),
            DaxPages::Counted => cpu.load(cpu.kernel.mapcount(page)).await,
        };
        if count > idle {
            return Some(page);
        }
        next = index + 1;
    }
}

/// `wait_var_event(&page->_refcount, ...)`: waits until nobody has a reference to the block.
pub(crate) async fn wait_page_idle(cpu: Cpu<'_>, page: Page) {
    let _routine = cpu.enter("wait_page_idle");
    let count = cpu.kernel.refcount(page).loc();
    let idle = Gate::Is(count, Bytes::ALL, cpu.kernel.idle_count());
    cpu.step(Op::new(OpKind::Wait, count).behind(idle).sleeping(), |_| ()).await;
}

/// The end of a file without a name: its blocks are free. Nobody maps them any more, but a device may still use them: `dax_break_layout_final()`.
pub(crate) async fn dax_evict_inode(cpu: Cpu<'_>, inode: Inode) {
    let _routine = cpu.enter("dax_evict_inode");
    if cpu.has(DAX_EVICT_WAITS) && dax_alive(cpu).await.is_ok() {
        while let Some(page) = dax_layout_busy_page(cpu, inode, 0, u64::MAX).await {
            wait_page_idle(cpu, page).await;
        }
    }
    free_dax_blocks(cpu, inode, 0, u64::MAX).await;
}

/// `dax_iomap_rw()` that reads the first word of a page; `None` at the end of the file and behind it. The caller holds `i_rwsem`.
///
/// # Errors
/// `EIO`, if the device is gone.
pub(crate) async fn dax_read(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Option<u64>, Errno> {
    let _routine = cpu.enter("dax_iomap_rw");
    if index >= i_size_read(cpu, inode).await {
        return Ok(None);
    }
    dax_alive(cpu).await?;
    let Some(block) = find_dax_block(cpu, inode, index).await else { return Ok(Some(0)) };
    let op = Op::new(OpKind::Read, cpu.mmu.phys.word(block.0, 0));
    Ok(Some(cpu.step(op, move |hw| hw.perform_load(&op)).await))
}

/// `dax_iomap_rw()` that writes the first word of a page. The caller holds `i_rwsem` for writing.
///
/// # Errors
/// As [`dax_get_block`].
pub(crate) async fn dax_write(cpu: Cpu<'_>, inode: Inode, index: u64, value: u64) -> Result<(), Errno> {
    let _routine = cpu.enter("dax_iomap_rw");
    let block = dax_get_block(cpu, inode, index).await?;
    let op = Op::new(OpKind::Write, cpu.mmu.phys.word(block.0, 0));
    cpu.step(op, move |hw| hw.perform_store(&op, value)).await;
    cpu.note(Event::PageWritten { pfn: block.0 });
    Ok(())
}
