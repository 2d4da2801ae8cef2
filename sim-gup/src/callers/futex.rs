//! Futexes: kernel code that changes a word of user memory where no fault may be handled (`kernel/futex.c`).

use sim_core::{BoxFuture, Routine};
use sim_mm::arch::fault::user_access_inatomic;
use sim_mm::{Cpu, Errno, MmapLock};
use sim_mmu::{DataOp, VirtAddr};

use crate::faultin::fixup_user_fault;

/// `futex_atomic_op_inuser()` with `FUTEX_OP_ADD`, and what `FUTEX_WAKE_OP` does if that comes to a fault: the fault is handled by [`fixup_user_fault`], and the word is tried again. Answers the
/// old value.
///
/// # Errors
/// `EFAULT`, if the memory cannot be written.
pub fn futex_wake_op<'m>(cpu: Cpu<'m>, uaddr: VirtAddr, data: DataOp) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("futex_wake_op"));
        let mm = cpu.current_mm().ok_or(Errno::Efault)?;
        loop {
            if let Some(old) = user_access_inatomic(cpu, uaddr, data).await {
                return Ok(old);
            }
            // fault_in_user_writeable()
            let mmap_lock: MmapLock<'m> = cpu.down_read(mm.mmap_lock).await.into();
            let (fixed, _mmap_lock) = fixup_user_fault(cpu, mm, mmap_lock, uaddr, true).await;
            fixed?;
        }
    })
}
