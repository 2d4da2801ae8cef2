//! Making and ending address spaces: `kernel/fork.c`.

use sim_core::{BoxFuture, CpuId, Gate, Loc, Op, OpKind, Routine, TaskId};

use sim_mmu::VirtAddr;

use crate::arch::pkeys::arch_dup_pkeys;
use crate::arch::tlb::{flush_tlb_mm, switch_mm_irqs_off};
use crate::arch::vsyscall::note_gate_page;
use crate::errno::Errno;
use crate::event::Event;
use crate::huge_memory::mm_put_huge_zero_page;
use crate::kernel::{Cpu, Kernel};
use crate::ksm::{ksm_exit, ksm_fork};
use crate::memory::copy_page_range;
use crate::mm_types::{MmId, MmStruct, Vma};
use crate::mmap::exit_mmap;
use crate::mmdrop::mmdrop;
use crate::page_alloc::pgd_alloc;
use crate::rmap::{anon_vma_fork, anon_vma_lock_write};
use crate::safeguards::{FORK_FLUSH, FORK_LOCK_VMAS};
use crate::settings::{LazyTlb, VmaLock};
use crate::vm_flags::VmFlags;
use crate::vma::{
    mmap_write_lock, remove_vma, vm_area_dup, vma_link_file_of_many, vma_mark_attached, vma_start_write,
};
use crate::vmalloc::pgd_ctor;

/// `mm_alloc()`: an empty address space.
pub(crate) async fn mm_alloc<'m>(cpu: Cpu<'m>, parent: Option<MmId>) -> Result<&'m MmStruct, Errno> {
    if cpu.kernel.unused_mm().is_none() {
        return Err(Errno::Enomem);
    }
    let pgd = pgd_alloc(cpu).await.ok_or(Errno::Enomem)?;
    let mm = cpu.kernel.unused_mm().ok_or(Errno::Enomem)?;
    pgd_ctor(cpu, pgd.0);
    // The slot after those that were ever used, since ended address spaces are not made anew.
    cpu.kernel.mm_slab.alloc(cpu.core).ok_or(Errno::Enomem)?;
    cpu.this_cpu_write(mm.pgd(), pgd.0);
    cpu.this_cpu_write(mm.mm_users(), 1);
    cpu.this_cpu_write(mm.mm_count(), 1);
    // Zero says that mappings have no locks.
    let counts = cpu.setting::<VmaLock>() != VmaLock::None;
    cpu.this_cpu_write(mm.mm_lock_seq(), u64::from(counts));
    // As of a program of which nothing is loaded: its heap begins at the first page that may be mapped.
    let heap = VirtAddr(VirtAddr::PAGE_SIZE);
    cpu.this_cpu_write(mm.start_brk(), heap);
    cpu.this_cpu_write(mm.brk(), heap);
    cpu.note(Event::MmCreated { mm: mm.id, root: pgd.0, parent });
    note_gate_page(cpu, mm);
    Ok(mm)
}

impl Kernel {
    /// A new process, for setting up a machine.
    ///
    /// # Errors
    /// `ENOMEM`, if there is no frame or no slot for it.
    pub fn new_process(&self, cpu: CpuId) -> BoxFuture<'_, Result<MmId, Errno>> {
        Box::pin(async move { mm_alloc(Cpu::new(self, cpu), None).await.map(|mm| mm.id) })
    }
}

/// `fork()`: a copy of the caller's address space, for a process that is not running yet.
///
/// # Errors
/// `ENOMEM`, if no frame is free.
pub fn sys_fork(cpu: Cpu<'_>) -> BoxFuture<'_, Result<MmId, Errno>> {
    Box::pin(dup_mm(cpu))
}

async fn dup_mm(cpu: Cpu<'_>) -> Result<MmId, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("dup_mm"));
    let oldmm = cpu.current_mm().ok_or(Errno::Einval)?;
    let mm = mm_alloc(cpu, Some(oldmm.id)).await?;
    if let Err(errno) = dup_mmap(cpu, mm, oldmm).await {
        mmput(cpu, mm).await;
        return Err(errno);
    }
    arch_dup_pkeys(cpu, oldmm, mm);
    ksm_fork(cpu, mm, oldmm);
    cpu.this_cpu_write(mm.start_brk(), cpu.this_cpu_read(oldmm.start_brk()));
    cpu.this_cpu_write(mm.brk(), cpu.this_cpu_read(oldmm.brk()));
    cpu.note(Event::ForkDone { parent: oldmm.id, child: mm.id });
    Ok(mm.id)
}

/// `dup_mmap()`. The child's own `mmap_lock` is left out: nobody can see the child yet.
async fn dup_mmap<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, oldmm: &'m MmStruct) -> Result<(), Errno> {
    let _routine = cpu.enter("dup_mmap");
    let _mmap_lock = mmap_write_lock(cpu, oldmm).await;
    let vmas = cpu.read(&oldmm.vmas, Clone::clone).await;
    let mut copied = Ok(());
    for &vma in &vmas {
        if vma.flags(cpu).contains(VmFlags::DONTCOPY) {
            continue;
        }
        copied = dup_vma(cpu, mm, oldmm, vma).await;
        if copied.is_err() {
            break;
        }
    }
    // On every way out: entries of the parent may be write-protected already.
    if cpu.has(FORK_FLUSH) {
        flush_tlb_mm(cpu, oldmm).await;
    }
    copied
}

/// One round of `dup_mmap()`: the child's copy of a mapping, and of its pages.
async fn dup_vma<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, oldmm: &'m MmStruct, vma: Vma) -> Result<(), Errno> {
    // A fault that holds this mapping alone would work on entries that are being copied, and give the mapping an anon_vma
    // that its copy is not linked to.
    if cpu.has(FORK_LOCK_VMAS) {
        vma_start_write(cpu, oldmm, vma).await;
    }
    let new = vm_area_dup(cpu, mm, vma)?;
    let wiped = new.flags(cpu).contains(VmFlags::WIPEONFORK);
    new.set_anon_vma(cpu, None);
    // anon_vma_clone(): whoever walks the tree from a page to its entries must not miss those of the child, so he is waited for.
    let anon_vma = if cpu.walks_rmap() { Box::pin(anon_vma_lock_write(cpu, vma)).await } else { None };
    let linked = if wiped { Ok(()) } else { anon_vma_fork(cpu, (mm, new), (oldmm, vma)) };
    drop(anon_vma);
    if let Err(errno) = linked {
        remove_vma(cpu, mm, new).await;
        return Err(errno);
    }
    new.set_flags(cpu, new.flags(cpu) - VmFlags::LOCKED_MASK - VmFlags::UFFD);
    if new.file(cpu).is_some() {
        vma_link_file_of_many(cpu, mm, new).await;
    }
    vma_mark_attached(cpu, mm, new);
    mm.vmas.poke(cpu.core, |list| list.push(new));
    if wiped { Ok(()) } else { copy_page_range(cpu, (mm, new), (oldmm, vma)).await }
}

/// `vfork()`: a child that shares the address space of its parent. `wake_up_new_task` lets the child start, and is called in the
/// step in which the child has become a user of the address space. The parent sleeps until the first thread of the child,
/// which is `child`, has another address space or none.
///
/// # Errors
/// `EINVAL`, if the caller has no address space.
pub fn sys_vfork<'m>(
    cpu: Cpu<'m>,
    child: TaskId,
    wake_up_new_task: impl FnOnce(MmId) + 'm,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("kernel_clone"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        // copy_mm(), with CLONE_VM: mmget()
        cpu.rmw(mm.mm_users(), |users: u64| users + 1).await;
        let vfork_done = cpu.kernel.task_signal(child).vfork_done();
        // init_completion(), before the child can run. The word says that the parent waits.
        cpu.this_cpu_write(vfork_done, true);
        wake_up_new_task(mm.id);
        // wait_for_vfork_done()
        sleep_until_zero(cpu, vfork_done.loc()).await;
        Ok(())
    })
}

/// `mm_release()`: the task is about to leave its address space, so the parent that lent it may go on: `complete_vfork_done()`.
pub(crate) async fn mm_release(cpu: Cpu<'_>, task: TaskId) {
    let vfork_done = cpu.kernel.task_signal(task).vfork_done();
    // Only the parent sets it, and only before the task runs.
    if cpu.this_cpu_read(vfork_done) {
        cpu.store(vfork_done, false).await;
    }
}

/// A new task's first step into its address space: what `schedule_tail()` finds already loaded.
pub fn start_task_in<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) -> BoxFuture<'m, ()> {
    Box::pin(schedule_tail(cpu, mm))
}

async fn schedule_tail<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) {
    let _kernel = cpu.enter_kernel();
    let _irq = cpu.irq_save();
    if let Some(task) = cpu.task() {
        cpu.kernel.pkru_load(cpu.id, task);
    }
    switch_mm_irqs_off(cpu, Some(mm)).await;
}

/// `schedule()`, where a CPU has nothing more to run: the idle task has no address space, so the CPU becomes lazy. Where no
/// CPU is ever lazy, what is loaded stays loaded, and nobody asks.
pub fn schedule_idle(cpu: Cpu<'_>) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        if cpu.setting::<LazyTlb>() == LazyTlb::On {
            let _kernel = cpu.enter_kernel();
            let _irq = cpu.irq_save();
            switch_mm_irqs_off(cpu, None).await;
        }
    })
}

/// `schedule()`, by a task that sleeps until a word is zero. Its CPU has nothing to run, or switches to what it has.
pub(crate) async fn sleep_until_zero(cpu: Cpu<'_>, word: Loc) {
    schedule_idle(cpu).await;
    cpu.step(Op::new(OpKind::Wait, word).behind(Gate::Zero(word)).sleeping(), |_| ()).await;
    let current = cpu.current_mm();
    if cpu.is_lazy() || cpu.loaded_mm() != current.map(|mm| mm.id) {
        let _irq = cpu.irq_save();
        switch_mm_irqs_off(cpu, current).await;
    }
}

/// `get_task_mm()`: one more user of an address space; `None` if its last task has left it. Both are found out in the
/// present step, as if under `task_lock()`.
pub fn get_task_mm(cpu: Cpu<'_>, mm: MmId) -> Option<&MmStruct> {
    let mm = cpu.kernel.mm(mm);
    let users = mm.mm_users().loc();
    let is_used = cpu.core.memory.get(users) > 0;
    cpu.core.touch(users, is_used);
    if is_used {
        cpu.kernel.adopt(mm.id);
    }
    is_used.then_some(mm)
}

/// `mm_access()`: the address space of another process, which is `mm` when the function asks, with one more user. Who asks while
/// `leader`'s process gets another address space waits until it has that.
///
/// # Errors
/// `ESRCH`, if the process has no address space.
pub async fn mm_access<'m>(
    cpu: Cpu<'m>,
    leader: Option<TaskId>,
    mm: impl FnOnce() -> Option<MmId>,
) -> Result<&'m MmStruct, Errno> {
    // exec_update_lock. Only a process that can call exec() has one here.
    let group = leader.and_then(|leader| cpu.kernel.thread_group(leader));
    let _exec_update_lock = match group {
        Some(group) => Some(Box::pin(cpu.down_read(group.exec_update_lock())).await),
        None => None,
    };
    mm().and_then(|mm| get_task_mm(cpu, mm)).ok_or(Errno::Esrch)
}

/// `mmput()`: one user of an address space less; the last one tears it down.
pub fn put_task_mm<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) -> BoxFuture<'m, ()> {
    Box::pin(mmput(cpu, mm))
}

/// `mmput()`.
pub(crate) async fn mmput<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) {
    let _routine = cpu.enter("mmput");
    if cpu.rmw(mm.mm_users(), |users: u64| users - 1).await != 1 {
        return;
    }
    cpu.note(Event::MmExited { mm: mm.id });
    if cpu.kernel.has_ksm() {
        Box::pin(ksm_exit(cpu, mm)).await;
    }
    exit_mmap(cpu, mm).await;
    mm_put_huge_zero_page(cpu, mm).await;
    mmdrop(cpu, mm).await;
}
