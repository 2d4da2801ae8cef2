//! `arch/x86/mm/fault.c`: from the exception to the handler, and back to the access.

use sim_mmu::{DataOp, Fault, PageFault, VirtAddr};

use crate::cpu::Cpu;
use crate::errno::Errno;
use crate::memory::{FaultFlags, handle_mm_fault};
use crate::mm_types::VmFlags;
use crate::mmap::find_vma;

/// One load or store of user code: retried until no fault stands in its way.
///
/// # Errors
/// `EFAULT` where user code would get a signal for it; `ENOMEM`, if no frame is free.
pub async fn user_access(cpu: Cpu<'_>, va: VirtAddr, data: DataOp) -> Result<u64, Errno> {
    loop {
        match cpu.access(va, data).await {
            Ok(value) => return Ok(value),
            Err(Fault::Page(fault)) => do_user_addr_fault(cpu, fault).await?,
            // Not a page fault, and a signal all the same.
            Err(Fault::GeneralProtection) => return Err(Errno::Efault),
        }
    }
}

/// `do_user_addr_fault()`.
async fn do_user_addr_fault(cpu: Cpu<'_>, fault: PageFault) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter("do_user_addr_fault");
    let mm = cpu.current_mm().ok_or(Errno::Efault)?;
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    let vma = find_vma(cpu, mm, fault.va).await.filter(|vma| vma.contains(fault.va)).ok_or(Errno::Efault)?;
    // access_error()
    let needed = if fault.is_write() { VmFlags::WRITE } else { VmFlags::READ };
    if !vma.flags.any(needed) {
        return Err(Errno::Efault);
    }
    handle_mm_fault(cpu, mm, vma, fault.va, FaultFlags { write: fault.is_write() }).await?;
    Ok(())
}
