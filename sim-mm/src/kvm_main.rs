//! `virt/kvm/kvm_main.c`: a process gets a virtual machine.

use sim_core::{BoxFuture, Routine, WriteHeld};

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::rmap::{anon_vma_lock_write_tree, anon_vma_root};
use crate::vma::{i_mmap_lock_write_all, mmap_write_lock, vma_start_write};

/// `kvm_create_vm()`: the process runs a guest from now on, whose memory is that of the process.
///
/// # Errors
/// `EBUSY` if it runs one already.
pub fn kvm_create_vm(cpu: Cpu<'_>) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("kvm_create_vm"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        // mmu_notifier_register()
        let _mmap_lock = mmap_write_lock(cpu, mm).await;
        let _all = mm_take_all_locks(cpu, mm).await;
        let had_one = cpu.xchg(mm.notifier_subscriptions(), true).await;
        if had_one { Err(Errno::Ebusy) } else { Ok(()) }
    })
}

/// `mm_take_all_locks()`, for a caller that holds `mmap_lock` for writing: nobody is changing entries now. He would have told nobody that he began,
/// since nobody had subscribed.
async fn mm_take_all_locks<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) -> Vec<WriteHeld<'m>> {
    let vmas = cpu.read(&mm.vmas, Clone::clone).await;
    for vma in &vmas {
        vma_start_write(cpu, mm, *vma).await;
    }
    let mut held = i_mmap_lock_write_all(cpu, mm, |_| true).await;
    let mut roots: Vec<_> = vmas.iter().filter_map(|vma| anon_vma_root(cpu, *vma)).collect();
    roots.sort_unstable_by_key(|root| root.index());
    roots.dedup();
    for root in roots {
        held.push(anon_vma_lock_write_tree(cpu, root).await);
    }
    held
}
