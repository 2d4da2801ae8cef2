//! What a file system on a device does with its files: making them, cutting them, and letting go of the device (`drivers/dax`, `fs/xfs`).

use sim_core::{BoxFuture, Bytes, Gate, Op, OpKind, Record, Routine, WriteHeld};
use sim_mmu::Pfn;

use crate::dax::{dax_alive, dax_layout_busy_page, fill_dax_blocks, free_dax_blocks, wait_page_idle};
use crate::dev_dax::{dev_dax, dev_dax_release};
use crate::dev_pagemap::{DYING, REFERENCE};
use crate::errno::Errno;
use crate::event::Event;
use crate::fs::{FMode, Inode};
use crate::inode::{get_file, i_size_read, i_size_write};
use crate::kernel::Cpu;
use crate::memfd::{Memfd, install_new};
use crate::memory::{Zap, unmap_mapping_range};
use crate::memremap::put_references;
use crate::mm_types::Page;
use crate::page::put_page;
use crate::rcu::synchronize_rcu;
use crate::safeguards::{DAX_BREAK_LAYOUTS, KILL_DEV_DAX_UNMAPS, PGMAP_FINAL_PUT, UNBIND_UNMAPS};
use crate::settings::PgmapPages;
use crate::shmem::{shmem_file_setup, shmem_put};

/// `open()` of a new file on the device, without a name, and `fallocate()` of its blocks. The first word of each page holds `value`.
///
/// # Errors
/// `ENODEV` on a machine without a device, or if it is gone, `EBUSY` if the descriptor is open already, `ENOMEM` if the machine has no room for one more file, `ENOSPC` if the device
/// has no room for its pages.
pub fn sys_open_dax<'m>(cpu: Cpu<'m>, fd: &'m Memfd, pages: u64, value: u64) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("do_sys_open"));
        if !cpu.kernel.has_device() || dax_alive(cpu).await.is_err() {
            return Err(Errno::Enodev);
        }
        install_new(cpu, fd, FMode::ReadWrite, || {
            let inode = shmem_file_setup(cpu, pages)?;
            cpu.this_cpu_write(cpu.kernel.shmem.inodes.deref(**cpu, inode).dax(), true);
            if let Err(errno) = fill_dax_blocks(cpu, inode, pages, value) {
                cpu.kernel.shmem.inodes.free(cpu.core, inode);
                return Err(errno);
            }
            Ok(inode)
        })
        .await
    })
}

/// `xfs_break_dax_layouts()`, `dax_break_layout()` since v6.15: nobody uses blocks of pages `from` up to `to` when this returns, and nobody comes to them
/// before the caller lets go of `invalidate_lock`.
///
/// Who wants a reference takes it before he looks at the entry again, or holds its lock. So he is seen here, or finds the entry empty.
async fn break_layouts<'m>(cpu: Cpu<'m>, inode: Inode, from: u64, to: u64) -> WriteHeld<'m> {
    let lock = cpu.kernel.pgmap.invalidate_lock(inode);
    let mut held = cpu.down_write(lock).await;
    if !cpu.has(DAX_BREAK_LAYOUTS) || dax_alive(cpu).await.is_err() {
        return held;
    }
    let _routine = cpu.enter("dax_break_layout");
    loop {
        unmap_mapping_range(cpu, inode, from, to, Zap::Pages).await;
        let Some(page) = dax_layout_busy_page(cpu, inode, from, to).await else { return held };
        // Faults may go on meanwhile.
        drop(held);
        wait_page_idle(cpu, page).await;
        held = cpu.down_write(lock).await;
    }
}

/// `xfs_setattr_size()` and its kin: another length of a file on the device. The caller holds `i_rwsem` for writing.
pub(crate) async fn dax_setattr(cpu: Cpu<'_>, inode: Inode, newsize: u64) {
    let _routine = cpu.enter("dax_setattr");
    let oldsize = i_size_read(cpu, inode).await;
    let _invalidate_lock = if newsize < oldsize {
        break_layouts(cpu, inode, newsize, u64::MAX).await
    } else {
        cpu.down_write(cpu.kernel.pgmap.invalidate_lock(inode)).await
    };
    i_size_write(cpu, inode, newsize).await;
    if newsize < oldsize {
        // truncate_pagecache()
        unmap_mapping_range(cpu, inode, newsize, u64::MAX, Zap::Pages).await;
        free_dax_blocks(cpu, inode, newsize, u64::MAX).await;
    }
}

/// `xfs_free_file_space()` and its kin: pages `from` up to `to` are a hole.
pub(crate) async fn dax_punch_hole(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    let _routine = cpu.enter("dax_punch_hole");
    let _inode = cpu.down_write(cpu.kernel.shmem.i_rwsem(inode)).await;
    let _invalidate_lock = break_layouts(cpu, inode, from, to).await;
    unmap_mapping_range(cpu, inode, from, to, Zap::Pages).await;
    free_dax_blocks(cpu, inode, from, to).await;
}

/// `unbind_store()`: the driver lets go of the device. The files that are on it have their blocks still, and nobody comes to them. A device that is mapped by itself has its pages no
/// longer.
///
/// # Errors
/// `ENODEV` on a machine without a device, or if it is gone already.
pub fn unbind_store(cpu: Cpu<'_>) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("unbind_store"));
        if !cpu.kernel.has_device() || !cpu.xchg(cpu.kernel.pgmap.alive, false).await {
            return Err(Errno::Enodev);
        }
        let device = dev_dax(cpu);
        let unmaps = match device {
            Some(_) => cpu.has(KILL_DEV_DAX_UNMAPS),
            None => cpu.has(UNBIND_UNMAPS),
        };
        if unmaps {
            unmap_files(cpu).await;
        }
        memunmap_pages(cpu).await;
        if let Some(device) = device {
            dev_dax_release(cpu, device).await;
        }
        Ok(())
    })
}

/// `kill_dev_dax()`, of a file system `mf_dax_kill_procs()` with `MF_MEM_PRE_REMOVE`: nobody maps a block any more. A fault that has found the device alive has
/// set its entry before.
async fn unmap_files(cpu: Cpu<'_>) {
    let _routine = cpu.enter("kill_dax");
    for slot in cpu.kernel.pgmap.files_with_blocks() {
        let Some(inode) = cpu.kernel.shmem.inodes.current(cpu.core, slot) else { continue };
        get_file(cpu, inode);
        {
            let _invalidate_lock = cpu.down_write(cpu.kernel.pgmap.invalidate_lock(inode)).await;
            unmap_mapping_range(cpu, inode, 0, u64::MAX, Zap::Pages).await;
        }
        shmem_put(cpu, inode).await;
    }
}

/// `memunmap_pages()`, `devm_memremap_pages_release()` before v5.3: nobody gets a reference to the map any more, and those that are there are waited for. Then the
/// descriptors go.
async fn memunmap_pages(cpu: Cpu<'_>) {
    let _routine = cpu.enter("memunmap_pages");
    let pgmap = &cpu.kernel.pgmap;
    // percpu_ref_kill(), which puts the first reference.
    cpu.rmw(pgmap.references, |word: u64| (word | DYING) - REFERENCE).await;
    match cpu.setting::<PgmapPages>() {
        PgmapPages::Each => {
            for pfn in pgmap.frames.clone() {
                put_page(cpu, Page(Pfn(pfn))).await;
            }
        }
        PgmapPages::All => put_references(cpu, pgmap.frames.end - pgmap.frames.start).await,
    }
    if cpu.has(PGMAP_FINAL_PUT) {
        // percpu_ref_switch_to_atomic_rcu(): before a grace period nobody can tell which reference is the last. So those are gone as well who walk page tables with interrupts off,
        // and have found an entry before it was cleared.
        synchronize_rcu(cpu).await;
        let last = Gate::Is(pgmap.references.loc(), Bytes::ALL, DYING);
        cpu.step(Op::new(OpKind::Wait, pgmap.references.loc()).behind(last).sleeping(), |_| ()).await;
    }
    // arch_remove_memory()
    cpu.rmw(pgmap.memmap, |word: u64| word + 1).await;
    for pfn in pgmap.frames.clone() {
        let first = cpu.kernel.page(Page(Pfn(pfn))).loc();
        cpu.note(Event::ObjectFreed { first });
    }
}
