//! `shmem_unuse()`: the pages of files that are in swap come back to memory.
//!
//! The files that may have pages in swap are in a list. A file that is being worked on stays, although nobody else may hold it: its
//! `stop_eviction` keeps it from being freed.

use sim_core::{Gate, Op, OpKind};

use super::swap::{Swapin, shmem_swapin_folio};
use crate::errno::Errno;
use crate::fs::Inode;
use crate::kernel::{Cpu, Kernel};
use crate::page::{put_page, unlock_page};
use crate::shmem_fs::Cached;
use crate::swapops::SwpEntry;

/// What the file has in swap first, from this page on.
async fn next_swapped(cpu: Cpu<'_>, inode: Inode, from: u64) -> Option<(u64, SwpEntry)> {
    let kernel: &Kernel = cpu.kernel;
    let slot = |(index, has): (&u64, &Cached)| match has {
        Cached::Swapped(entry, _) => Some((*index, *entry)),
        Cached::Page(_) => None,
    };
    cpu.read(kernel.shmem.i_pages(inode), |pages| pages.range(from..).find_map(slot)).await
}

/// `shmem_unuse()`.
pub(crate) async fn shmem_unuse(cpu: Cpu<'_>) -> Result<(), Errno> {
    let _routine = cpu.enter("shmem_unuse");
    let mut last = None;
    while let Some(inode) = next_file(cpu, last).await {
        last = Some(inode.index());
        let unused = shmem_unuse_inode(cpu, inode).await;
        let kernel: &Kernel = cpu.kernel;
        let _swaplist = cpu.down_write(kernel.shmem.swaplist_mutex).await;
        if next_swapped(cpu, inode, 0).await.is_none() {
            cpu.update(&kernel.shmem.swaplist, |list| list.retain(|other| *other != inode)).await;
        }
        cpu.rmw(kernel.shmem.inodes.deref(**cpu, inode).stop_eviction(), |count: u64| count - 1).await;
        unused?;
    }
    Ok(())
}

/// The file of the list behind this one, which stays until its `stop_eviction` is lowered.
async fn next_file(cpu: Cpu<'_>, last: Option<usize>) -> Option<Inode> {
    let kernel: &Kernel = cpu.kernel;
    let _swaplist = cpu.down_write(kernel.shmem.swaplist_mutex).await;
    let list = cpu.read(&kernel.shmem.swaplist, Clone::clone).await;
    let behind = |inode: &Inode| last.is_none_or(|last| inode.index() > last);
    let next = list.into_iter().filter(behind).min_by_key(|inode| inode.index())?;
    cpu.rmw(kernel.shmem.inodes.deref(**cpu, next).stop_eviction(), |count: u64| count + 1).await;
    Some(next)
}

/// `shmem_unuse_inode()`.
async fn shmem_unuse_inode(cpu: Cpu<'_>, inode: Inode) -> Result<(), Errno> {
    let mut from = 0;
    while let Some((index, entry)) = next_swapped(cpu, inode, from).await {
        match shmem_swapin_folio(cpu, inode, index, entry, &mut false).await {
            Swapin::Page(page) => {
                unlock_page(cpu, page).await;
                put_page(cpu, page).await;
            }
            Swapin::Changed => {}
            // Since v5.19 the file has an entry that says so, and the slot is free. Here the call fails.
            Swapin::Io => return Err(Errno::Eio),
            Swapin::NoFrame => return Err(Errno::Enomem),
        }
        from = index + 1;
    }
    Ok(())
}

/// The end of `shmem_evict_inode()`: the file leaves the list, as soon as nobody works on it there.
pub(super) async fn leave_swaplist(cpu: Cpu<'_>, inode: Inode) {
    let kernel: &Kernel = cpu.kernel;
    let stop_eviction = kernel.shmem.inodes.deref(**cpu, inode).stop_eviction();
    let word = stop_eviction.loc();
    loop {
        cpu.step(Op::new(OpKind::Wait, word).behind(Gate::Zero(word)).sleeping(), |_| ()).await;
        let _swaplist = cpu.down_write(kernel.shmem.swaplist_mutex).await;
        if cpu.load(stop_eviction).await == 0 {
            cpu.update(&kernel.shmem.swaplist, |list| list.retain(|other| *other != inode)).await;
            return;
        }
    }
}
