//! `fs/userfaultfd.c`: page faults that user code handles.
//!
//! A process registers pages. A fault in them does not end in the kernel: the task waits, and somebody in user space learns of
//! it by reading a descriptor, does what is needed by one of the calls of `mm/userfaultfd.c` (`mfill.rs`), and wakes the task.
//! There is one descriptor for each address space.

use sim_core::{BoxFuture, Gate, Op, OpKind, Routine, Shared, TaskId};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::huge_memory::vma_adjust_trans_huge;
use crate::hugetlb::is_vm_hugetlb_page;
use crate::inode::{is_dax, is_secret, on_disk};
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::release::Release;
use crate::signal::fatal_signal_pending;
use crate::userfault::{UffdMode, Userfault};
use crate::vm_flags::VmFlags;
use crate::vma::{Stopped, change_vmas, mmap_write_lock, vma_modify_flags};

/// `uwq.waken` of a task.
fn waken(cpu: Cpu<'_>, task: TaskId) -> Shared<bool> {
    Shared::at(cpu.kernel.task_waken(task))
}

/// `UFFDIO_REGISTER`: from now on, faults in pages `start` up to `end` are handled by user code as `modes` say.
///
/// # Errors
/// `EINVAL` for a range that is empty, unaligned, or not wholly mapped, and for memory whose faults cannot be handled so.
pub fn userfaultfd_register(
    cpu: Cpu<'_>,
    start: VirtAddr,
    end: VirtAddr,
    modes: UffdMode,
) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("userfaultfd_register"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        if start.offset() != 0 || end <= start || modes.is_empty() {
            return Err(Errno::Einval);
        }
        let unpopulated = modes.contains(UffdMode::WP_UNPOPULATED);
        if unpopulated && cpu.kernel.config.kernel.version < Release::v(6, 4) {
            return Err(Errno::Einval);
        }
        let _mmap_lock = mmap_write_lock(cpu, mm).await;
        if unpopulated {
            cpu.this_cpu_write(mm.uffd_wp_unpopulated(), true);
        }
        let modes = modes - UffdMode::WP_UNPOPULATED;
        let mut at = start;
        while at < end {
            vma_adjust_trans_huge(cpu, mm, [at, end]).await;
            at = change_vmas(cpu, mm, |vmas| {
                let index = vmas.iter().position(|vma| vma.contains(cpu, at)).ok_or(Errno::Einval)?;
                let vma = vmas[index];
                if !vma_can_userfault(cpu, vma, modes) {
                    return Err(Stopped::from(Errno::Einval));
                }
                let (to, flags) = (vma.end(cpu).min(end), (vma.flags(cpu) - VmFlags::UFFD) | modes.vm_flags());
                vma_modify_flags(cpu, mm, vmas, index, (at, to), flags)?;
                Ok(to)
            })
            .await?;
        }
        Ok(())
    })
}

/// `vma_can_userfault()`. Private anonymous memory has no page that is not mapped. Write protection of a file in memory needs markers of
/// pages that are not mapped: since v5.19 (`b1f9e876862d`).
fn vma_can_userfault(cpu: Cpu<'_>, vma: Vma, modes: UffdMode) -> bool {
    let version = cpu.kernel.config.kernel.version;
    let is_other =
        vma.file(cpu).is_some_and(|file| on_disk(cpu, file) || is_secret(cpu, file) || is_dax(cpu, file));
    // Linux handles them since v4.11.
    let is_other = is_other || is_vm_hugetlb_page(cpu, vma);
    let modes_for = if vma.flags(cpu).contains(VmFlags::PFNMAP) || is_other || version < Release::v(4, 3) {
        UffdMode::empty()
    } else if vma.is_anonymous(cpu) {
        UffdMode::MISSING | UffdMode::WP
    } else if version < Release::v(4, 11) {
        UffdMode::empty()
    } else if version < Release::v(5, 14) {
        UffdMode::MISSING
    } else if version < Release::v(5, 19) {
        UffdMode::MISSING | UffdMode::MINOR
    } else {
        UffdMode::MISSING | UffdMode::MINOR | UffdMode::WP
    };
    modes_for.contains(modes)
}

/// First half of `handle_userfault()`: the fault is in the queue, so that whoever handles it from here on finds it.
pub(crate) async fn add_userfault<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, address: VirtAddr) -> Option<TaskId> {
    let task = cpu.task()?;
    cpu.this_cpu_write(waken(cpu, task), false);
    cpu.update(&mm.fault_wqh, |queue| queue.push(Userfault { task, address, read: false })).await;
    Some(task)
}

/// The fault was handled before it was in the queue.
pub(crate) async fn remove_userfault<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, task: TaskId) {
    cpu.update(&mm.fault_wqh, |queue| queue.retain(|fault| fault.task != task)).await;
}

/// Second half of `handle_userfault()`: the task waits until somebody has handled its fault, or until it has to die (`TASK_KILLABLE`). No lock is held.
pub(crate) async fn wait_for_userfault<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, task: TaskId) {
    cpu.store(mm.fd_ready(), true).await;
    // Who is told to die is woken as well, but perhaps before add_userfault() said that nobody has woken it.
    if !fatal_signal_pending(cpu).await {
        let waken = waken(cpu, task).loc();
        cpu.step(Op::new(OpKind::Wait, waken).behind(Gate::NonZero(waken)).sleeping(), |_| ()).await;
    }
    if fatal_signal_pending(cpu).await {
        remove_userfault(cpu, mm, task).await;
    }
}

/// `wake_userfault()`: the faults in pages `start` up to `end` begin anew.
pub(crate) async fn wake_userfault<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) {
    let is_in = |fault: &Userfault| start <= fault.address && fault.address < end;
    let woken = cpu.update(&mm.fault_wqh, |queue| {
        let woken: Vec<TaskId> = queue.iter().filter(|fault| is_in(fault)).map(|fault| fault.task).collect();
        queue.retain(|fault| !is_in(fault));
        woken
    });
    for task in woken.await {
        cpu.store(waken(cpu, task), true).await;
    }
}

/// `UFFDIO_WAKE`: the faults in pages `start` up to `end` begin anew, whatever their entries are.
///
/// # Errors
/// `EINVAL` for a range that is empty or unaligned.
pub fn userfaultfd_wake<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("userfaultfd_wake"));
        if start.offset() != 0 || end <= start {
            return Err(Errno::Einval);
        }
        wake_userfault(cpu, mm, start, end).await;
        Ok(())
    })
}

/// `userfaultfd_read()`: waits for a fault that nobody has read yet, and answers its address.
pub fn userfaultfd_read<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) -> BoxFuture<'m, VirtAddr> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("userfaultfd_read"));
        let ready = mm.fd_ready();
        loop {
            let wait = Op::new(OpKind::Acquire, ready.loc()).behind(Gate::NonZero(ready.loc())).sleeping();
            cpu.step(wait, move |hw| hw.perform_rmw(&wait, hw.core.memory.get(wait.loc), 0)).await;
            let unread = cpu.update(&mm.fault_wqh, |queue| {
                let fault = queue.iter_mut().find(|fault| !fault.read)?;
                fault.read = true;
                Some((fault.address, queue.iter().any(|fault| !fault.read)))
            });
            // It may have been handled meanwhile.
            if let Some((address, more)) = unread.await {
                if more {
                    cpu.store(ready, true).await;
                }
                return address;
            }
        }
    })
}
