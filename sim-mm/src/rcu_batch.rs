//! `rcu_do_batch()`: the callbacks whose grace period is over.

use sim_core::Shared;

use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::put_page;
use crate::rcu::Callback;
use crate::vma::__vm_area_free;

/// Runs this CPU's callbacks that are due.
pub(crate) async fn rcu_do_batch(cpu: Cpu<'_>) {
    let _routine = cpu.enter("rcu_do_batch");
    for callback in cpu.core.rcu.take_done(cpu.id) {
        match Callback::from_token(callback.token) {
            // tlb_remove_table_rcu(): no lockless walker can still be inside.
            Callback::Table(table) => put_page(cpu, Page(table)).await,
            // vm_area_free_rcu_cb()
            Callback::Vma(vma) => __vm_area_free(cpu, vma),
            Callback::Wakeme(task) => cpu.store(Shared::at(cpu.kernel.task_synced(task)), true).await,
        }
    }
}
