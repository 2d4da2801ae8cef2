//! `fs/exec.c`: a process gets a new address space.
//!
//! The old address space belongs to whoever still uses it: a parent that lent it to its child, another process that reads it. Its
//! last user tears it down.

use sim_core::{BoxFuture, Routine, TaskId};
use sim_mmu::VirtAddr;

use crate::arch::pkeys::pkru_write_default;
use crate::arch::tlb::switch_mm_irqs_off;
use crate::errno::Errno;
use crate::event::Event;
use crate::fork::{mm_alloc, mm_release, mmput, sleep_until_zero};
use crate::kernel::Cpu;
use crate::mm_types::{MmId, MmStruct, VmaSnapshot};
use crate::signal::zap_other_threads;
use crate::vm_flags::VmFlags;
use crate::vma::{change_vmas, mmap_write_lock, vm_area_alloc, vma_link};

/// `execve()`: the task's process gets an empty address space with a stack of one page, and loses its other threads. `installed`
/// is told of the address space and of the stack, in the step from which on the process has them.
///
/// # Errors
/// `EAGAIN`, if another thread of the process is calling `exec()` already. `ENOMEM`, if there is no memory.
pub fn sys_execve<'m>(
    cpu: Cpu<'m>,
    task: TaskId,
    installed: impl FnOnce(MmId, VirtAddr) + 'm,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("bprm_execve"));
        let old = cpu.current_mm().ok_or(Errno::Einval)?;
        let mm = mm_alloc(cpu, None).await?;
        let stack = match bprm_mm_init(cpu, mm).await {
            Ok(stack) => de_thread(cpu, task).await.map(|()| stack),
            Err(errno) => Err(errno),
        };
        match stack {
            Ok(stack) => {
                exec_mmap(cpu, task, old, mm, || installed(mm.id, stack)).await;
                // flush_thread()
                pkru_write_default(cpu, task).await;
                Ok(())
            }
            Err(errno) => {
                mmput(cpu, mm).await;
                Err(errno)
            }
        }
    })
}

/// `bprm_mm_init()`: the stack, which is one page at the end of user space, and can grow. Programs and their arguments are not
/// modelled, so nothing is in it.
async fn bprm_mm_init(cpu: Cpu<'_>, mm: &MmStruct) -> Result<VirtAddr, Errno> {
    let _routine = cpu.enter("bprm_mm_init");
    let _mmap_lock = mmap_write_lock(cpu, mm).await;
    let end = cpu.mmu.geometry.task_size();
    let start = VirtAddr(end.0 - VirtAddr::PAGE_SIZE);
    // VM_STACK_FLAGS
    let may = VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC;
    let flags = VmFlags::READ | VmFlags::WRITE | may | VmFlags::GROWSDOWN | VmFlags::ACCOUNT;
    let stack = VmaSnapshot { start, end, flags, pgoff: start.vpn().0, anon_vma: None, file: None };
    change_vmas(cpu, mm, |vmas| {
        let vma = vm_area_alloc(cpu, mm, stack)?;
        vma_link(cpu, mm, vmas, vma);
        Ok(start)
    })
    .await
}

/// `de_thread()`: the other threads of the process die, and the caller waits until they have. Left out: that the signal also ends
/// what a thread waits for.
async fn de_thread(cpu: Cpu<'_>, task: TaskId) -> Result<(), Errno> {
    let Some(group) = cpu.kernel.thread_group(task) else { return Ok(()) };
    let _routine = cpu.enter("de_thread");
    let siglock = cpu.lock(group.siglock()).await;
    if cpu.this_cpu_read(group.nr_threads()) == 1 {
        return Ok(());
    }
    if cpu.this_cpu_read(group.group_exec_task()) {
        return Err(Errno::Eagain);
    }
    cpu.this_cpu_write(group.group_exec_task(), true);
    let left = zap_other_threads(cpu, task).await;
    cpu.store(group.notify_count(), left).await;
    drop(siglock);
    sleep_until_zero(cpu, group.notify_count().loc()).await;
    // Nobody else is there who could look.
    cpu.this_cpu_write(group.group_exec_task(), false);
    Ok(())
}

/// `exec_mmap()`: the task leaves one address space for another. The old one is not locked for writing: who works on it as its
/// user goes on.
async fn exec_mmap<'m>(cpu: Cpu<'m>, task: TaskId, old: &'m MmStruct, mm: &'m MmStruct, installed: impl FnOnce()) {
    let _routine = cpu.enter("exec_mmap");
    // exec_mm_release(): the parent that lent its address space goes on before the child has left it. The child touches nothing
    // in it any more.
    mm_release(cpu, task).await;
    // Who looks up the address space of the process waits, and then finds the new one.
    let _exec_update_lock = match cpu.kernel.thread_group(task) {
        Some(group) => Some(cpu.down_write(group.exec_update_lock()).await),
        None => None,
    };
    // A core dump of the old address space goes on with the lock held for writing.
    let mmap_lock = cpu.down_read(old.mmap_lock).await;
    {
        let _irq = cpu.irq_save();
        cpu.kernel.set_task_mm(task, Some(mm.id));
        cpu.note(Event::MmReplaced { old: old.id, new: mm.id });
        installed();
        // activate_mm()
        switch_mm_irqs_off(cpu, Some(mm)).await;
    }
    drop(mmap_lock);
    mmput(cpu, old).await;
}
