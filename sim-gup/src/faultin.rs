//! What is not there is faulted in: `faultin_page()` and `fixup_user_fault()`.

use sim_core::{BoxFuture, Routine};
use sim_mm::{
    Cpu, Errno, FaultFlags, HwpoisonHugetlbGup, MmFault, MmStruct, MmapLock, VmFlags, Vma,
    arch_vma_access_permitted, check, find_extend_vma, handle_mm_fault, marks_mlocked,
};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::safeguards::{
    FAULTIN_ALLOW_RETRY, FAULTIN_MLOCK_ONLY, FAULTIN_NOWAIT_KEEPS, FAULTIN_REMOTE, FAULTIN_WRITE, FIXUP_PERMITS,
    FOLL_COW_READ_ONLY, GUP_KEEP_WRITE, VM_FAULT_TO_ERRNO,
};
use crate::settings::ForcedWrite;

/// How `faultin_page()` ended.
pub(crate) enum FaultedIn<'m> {
    /// The page can be looked up again; `mmap_lock` is still held.
    Done(MmapLock<'m>),
    /// An error; `mmap_lock` is still held.
    Failed(Errno, MmapLock<'m>),
    /// `-EBUSY`: the fault let go of `mmap_lock`.
    Retry,
    /// `-EBUSY` with `FOLL_NOWAIT`: the fault would have had to wait; `mmap_lock` is still held.
    Busy(MmapLock<'m>),
    /// `-ENOENT`: the page is not there, and is not to be faulted in; `mmap_lock` is still held.
    Absent(MmapLock<'m>),
}

/// The flags of a fault that is to bring what GUP looks for.
fn fault_flags(cpu: Cpu<'_>, flags: FollFlags, unshare: bool) -> FaultFlags {
    let mut fault = FaultFlags::empty();
    fault.set(FaultFlags::WRITE, flags.contains(FollFlags::WRITE) && cpu.has(FAULTIN_WRITE));
    fault.set(FaultFlags::REMOTE, flags.contains(FollFlags::REMOTE) && cpu.has(FAULTIN_REMOTE));
    fault.set(FaultFlags::UNSHARE, unshare);
    // Who has to keep mmap_lock gets no fault that lets go of it.
    fault.set(FaultFlags::ALLOW_RETRY, flags.contains(FollFlags::UNLOCKABLE) || !cpu.has(FAULTIN_ALLOW_RETRY));
    if flags.contains(FollFlags::NOWAIT) {
        fault |= FaultFlags::ALLOW_RETRY | FaultFlags::RETRY_NOWAIT;
    }
    fault.set(FaultFlags::TRIED, flags.contains(FollFlags::TRIED));
    fault
}

/// `faultin_page()`. With `unshare`, the page must become this address space's own.
pub(crate) async fn faultin_page<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    vma: Vma,
    address: VirtAddr,
    flags: &mut FollFlags,
    unshare: bool,
) -> FaultedIn<'m> {
    let _routine = cpu.enter("faultin_page");
    // mlock2(MLOCK_ONFAULT) locks what is there, and brings nothing in.
    let mlocks_only = *flags & (FollFlags::POPULATE | FollFlags::MLOCK) == FollFlags::MLOCK;
    if check!(cpu, FAULTIN_MLOCK_ONLY, mlocks_only && marks_mlocked(cpu)) {
        return FaultedIn::Absent(mmap_lock);
    }
    let fault = fault_flags(cpu, *flags, unshare);
    match handle_mm_fault(cpu, mm, mmap_lock, vma, address, fault).await {
        MmFault::Done(done, mmap_lock) => {
            // COW is broken, though the mapping keeps the entry read-only: look it up as if it were a read.
            // Not where the mapping is writable, for there a later write may break COW once more.
            let writable = vma.flags(cpu).contains(VmFlags::WRITE);
            if done.write && !check!(cpu, FOLL_COW_READ_ONLY, writable) {
                cpu.consulted(GUP_KEEP_WRITE);
                match cpu.setting::<ForcedWrite>() {
                    ForcedWrite::DropWrite => *flags -= FollFlags::WRITE,
                    ForcedWrite::CowFlag => *flags |= FollFlags::COW,
                    ForcedWrite::Exclusive => {}
                }
            }
            FaultedIn::Done(mmap_lock)
        }
        MmFault::Failed(_, mmap_lock) if !cpu.has(VM_FAULT_TO_ERRNO) => FaultedIn::Done(mmap_lock),
        MmFault::Failed(error, mmap_lock) => {
            let is_told = cpu.setting::<HwpoisonHugetlbGup>() == HwpoisonHugetlbGup::Told
                || !vma.flags(cpu).contains(VmFlags::HUGETLB);
            FaultedIn::Failed(error.errno(is_told && flags.contains(FollFlags::HWPOISON)), mmap_lock)
        }
        MmFault::Nowait(mmap_lock) => {
            if cpu.has(FAULTIN_NOWAIT_KEEPS) || !flags.contains(FollFlags::UNLOCKABLE) {
                return FaultedIn::Busy(mmap_lock);
            }
            // The caller takes it for dropped, and nobody drops it.
            std::mem::forget(mmap_lock);
            FaultedIn::Retry
        }
        MmFault::Retry | MmFault::Completed => FaultedIn::Retry,
    }
}

/// `vma_permits_fault()`.
fn vma_permits_fault(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, fault: FaultFlags) -> bool {
    let (write, foreign) = (fault.contains(FaultFlags::WRITE), fault.contains(FaultFlags::REMOTE));
    let wanted = if write { VmFlags::WRITE } else { VmFlags::READ };
    let vm_flags = vma.flags(cpu);
    vm_flags.intersects(wanted) && arch_vma_access_permitted(cpu, mm.id, vm_flags, write, foreign)
}

/// `fixup_user_fault()`: handles a fault of an access that was made where faults are not allowed, as by a futex. It never looks a page up. The caller holds `mmap_lock`, and has it
/// afterwards: no fault may let go of it. Only a guest whose memory is a driver's would allow that (`unlocked`), which is not modelled.
///
/// # Errors
/// `EFAULT` if the mapping does not allow the access, `ENOMEM` if there is no memory.
pub fn fixup_user_fault<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    address: VirtAddr,
    write: bool,
) -> BoxFuture<'m, (Result<(), Errno>, MmapLock<'m>)> {
    Box::pin(async move {
        let _routine = cpu.enter(Routine::helper("fixup_user_fault"));
        let mut held = mmap_lock;
        let mut fault = FaultFlags::empty();
        fault.set(FaultFlags::WRITE, write);
        loop {
            // What the lock protected before may be gone, so the mapping is looked up each time.
            let Some(vma) = find_extend_vma(cpu, mm, address).await else { return (Err(Errno::Efault), held) };
            if check!(cpu, FIXUP_PERMITS, !vma_permits_fault(cpu, mm, vma, fault)) {
                return (Err(Errno::Efault), held);
            }
            held = match handle_mm_fault(cpu, mm, held, vma, address, fault).await {
                MmFault::Done(_, kept) => return (Ok(()), kept),
                MmFault::Failed(error, kept) => return (Err(error.errno(false)), kept),
                MmFault::Nowait(kept) => kept,
                MmFault::Completed | MmFault::Retry => cpu.down_read(mm.mmap_lock).await.into(),
            };
        }
    })
}
