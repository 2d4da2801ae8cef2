//! `struct vm_fault`, the flags of a fault, and its answers.

use bitflags::bitflags;
use sim_core::{Held, SpinLock, TaskId};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap_lock::MmapLock;
use crate::pgtable::{Pmdp, Pte, Ptep};
use crate::pgtable_generic::is_unlinked;
use crate::rmap::anon_vma_prepare;
use crate::settings::VmaLock;

bitflags! {
    /// `FAULT_FLAG_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FaultFlags: u32 {
        /// `FAULT_FLAG_WRITE`: the access is a write.
        const WRITE = 0x01;
        /// `FAULT_FLAG_ALLOW_RETRY`: the caller can do without `mmap_lock` afterwards.
        const ALLOW_RETRY = 0x04;
        /// `FAULT_FLAG_RETRY_NOWAIT`: a fault that would have to wait ends at once, and keeps `mmap_lock`.
        const RETRY_NOWAIT = 0x08;
        /// `FAULT_FLAG_TRIED`: it is not the first attempt.
        const TRIED = 0x20;
        /// `FAULT_FLAG_REMOTE`: in an address space that need not be the caller's, so that the caller's protection keys say nothing.
        const REMOTE = 0x80;
        /// `FAULT_FLAG_INSTRUCTION`: code is fetched, which no protection key forbids.
        const INSTRUCTION = 0x100;
        /// `FAULT_FLAG_VMA_LOCK`: the fault holds the lock of its mapping, and not `mmap_lock`. Since v6.4.
        const VMA_LOCK = 0x1000;
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
    pub(crate) lock: LockAfter,
    /// `VM_FAULT_MAJOR`: a page was read.
    pub(crate) major: bool,
}

impl VmFault {
    /// `VM_FAULT_RETRY`.
    pub(crate) const RETRY: VmFault = VmFault { write: false, lock: LockAfter::Retry, major: false };
}

/// What a fault does with `mmap_lock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LockAfter {
    /// It stays held.
    #[default]
    Held,
    /// `VM_FAULT_RETRY`: it is let go of, and the fault begins anew.
    Retry,
    /// `VM_FAULT_RETRY` under `FAULT_FLAG_RETRY_NOWAIT`: it stays held, and the fault is not handled.
    Nowait,
    /// `VM_FAULT_COMPLETED`: it is let go of, and the fault is done.
    Completed,
    /// `VM_FAULT_RETRY`: it is let go of, the task waits until user code has handled its fault, and the fault begins anew.
    Userfault(TaskId),
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
    /// `VM_FAULT_HWPOISON`: the memory of the page is broken.
    Hwpoison,
}

impl From<Errno> for VmFaultError {
    /// Making a table fails only for want of memory.
    fn from(_: Errno) -> VmFaultError {
        VmFaultError::Oom
    }
}

impl VmFaultError {
    /// `vm_fault_to_errno()`. Who asks by `FOLL_HWPOISON` is told that the memory is broken.
    pub fn errno(self, foll_hwpoison: bool) -> Errno {
        match self {
            VmFaultError::Oom => Errno::Enomem,
            VmFaultError::Hwpoison if foll_hwpoison => Errno::Ehwpoison,
            VmFaultError::Sigbus | VmFaultError::Sigsegv | VmFaultError::Hwpoison => Errno::Efault,
        }
    }
}

/// How `handle_mm_fault()` ended. It is given `mmap_lock` and may have to let go of it, so the caller has
/// the lock again only where the answer says so.
#[must_use]
pub enum MmFault<'m> {
    /// The fault is handled; the lock is still held.
    Done(VmFault, MmapLock<'m>),
    /// It could not be handled; the lock is still held.
    Failed(VmFaultError, MmapLock<'m>),
    /// `VM_FAULT_RETRY`: the lock was dropped, and all that was found under it may be gone.
    Retry,
    /// `VM_FAULT_RETRY` under `FAULT_FLAG_RETRY_NOWAIT`: the fault would have had to wait. The lock is still held.
    Nowait(MmapLock<'m>),
    /// `VM_FAULT_COMPLETED`: the fault is handled, and the lock was dropped.
    Completed,
}

/// `struct vm_fault`.
#[derive(Clone, Copy)]
pub(crate) struct Fault<'m> {
    pub(crate) mm: &'m MmStruct,
    pub(crate) vma: Vma,
    pub(crate) address: VirtAddr,
    pub(crate) flags: FaultFlags,
    pub(crate) pmdp: Pmdp,
}

/// `vmf_anon_prepare()`: sees to it that the mapping has an `anon_vma`. False if the fault must begin anew with
/// `mmap_lock`.
pub(crate) async fn vmf_anon_prepare<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    flags: FaultFlags,
) -> Result<bool, Errno> {
    let by_vma_lock = flags.contains(FaultFlags::VMA_LOCK);
    let missing = by_vma_lock && vma.anon_vma(cpu).is_none();
    let _mmap_lock = match cpu.setting::<VmaLock>() {
        VmaLock::All | VmaLock::Refcount if missing => match cpu.down_read_trylock(mm.mmap_lock).await {
            None => return Ok(false),
            held => held,
        },
        // Before v6.10 a fault that holds the mapping alone has found an anon_vma there, unless it is a mapping of a file.
        VmaLock::Files if missing => return Ok(false),
        _ => None,
    };
    anon_vma_prepare(cpu, mm, vma).await.map(|()| true)
}

/// `check_stable_address_space()`, since v4.14 (`6b31d5955cb2`): under the PTE lock, so that a reaper that comes later clears the
/// entry.
pub(crate) fn check_stable_address_space(cpu: Cpu<'_>, mm: &MmStruct) -> Result<(), VmFaultError> {
    if cpu.this_cpu_read(mm.unstable()) { Err(VmFaultError::Sigbus) } else { Ok(()) }
}

/// A PTE under its lock.
pub(crate) struct Locked<'m> {
    pub(crate) ptep: Ptep,
    _ptl: Held<'m>,
}

impl<'m> Fault<'m> {
    /// The lock of the page table in `pmd`: `pte_lockptr()`.
    fn lockptr(&self, cpu: Cpu<'m>, ptep: Ptep) -> SpinLock {
        cpu.kernel.ptl(ptep.table())
    }

    /// `pte_offset_map_lock()`. `None` if the table is not in use any more: the access is to be made again.
    pub(crate) async fn map_lock(&self, cpu: Cpu<'m>, ptep: Ptep) -> Option<Locked<'m>> {
        let ptl = cpu.lock(self.lockptr(cpu, ptep)).await;
        if is_unlinked(cpu, self.pmdp, ptep) { None } else { Some(Locked { ptep, _ptl: ptl }) }
    }

    /// The same. `None` also if the entry is not what it was when the fault looked at it without the lock: `pte_same()`.
    pub(crate) async fn map_lock_same(&self, cpu: Cpu<'m>, (ptep, orig): (Ptep, Pte)) -> Option<Locked<'m>> {
        let ptl = cpu.lock(self.lockptr(cpu, ptep)).await;
        if is_unlinked(cpu, self.pmdp, ptep) || cpu.read_once(ptep).await != orig {
            return None;
        }
        Some(Locked { ptep, _ptl: ptl })
    }

    pub(crate) fn is_write(&self) -> bool {
        self.flags.contains(FaultFlags::WRITE)
    }
}
