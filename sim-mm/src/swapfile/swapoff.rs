//! `swapoff()`: the swap area goes.

use sim_core::{BoxFuture, CpuId, Gate, Op, OpKind, Routine};

use super::unuse::try_to_unuse;
use crate::errno::Errno;
use crate::event::Event;
use crate::kernel::Cpu;
use crate::rcu::synchronize_rcu;

/// `swapoff()`: no page gets a slot from now on, what is in swap comes back, and then the area is freed.
///
/// # Errors
/// `EINVAL` if there is no swap area, or somebody else is at it; `ENOMEM` if no frame is free for what has to come back. Then the area is
/// as it was.
pub fn sys_swapoff(cpu: Cpu<'_>) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("swapoff"));
        let closed = cpu.kernel.swap.state.closed();
        if !cpu.has_swap() || cpu.rmw(closed, |_| true).await {
            return Err(Errno::Einval);
        }
        if let Err(errno) = try_to_unuse(cpu).await {
            // reinsert_swap_info()
            cpu.store(closed, false).await;
            return Err(errno);
        }
        wait_for_users(cpu).await;
        free_slots(cpu).await;
        Ok(())
    })
}

/// Waits for those who use slots that they do not have: `percpu_ref_kill()`, `synchronize_rcu()`, `wait_for_completion()`.
async fn wait_for_users(cpu: Cpu<'_>) {
    let swap = &cpu.kernel.swap;
    cpu.store(swap.state.dying(), true).await;
    // Whoever has disabled preemption, or holds a spin lock, is waited for as well.
    synchronize_rcu(cpu).await;
    for other in CpuId::all(cpu.kernel.config.cpus) {
        let users = swap.users(other).loc();
        cpu.step(Op::new(OpKind::Wait, users).behind(Gate::Zero(users)).sleeping(), |_| ()).await;
    }
}

/// `vfree(swap_map)`, `exit_swap_address_space()`.
async fn free_slots(cpu: Cpu<'_>) {
    let swap = &cpu.kernel.swap;
    let op = Op::new(OpKind::Rmw, swap.lock);
    cpu.step(op, move |hw| {
        hw.perform_rmw(&op, hw.core.memory.get(op.loc), 0);
        for first in swap.free(hw.core) {
            cpu.note(Event::ObjectFreed { first });
        }
    })
    .await;
}
