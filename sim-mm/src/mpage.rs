//! `fs/mpage.c`, and what a file system does below it: pages come from blocks of the disk, and go there.
//!
//! The disk is done before whoever asked it goes on. In between, the others go on.

use sim_core::{Op, OpKind};

use crate::blkdev::Block;
use crate::errno::Errno;
use crate::event::Event;
use crate::fs::Inode;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{set_page_error, set_page_uptodate, unlock_page};
use crate::page_tags::{test_clear_page_writeback, test_set_page_writeback};
use crate::settings::{Disk, DiskErrors};

/// `get_block()` without `create`: the block of a page; `None` is a hole. The caller has the page locked.
async fn find_block(cpu: Cpu<'_>, inode: Inode, index: u64) -> Option<Block> {
    cpu.read(cpu.kernel.disk.i_data(inode), |blocks| blocks.get(&index).copied()).await
}

/// `get_block()` with `create`: a page of the file that is to be written has a block afterwards.
///
/// # Errors
/// `ENOSPC`, if no block is free.
pub(crate) async fn get_block(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<(), Errno> {
    if find_block(cpu, inode, index).await.is_some() {
        return Ok(());
    }
    let taken = cpu
        .update(cpu.kernel.disk.free(), |free| {
            let block = free.iter().position(|free| *free)?;
            free[block] = false;
            Some(Block(block as u32))
        })
        .await;
    let block = taken.ok_or(Errno::Enospc)?;
    cpu.update(cpu.kernel.disk.i_data(inode), |blocks| blocks.insert(index, block)).await;
    Ok(())
}

/// Whether the disk has so many free blocks: a part of the step of the caller.
pub(crate) fn has_room(cpu: Cpu<'_>, blocks: u64) -> bool {
    cpu.kernel.disk.free().look(cpu.core).iter().filter(|free| **free).count() as u64 >= blocks
}

/// A file that was on the disk before anything ran: each of its pages has a block, of which the first word holds that. There is room for it.
/// It is a part of the step of the caller.
pub(crate) fn fill_blocks(cpu: Cpu<'_>, inode: Inode, pages: u64, value: u64) {
    let disk = &cpu.kernel.disk;
    let free: Vec<Block> = disk.free().poke(cpu.core, |free| {
        let blocks: Vec<usize> = (0..free.len()).filter(|block| free[*block]).take(pages as usize).collect();
        blocks.iter().for_each(|block| free[*block] = false);
        blocks.iter().map(|block| Block(*block as u32)).collect()
    });
    for block in &free {
        cpu.core.memory.set(disk.contents(*block), value);
    }
    disk.i_data(inode).poke(cpu.core, |blocks| blocks.extend((0..pages).zip(free)));
}

/// `truncate_blocks()`: the file gives up the blocks of its pages from `from` on, and the next one who needs blocks gets them.
pub(crate) async fn truncate_blocks(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    let _routine = cpu.enter("truncate_blocks");
    let cut = cpu
        .update(cpu.kernel.disk.i_data(inode), |blocks| {
            let cut: Vec<(u64, Block)> = blocks.range(from..to).map(|(at, block)| (*at, *block)).collect();
            cut.iter().for_each(|(at, _)| {
                blocks.remove(at);
            });
            cut
        })
        .await;
    if !cut.is_empty() {
        cpu.update(cpu.kernel.disk.free(), |free| {
            cut.iter().for_each(|(_, block)| free[block.0 as usize] = true);
        })
        .await;
    }
}

/// Whether the transfer that is due fails.
fn transfer_fails(cpu: Cpu<'_>, errors: DiskErrors) -> bool {
    let failed = cpu.kernel.disk.failed;
    if cpu.setting::<DiskErrors>() != errors || cpu.this_cpu_read(failed) {
        return false;
    }
    let fails = cpu.core.choose_value("transfer", 2) == 1;
    if fails {
        cpu.this_cpu_write(failed, true);
    }
    fails
}

/// `mpage_readpage()`: fills a page that is locked with what its file has there. Whoever finds it unlocked and not up to date knows
/// that it could not be read.
///
/// # Errors
/// `EIO`, if the disk cannot read the block.
pub(crate) async fn mpage_readpage(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page) -> Result<(), Errno> {
    let _routine = cpu.enter("mpage_readpage");
    let phys = &cpu.mmu.phys;
    let words = phys.words_per_frame();
    let write = Op::new(OpKind::Write, phys.word(page.0, 0));
    match find_block(cpu, inode, index).await {
        None => {
            let zeroes = std::iter::repeat_n(0, words as usize);
            cpu.step(write, move |hw| {
                hw.perform_block_store(&write, zeroes.clone());
                cpu.note(Event::PageCleared { pfn: page.0 });
            })
            .await;
        }
        Some(block) => {
            let read = Op::new(OpKind::Read, cpu.kernel.disk.contents(block));
            let held = cpu
                .step(read, move |hw| {
                    let held = hw.perform_block_load(&read, words);
                    (!transfer_fails(cpu, DiskErrors::Read)).then_some(held)
                })
                .await;
            let held = held.ok_or(Errno::Eio)?;
            cpu.step(write, move |hw| {
                hw.perform_block_store(&write, held.iter().copied());
                cpu.note(Event::PageCleared { pfn: page.0 });
            })
            .await;
        }
    }
    // Behind the contents: who finds the flag relies on them.
    set_page_uptodate(cpu, page).await;
    Ok(())
}

/// `mpage_writepage()`: writes a page that is locked and clean to its block, and unlocks it. It may become dirty again meanwhile, and is
/// under writeback until the disk has it. Of a huge page only the first page is written, as by `block_write_full_page()`: a file that is open for
/// writing has none.
///
/// # Errors
/// `EIO`, if the disk cannot write the block.
pub(crate) async fn mpage_writepage(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page) -> Result<(), Errno> {
    let _routine = cpu.enter("mpage_writepage");
    test_set_page_writeback(cpu, inode, index, page).await;
    let block = find_block(cpu, inode, index).await;
    unlock_page(cpu, page).await;
    let written = match block {
        Some(block) => submit_write(cpu, page, block).await,
        // A hole that nobody wrote to.
        None => Ok(()),
    };
    if written.is_err() {
        // mapping_set_error()
        set_page_error(cpu, page).await;
        cpu.store(cpu.kernel.shmem.inodes.deref(**cpu, inode).wb_err(), true).await;
    }
    test_clear_page_writeback(cpu, inode, index, page).await;
    written
}

/// `submit_bio()` of a write: the disk takes what the page holds, and some time later the block has it.
async fn submit_write(cpu: Cpu<'_>, page: Page, block: Block) -> Result<(), Errno> {
    let phys = &cpu.mmu.phys;
    let words = phys.words_per_frame();
    let read = Op::new(OpKind::Read, phys.word(page.0, 0));
    // bio_integrity_prep()
    let sum = if cpu.setting::<Disk>() == Disk::Checksums {
        Some(cpu.step(read, move |hw| hw.perform_block_load(&read, words)).await)
    } else {
        None
    };
    let held = cpu
        .step(read, move |hw| {
            let held = hw.perform_block_load(&read, words);
            let fails = transfer_fails(cpu, DiskErrors::Write) || sum.as_ref().is_some_and(|sum| *sum != held);
            cpu.note(if fails { Event::WriteFailed { pfn: page.0 } } else { Event::WrittenBack { pfn: page.0 } });
            (!fails).then_some(held)
        })
        .await
        .ok_or(Errno::Eio)?;
    let write = Op::new(OpKind::Write, cpu.kernel.disk.contents(block));
    cpu.step(write, move |hw| {
        hw.perform_block_store(&write, held.iter().copied());
        cpu.note(Event::BlockWritten { pfn: page.0, block: block.0 });
    })
    .await;
    Ok(())
}
