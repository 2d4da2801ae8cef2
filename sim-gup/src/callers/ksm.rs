//! `break_ksm()` of `mm/ksm.c`: a merged page becomes a process's own again.

use sim_core::BoxFuture;
use sim_mm::{
    Cpu, Errno, FaultFlags, MmFault, MmStruct, MmapLock, VmFaultError, Vma, handle_mm_fault, page_is_ksm, put_page,
};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::follow::follow_page;
use crate::settings::{KsmBreak, KsmLook};

/// `break_ksm()`: copies the page at an address, as a write would, until it is no merged page. The mapping may be one that cannot be written. Also
/// answers the lock, unless a fault let go of it.
///
/// The look waits for a page that is being moved, because it could be a merged one (`FOLL_MIGRATION`).
///
/// # Errors
/// `ENOMEM`, if there is no memory for the copy.
pub(crate) fn break_ksm<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    vma: Vma,
    addr: VirtAddr,
) -> BoxFuture<'m, (Result<(), Errno>, Option<MmapLock<'m>>)> {
    Box::pin(async move {
        let _routine = cpu.enter("break_ksm");
        let waits = match cpu.setting::<KsmLook>() {
            KsmLook::Follow => FollFlags::MIGRATION,
            KsmLook::Walk => FollFlags::empty(),
        };
        let fault = match cpu.setting::<KsmBreak>() {
            KsmBreak::Write => FaultFlags::WRITE,
            KsmBreak::Unshare => FaultFlags::UNSHARE,
        };
        let mut held = mmap_lock;
        loop {
            let flags = FollFlags::GET | FollFlags::REMOTE | waits;
            let Ok(Some(page)) = follow_page(cpu, mm, vma, addr, flags).await else {
                return (Ok(()), Some(held));
            };
            let is_ksm = page_is_ksm(cpu, page).await;
            put_page(cpu, page).await;
            if !is_ksm {
                return (Ok(()), Some(held));
            }
            held = match handle_mm_fault(cpu, mm, held, vma, addr, fault).await {
                MmFault::Done(_, kept) => kept,
                MmFault::Failed(VmFaultError::Oom, kept) => return (Err(Errno::Enomem), Some(kept)),
                // The page is gone, or user code is to handle the fault: nobody can tell what is merged.
                MmFault::Failed(_, kept) => return (Ok(()), Some(kept)),
                MmFault::Nowait(_) | MmFault::Retry | MmFault::Completed => return (Ok(()), None),
            };
        }
    })
}
