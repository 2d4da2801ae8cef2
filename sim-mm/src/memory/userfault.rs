//! Faults that user code handles: `handle_userfault()` of `fs/userfaultfd.c`, as far as it is a part of the fault.

use super::tables::find_pmd;
use crate::kernel::Cpu;
use crate::pgtable_generic::look_at_pte;
use crate::swapops::is_none_mostly;
use crate::userfaultfd::{add_userfault, remove_userfault};
use crate::vm_fault::{Fault, FaultFlags, LockAfter, VmFault, VmFaultError};

/// What user code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A page.
    Missing,
    /// Leave to map the page that the file has.
    Minor,
    /// Leave to write.
    WriteProtected,
}

/// `handle_userfault()`: the fault waits for user code, and begins anew. The caller holds no PTE lock.
pub(super) async fn handle_userfault<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    reason: Reason,
) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("handle_userfault");
    // Whoever must keep mmap_lock cannot wait for user code, which may need the lock.
    if !vmf.flags.contains(FaultFlags::ALLOW_RETRY) {
        return Err(VmFaultError::Sigbus);
    }
    if vmf.flags.contains(FaultFlags::RETRY_NOWAIT) {
        return Ok(VmFault { lock: LockAfter::Nowait, ..VmFault::default() });
    }
    let Some(task) = add_userfault(cpu, vmf.mm, vmf.address).await else { return Err(VmFaultError::Sigbus) };
    // In this order: whoever handles the fault changes the entry first and looks at the queue afterwards.
    if userfaultfd_must_wait(cpu, vmf, reason).await {
        return Ok(VmFault { lock: LockAfter::Userfault(task), ..VmFault::default() });
    }
    remove_userfault(cpu, vmf.mm, task).await;
    Ok(VmFault::RETRY)
}

/// `userfaultfd_must_wait()`: whether the entry is still what the fault was about. It is read without its lock.
async fn userfaultfd_must_wait<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, reason: Reason) -> bool {
    let Some(pmdp) = find_pmd(cpu, vmf.mm, vmf.address).await else { return true };
    let (pmd, found) = look_at_pte(cpu, pmdp, vmf.address).await;
    if pmd.trans_huge() {
        return reason == Reason::WriteProtected && !pmd.write();
    }
    let Some((_, pte)) = found else { return pmd.none() };
    is_none_mostly(pte.entry) || reason == Reason::WriteProtected && !pte.write()
}
