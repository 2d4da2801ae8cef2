//! Marking a page of a file dirty at a write fault.

use crate::filemap::is_of_file;
use crate::fs::Inode;
use crate::inode::on_disk;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::mpage::get_block;
use crate::page::{lock_page, put_page, unlock_page};
use crate::page_tags::set_page_dirty;
use crate::page_writeback::wait_for_stable_page;
use crate::safeguards::FAULT_DIRTY_LOCKED;
use crate::settings::SharedWriteFault;
use crate::vm_fault::{Fault, FaultFlags, LockAfter, VmFaultError};

/// What became of a page that is going to be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mkwrite {
    /// Its file is memory alone, so nobody had to be asked. The page is locked.
    NotAsked,
    /// It has a block, and is dirty and locked.
    Locked,
    /// The same, and not locked any more.
    Unlocked,
    /// It is the file's no more, and is not locked.
    Gone,
}

/// `do_page_mkwrite()`, `filemap_page_mkwrite()`: a page of a file on the disk, which the caller has locked, gets a block before anybody may
/// write to it. Until the entry is writable and the page dirty, nobody writes it back.
///
/// # Errors
/// `SIGBUS`, if no block is free. The page is unlocked then, and the reference is given up.
pub(super) async fn do_page_mkwrite(cpu: Cpu<'_>, file: Inode, page: Page) -> Result<Mkwrite, VmFaultError> {
    if !on_disk(cpu, file) {
        return Ok(Mkwrite::NotAsked);
    }
    Box::pin(async move {
        let _routine = cpu.enter("filemap_page_mkwrite");
        if !is_of_file(cpu, file, page).await {
            unlock_page(cpu, page).await;
            return Ok(Mkwrite::Gone);
        }
        let index = cpu.this_cpu_read(cpu.kernel.page(page).index());
        if get_block(cpu, file, index).await.is_err() {
            unlock_page(cpu, page).await;
            put_page(cpu, page).await;
            return Err(VmFaultError::Sigbus);
        }
        set_page_dirty(cpu, page).await;
        wait_for_stable_page(cpu, page).await;
        if cpu.has(FAULT_DIRTY_LOCKED) {
            return Ok(Mkwrite::Locked);
        }
        unlock_page(cpu, page).await;
        Ok(Mkwrite::Unlocked)
    })
    .await
}

/// The same for a page that is mapped read-only, and not locked yet.
///
/// # Errors
/// As [`do_page_mkwrite`].
pub(super) async fn lock_and_mkwrite(cpu: Cpu<'_>, file: Inode, page: Page) -> Result<Mkwrite, VmFaultError> {
    lock_page(cpu, page).await;
    do_page_mkwrite(cpu, file, page).await
}

/// `fault_dirty_shared_page()`: marks the page dirty and unlocks it. Whoever makes a page dirty may have to wait until others are
/// written back, and not with `mmap_lock` held.
pub(super) async fn fault_dirty_shared_page<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    page: Page,
    kept: Mkwrite,
) -> LockAfter {
    let dirtied = set_page_dirty(cpu, page).await || kept != Mkwrite::NotAsked;
    if kept != Mkwrite::Unlocked {
        unlock_page(cpu, page).await;
    }
    // maybe_unlock_mmap_for_io()
    let retry = FaultFlags::ALLOW_RETRY | FaultFlags::TRIED | FaultFlags::RETRY_NOWAIT;
    let first = vmf.flags & retry == FaultFlags::ALLOW_RETRY;
    match cpu.setting::<SharedWriteFault>() {
        SharedWriteFault::Retry if dirtied && first => LockAfter::Retry,
        SharedWriteFault::Completed if dirtied && first => LockAfter::Completed,
        _ => LockAfter::Held,
    }
}
