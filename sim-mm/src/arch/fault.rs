//! `arch/x86/mm/fault.c`: the way from the exception to the handler, and back to the access.

use std::fmt;

use sim_core::{BoxFuture, Bytes};
use sim_mmu::{DataOp, Fault, PageFault, Privilege, VirtAddr};

use crate::arch::pkeys::arch_vma_access_permitted;
use crate::errno::Errno;
use crate::event::Event;
use crate::kernel::Cpu;
use crate::memory::mm_fault;
use crate::mmap_lock::MmapLock;
use crate::signal::fatal_signal_pending;
use crate::stack::lock_mm_and_find_vma;
use crate::vm_fault::{FaultFlags, MmFault, VmFaultError};
use crate::vm_flags::VmFlags;
use crate::vma::lock_vma_under_rcu;

/// A signal that an access of user code ends in: the signal's name with its `si_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// No mapping contains the address.
    SegvMaperr,
    /// The mapping does not allow the access.
    SegvAccerr,
    /// A protection key does not allow the access.
    SegvPkuerr,
    /// A general protection fault, which names no address: `SI_KERNEL`.
    SegvKernel,
    /// The mapping has nothing behind the address: beyond the end of a file.
    BusAdrerr,
    /// The memory behind the address is broken, and the access would have used it.
    BusMceerrAr,
}

impl Signal {
    /// Its name, as a trace has it: `SEGV_MAPERR`.
    pub fn name(self) -> &'static str {
        match self {
            Signal::SegvMaperr => "SEGV_MAPERR",
            Signal::SegvAccerr => "SEGV_ACCERR",
            Signal::SegvPkuerr => "SEGV_PKUERR",
            Signal::SegvKernel => "SI_KERNEL",
            Signal::BusAdrerr => "BUS_ADRERR",
            Signal::BusMceerrAr => "BUS_MCEERR_AR",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why user code could not go on behind an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Killed {
    /// It gets a signal.
    Signal(Signal),
    /// No frame was free, and nobody is killed to free one.
    OutOfMemory,
    /// The kernel found its own page tables corrupted: `die()`.
    Oops,
    /// Another thread has told it to die while it waited: `fault_signal_pending()`.
    Fatal,
}

impl From<Killed> for Errno {
    /// What a system call on the same address would return.
    fn from(killed: Killed) -> Errno {
        match killed {
            Killed::Signal(_) | Killed::Oops | Killed::Fatal => Errno::Efault,
            Killed::OutOfMemory => Errno::Enomem,
        }
    }
}

/// One access of user code to a word: retried until no fault stands in its way.
///
/// # Errors
/// The signal that user code gets for it, or what else ended it.
pub fn user_access(cpu: Cpu<'_>, va: VirtAddr, data: DataOp) -> BoxFuture<'_, Result<u64, Killed>> {
    user_access_bytes(cpu, va, Bytes::ALL, data)
}

/// The same, to some bytes of the word.
///
/// # Errors
/// As [`user_access`].
pub fn user_access_bytes(
    cpu: Cpu<'_>,
    va: VirtAddr,
    bytes: Bytes,
    data: DataOp,
) -> BoxFuture<'_, Result<u64, Killed>> {
    Box::pin(access_until_done(cpu, va, bytes, data))
}

/// `copy_from_user_inatomic()` and its kin: one access of kernel code to user memory where no fault may be handled (`pagefault_disable()`). `None` if there is a fault.
pub async fn user_access_inatomic(cpu: Cpu<'_>, va: VirtAddr, data: DataOp) -> Option<u64> {
    cpu.access_bytes(Privilege::User, va, Bytes::ALL, data).await.ok().map(|completed| completed.value)
}

async fn access_until_done(cpu: Cpu<'_>, va: VirtAddr, bytes: Bytes, data: DataOp) -> Result<u64, Killed> {
    loop {
        match cpu.access_bytes(Privilege::User, va, bytes, data).await {
            Ok(completed) => return Ok(completed.value),
            Err(Fault::Page(fault)) => do_user_addr_fault(cpu, fault).await?,
            Err(Fault::GeneralProtection) => return Err(Killed::Signal(Signal::SegvKernel)),
        }
    }
}

/// `do_user_addr_fault()`.
fn do_user_addr_fault(cpu: Cpu<'_>, fault: PageFault) -> BoxFuture<'_, Result<(), Killed>> {
    Box::pin(handle_user_addr_fault(cpu, fault))
}

async fn handle_user_addr_fault(cpu: Cpu<'_>, fault: PageFault) -> Result<(), Killed> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter("do_user_addr_fault");
    // A reserved bit is set in an entry that the kernel wrote: pgtable_bad(). No retry can help.
    if fault.is_reserved() {
        cpu.note(Event::KernelBug { what: "a reserved bit is set in a page-table entry" });
        return Err(Killed::Oops);
    }
    let segv = |signal| Err(Killed::Signal(signal));
    let Some(mm) = cpu.current_mm() else { return segv(Signal::SegvMaperr) };
    let mut flags = FaultFlags::ALLOW_RETRY;
    flags.set(FaultFlags::WRITE, fault.is_write());
    flags.set(FaultFlags::INSTRUCTION, fault.is_fetch());
    let mut vma_lock = lock_vma_under_rcu(cpu, mm, fault.va).await;
    flags.set(FaultFlags::VMA_LOCK, vma_lock.is_some());
    loop {
        let locked = match vma_lock.take() {
            Some((vma, held)) => Some((vma, MmapLock::Vma(held))),
            None => lock_mm_and_find_vma(cpu, mm, fault.va).await,
        };
        let Some((vma, mmap_lock)) = locked else { return segv(Signal::SegvMaperr) };
        let allowed = arch_vma_access_permitted(cpu, mm.id, vma.flags(cpu), fault.is_write(), false);
        // bad_area_access_from_pkeys(): whose fault it is, of both the key is told.
        if fault.is_by_key() || !fault.is_fetch() && !allowed {
            return segv(Signal::SegvPkuerr);
        }
        if is_access_error(fault, vma.flags(cpu)) {
            return segv(Signal::SegvAccerr);
        }
        match mm_fault(cpu, mm, mmap_lock, vma, fault.va, flags).await {
            MmFault::Done(_, _held) => return Ok(()),
            MmFault::Completed => return Ok(()),
            MmFault::Failed(VmFaultError::Oom, _held) => return Err(Killed::OutOfMemory),
            MmFault::Failed(VmFaultError::Sigbus, _held) => return segv(Signal::BusAdrerr),
            MmFault::Failed(VmFaultError::Sigsegv, _held) => return segv(Signal::SegvMaperr),
            MmFault::Failed(VmFaultError::Hwpoison, _held) => return segv(Signal::BusMceerrAr),
            // The fault let go of the lock to wait for something; the mapping may be another by now. That the lock of the
            // mapping was not enough does not count as an attempt.
            MmFault::Nowait(_) | MmFault::Retry => {
                if fatal_signal_pending(cpu).await {
                    return Err(Killed::Fatal);
                }
                flags.set(FaultFlags::TRIED, !flags.contains(FaultFlags::VMA_LOCK));
                flags -= FaultFlags::VMA_LOCK;
            }
        }
    }
}

/// `access_error()`: what the mapping forbids. Entries say whether code may be fetched, and so does the fault, once the
/// page is there.
fn is_access_error(fault: PageFault, flags: VmFlags) -> bool {
    if fault.is_write() {
        return !flags.contains(VmFlags::WRITE);
    }
    fault.code & PageFault::P != 0 || !flags.is_accessible()
}
