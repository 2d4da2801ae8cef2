//! Page faults: `handle_mm_fault()` and how it finds out what is missing.

use bitflags::bitflags;
use sim_core::{BoxFuture, Held, SpinLock};
use sim_mmu::{Entry, Level, VirtAddr};

use super::anonymous::do_anonymous_page;
use super::shared::do_fault;
use super::tables::{p4d_offset, pmd_alloc, pud_alloc};
use super::wp::do_wp_page;
use crate::errno::Errno;
use crate::gup_calls::MmapLock;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::pgtable::{Pmdp, Ptep};
use crate::swapops::is_guard;
use crate::vm_flags::VmFlags;

bitflags! {
    /// `FAULT_FLAG_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FaultFlags: u32 {
        /// `FAULT_FLAG_WRITE`: the access is a write.
        const WRITE = 0x01;
        /// `FAULT_FLAG_ALLOW_RETRY`: the caller can do without `mmap_lock` afterwards.
        const ALLOW_RETRY = 0x04;
        /// `FAULT_FLAG_TRIED`: it is not the first attempt.
        const TRIED = 0x20;
        /// `FAULT_FLAG_UNSHARE`: the page must be this address space's own, and stays read-only. Since v5.19.
        const UNSHARE = 0x400;
    }
}

/// What a fault that could be handled did: `vm_fault_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmFault {
    /// `VM_FAULT_WRITE`: COW is broken, if the entry is writable or not.
    pub write: bool,
    /// What becomes of `mmap_lock`.
    pub(super) lock: LockAfter,
}

/// What a fault does with `mmap_lock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LockAfter {
    /// It stays held.
    #[default]
    Held,
    /// `VM_FAULT_RETRY`: it is let go of, and the fault begins anew.
    Retry,
    /// `VM_FAULT_COMPLETED`: it is let go of, and the fault is done.
    Completed,
}

/// Why a fault could not be handled: `VM_FAULT_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmFaultError {
    /// `VM_FAULT_OOM`.
    Oom,
    /// `VM_FAULT_SIGBUS`: nothing is behind the address.
    Sigbus,
    /// `VM_FAULT_SIGSEGV`: nobody may access it.
    Sigsegv,
}

impl From<Errno> for VmFaultError {
    /// Making a table fails only for want of memory.
    fn from(_: Errno) -> VmFaultError {
        VmFaultError::Oom
    }
}

impl VmFaultError {
    /// `vm_fault_to_errno()`.
    pub fn errno(self) -> Errno {
        match self {
            VmFaultError::Oom => Errno::Enomem,
            VmFaultError::Sigbus | VmFaultError::Sigsegv => Errno::Efault,
        }
    }
}

/// How [`handle_mm_fault`] ended. It is given `mmap_lock` and may have to let go of it, so the caller has
/// the lock again only where the answer says so.
#[must_use]
pub enum MmFault<'m> {
    /// The fault is handled; the lock is still held.
    Done(VmFault, MmapLock<'m>),
    /// It could not be handled; the lock is still held.
    Failed(VmFaultError, MmapLock<'m>),
    /// `VM_FAULT_RETRY`: the lock was dropped, and all that was found under it may be gone.
    Retry,
    /// `VM_FAULT_COMPLETED`: the fault is handled, and the lock was dropped.
    Completed,
}

/// `struct vm_fault`.
#[derive(Clone, Copy)]
pub(super) struct Fault<'m> {
    pub(super) mm: &'m MmStruct,
    pub(super) vma: Vma,
    pub(super) address: VirtAddr,
    pub(super) flags: FaultFlags,
    pub(super) pmdp: Pmdp,
}

/// A PTE under its lock.
pub(super) struct Locked<'m> {
    pub(super) ptep: Ptep,
    pub(super) ptl: Held<'m>,
}

/// `handle_mm_fault()`: makes the page present, and writable if that is asked and allowed.
pub fn handle_mm_fault<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    vma: Vma,
    address: VirtAddr,
    flags: FaultFlags,
) -> BoxFuture<'m, MmFault<'m>> {
    Box::pin(async move {
        let _routine = cpu.enter("handle_mm_fault");
        match __handle_mm_fault(cpu, mm, vma, address, flags).await {
            Ok(done) => match done.lock {
                LockAfter::Held => MmFault::Done(done, mmap_lock),
                LockAfter::Retry => MmFault::Retry,
                LockAfter::Completed => MmFault::Completed,
            },
            Err(error) => MmFault::Failed(error, mmap_lock),
        }
    })
}

/// `__handle_mm_fault()`: the tables above the PTE. Memory without a device is never waited for, so only a
/// write to shared memory says that `mmap_lock` is to be let go of.
async fn __handle_mm_fault<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
    flags: FaultFlags,
) -> Result<VmFault, VmFaultError> {
    let address = address.page_base();
    let p4dp = p4d_offset(cpu, mm, address);
    let pudp = pud_alloc(cpu, mm, p4dp, address).await?;
    let pmdp = pmd_alloc(cpu, mm, pudp, address).await?;
    let done = handle_pte_fault(cpu, Fault { mm, vma, address, flags, pmdp }).await?;
    // mm_account_fault(): faults that failed or begin anew are not counted; what took more than one attempt is major.
    if done.lock != LockAfter::Retry {
        let tried = flags.contains(FaultFlags::TRIED);
        let count = if tried { &cpu.kernel.maj_flt } else { &cpu.kernel.min_flt };
        count.set(count.get() + 1);
    }
    Ok(done)
}

impl<'m> Fault<'m> {
    /// The lock of the page table in `pmd`: `pte_lockptr()`.
    fn lockptr(&self, cpu: Cpu<'m>, ptep: Ptep) -> SpinLock {
        cpu.kernel.ptl(ptep.table())
    }

    /// `pte_offset_map_lock()`.
    pub(super) async fn lock(&self, cpu: Cpu<'m>, ptep: Ptep) -> Locked<'m> {
        let ptl = cpu.lock(self.lockptr(cpu, ptep)).await;
        Locked { ptep, ptl }
    }

    pub(super) fn is_write(&self) -> bool {
        self.flags.contains(FaultFlags::WRITE)
    }

    /// Whether a kernel with huge pages would map one here: `create_huge_pmd()`.
    fn wants_huge_page(&self, cpu: Cpu<'m>) -> bool {
        let span = cpu.mmu.geometry.span(Level::Pmd);
        let start = self.address.0 & !(span - 1);
        self.vma.flags(cpu).contains(VmFlags::HUGEPAGE)
            && self.vma.is_anonymous(cpu)
            && self.vma.start(cpu).0 <= start
            && start + span <= self.vma.end(cpu).0
    }
}

/// `handle_pte_fault()`.
async fn handle_pte_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<VmFault, VmFaultError> {
    let pmd = cpu.read_once(vmf.pmdp).await;
    if pmd.none() {
        if vmf.wants_huge_page(cpu) {
            cpu.not_modelled("a huge page");
        }
        return do_pte_missing(cpu, vmf).await;
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, vmf.address);
    let orig = cpu.read_once(ptep).await;
    if orig.none() {
        return do_pte_missing(cpu, vmf).await;
    }
    if !orig.present() {
        // do_swap_page(), handle_pte_marker(): an entry that only marks its page.
        return if is_guard(orig.entry) { Err(VmFaultError::Sigsegv) } else { Err(VmFaultError::Sigbus) };
    }
    let locked = vmf.lock(cpu, ptep).await;
    if cpu.read_once(ptep).await != orig {
        return Ok(VmFault::default());
    }
    if vmf.flags.intersects(FaultFlags::WRITE | FaultFlags::UNSHARE) && !orig.write() {
        return do_wp_page(cpu, vmf, locked, orig).await;
    }
    // A spurious fault: the entry allows the access. The fault itself dropped the stale translation.
    let young = Entry::ACCESSED | if vmf.is_write() { Entry::DIRTY } else { 0 };
    if !orig.entry.has(young) {
        cpu.update_pte(vmf.mm, vmf.address, ptep, move |entry| entry.with(young)).await;
    }
    Ok(VmFault::default())
}

/// `do_pte_missing()`.
async fn do_pte_missing<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<VmFault, VmFaultError> {
    match vmf.vma.file(cpu) {
        None => do_anonymous_page(cpu, vmf).await,
        Some(file) => do_fault(cpu, vmf, file).await,
    }
}
