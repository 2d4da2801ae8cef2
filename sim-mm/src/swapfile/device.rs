//! Who uses the slots of the swap area without having one: `get_swap_device()`.
//!
//! An entry of a page table that names a slot keeps the slot, but only as long as somebody keeps the entry. Who has read an entry, and
//! does not hold the lock of its table, holds the device instead.

use sim_core::{Op, OpKind};

use crate::kernel::Cpu;

/// `get_swap_device()`: the slots are not freed before the device is put. False if `swapoff()` is about to free them. Since v5.14 this is a
/// count of each CPU.
pub(crate) async fn get_swap_device(cpu: Cpu<'_>) -> bool {
    let swap = &cpu.kernel.swap;
    // percpu_ref_tryget_live()
    let op = Op::new(OpKind::Rmw, swap.users(cpu.id).loc());
    cpu.step(op, move |hw| {
        let memory = &hw.core.memory;
        let is_live = memory.get(swap.state.dying().loc()) == 0;
        let count = memory.get(op.loc);
        hw.perform_rmw(&op, count, count + u64::from(is_live));
        is_live
    })
    .await
}

/// `put_swap_device()`.
pub(crate) async fn put_swap_device(cpu: Cpu<'_>) {
    cpu.rmw(cpu.kernel.swap.users(cpu.id), |count: u64| count - 1).await;
}
