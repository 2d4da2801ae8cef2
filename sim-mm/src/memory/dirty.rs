//! Marking a page of a file dirty at a write fault.

use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{test_and_set_flags, unlock_page};
use crate::page_flags::PageFlags;
use crate::settings::SharedWriteFault;
use crate::vm_fault::{Fault, FaultFlags, LockAfter};

/// `fault_dirty_shared_page()`: marks the page dirty and unlocks it. Whoever makes a page dirty may have to wait until others are
/// written back, and not with `mmap_lock` held.
pub(super) async fn fault_dirty_shared_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, page: Page) -> LockAfter {
    let dirtied = test_and_set_flags(cpu, page, PageFlags::DIRTY).await;
    unlock_page(cpu, page).await;
    // maybe_unlock_mmap_for_io()
    let first = vmf.flags & (FaultFlags::ALLOW_RETRY | FaultFlags::TRIED) == FaultFlags::ALLOW_RETRY;
    match cpu.setting::<SharedWriteFault>() {
        SharedWriteFault::Retry if dirtied && first => LockAfter::Retry,
        SharedWriteFault::Completed if dirtied && first => LockAfter::Completed,
        _ => LockAfter::Held,
    }
}
