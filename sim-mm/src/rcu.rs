//! `call_rcu()`: the things that are freed after a grace period. `rcu_batch.rs` frees them.

use sim_core::{Gate, Op, OpKind, Ref, Shared, TaskId, Vector, Word};
use sim_mmu::Pfn;

use crate::kernel::Cpu;
use crate::mm_types::Vma;

/// The interrupt in which a CPU's callbacks run.
pub(crate) const RCU_VECTOR: Vector = Vector(1);

/// `struct rcu_head`: what a callback is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callback {
    /// `tlb_remove_table_rcu()`: a page table goes.
    Table(Pfn),
    /// `vm_area_free_rcu_cb()`: a mapping goes.
    Vma(Vma),
    /// `wakeme_after_rcu()`: a task that waits for the grace period goes on.
    Wakeme(TaskId),
}

/// Set in the token of a mapping; frame numbers are smaller.
const IS_VMA: u64 = 1 << 63;
/// Set in the token of a task.
const IS_TASK: u64 = 1 << 62;

impl Callback {
    fn into_token(self) -> u64 {
        match self {
            Callback::Table(table) => table.0,
            Callback::Vma(vma) => Some(vma.0).into_word() | IS_VMA,
            Callback::Wakeme(task) => u64::from(task.0) | IS_TASK,
        }
    }

    pub(crate) fn from_token(token: u64) -> Callback {
        match Option::<Ref<_>>::from_word(token & !IS_VMA).filter(|_| token & IS_VMA != 0) {
            Some(vma) => Callback::Vma(Vma(vma)),
            None if token & IS_TASK != 0 => Callback::Wakeme(TaskId((token & !IS_TASK) as u8)),
            None => Callback::Table(Pfn(token)),
        }
    }
}

/// Queues a callback on this CPU, as a part of the present step. The lists of callbacks are one location.
pub(crate) fn call_rcu(cpu: Cpu<'_>, callback: Callback) {
    let queued = cpu.this_cpu_read(cpu.kernel.rcu_queue);
    cpu.this_cpu_write(cpu.kernel.rcu_queue, queued + 1);
    cpu.core.rcu.call(cpu.id, callback.into_token());
}

/// `synchronize_rcu()`: waits for a grace period.
pub(crate) async fn synchronize_rcu(cpu: Cpu<'_>) {
    let _routine = cpu.enter("synchronize_rcu");
    let Some(task) = cpu.task() else { return };
    let synced = cpu.kernel.task_synced(task);
    cpu.this_cpu_write(Shared::<bool>::at(synced), false);
    cpu.rmw(cpu.kernel.rcu_queue, |queued: u64| queued + 1).await;
    cpu.core.rcu.call(cpu.id, Callback::Wakeme(task).into_token());
    cpu.step(Op::new(OpKind::Wait, synced).behind(Gate::NonZero(synced)).sleeping(), |_| ()).await;
}

/// Queues tables on this CPU: `call_rcu(&batch->rcu, tlb_remove_table_rcu)`, `call_rcu_sched()` before v4.20.
pub(crate) async fn call_rcu_tables(cpu: Cpu<'_>, tables: &[Pfn]) {
    let _routine = cpu.enter("call_rcu_sched");
    cpu.rmw(cpu.kernel.rcu_queue, |queued: u64| queued + 1).await;
    for table in tables {
        cpu.core.rcu.call(cpu.id, Callback::Table(*table).into_token());
    }
}
