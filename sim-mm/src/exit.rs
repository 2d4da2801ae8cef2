//! The end of a task: `kernel/exit.c`.

use sim_core::{BoxFuture, Routine, TaskId};

use crate::arch::tlb::switch_mm_irqs_off;
use crate::fork::{mm_release, mmput};
use crate::kernel::Cpu;

/// `do_exit()`: the task leaves its address space, and then its process.
pub fn do_exit(cpu: Cpu<'_>, task: TaskId) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        Box::pin(exit_mm(cpu, task)).await;
        // Who waits for the thread to end goes on when its address space has one user less.
        exit_signal(cpu, task).await;
    })
}

/// `exit_mm()`: the task leaves its address space; the last one tears it down.
async fn exit_mm(cpu: Cpu<'_>, task: TaskId) {
    let _routine = cpu.enter(Routine::system_call("exit_mm"));
    let Some(mm) = cpu.current_mm() else { return };
    mm_release(cpu, task).await;
    cpu.kernel.set_task_mm(task, None);
    {
        let _irq = cpu.irq_save();
        switch_mm_irqs_off(cpu, None).await;
    }
    mmput(cpu, mm).await;
}

/// `__exit_signal()`: the process has one thread less. The last one that had to die wakes up who calls `exec()`.
async fn exit_signal(cpu: Cpu<'_>, task: TaskId) {
    let Some(group) = cpu.kernel.thread_group(task) else { return };
    let _siglock = cpu.lock(group.siglock()).await;
    cpu.this_cpu_write(group.nr_threads(), cpu.this_cpu_read(group.nr_threads()) - 1);
    let left = cpu.this_cpu_read(group.notify_count());
    if left > 0 {
        cpu.store(group.notify_count(), left - 1).await;
    }
}
