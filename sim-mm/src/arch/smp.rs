//! `arch/x86/kernel/smp.c`: the handler of the interrupt by which CPUs call one another.

use sim_core::{CpuId, Routine};

use crate::arch::tlb::{flush_tlb_all_of_loaded, flush_tlb_func_remote};
use crate::kernel::Cpu;
use crate::smp::Call;

/// `generic_smp_call_function_interrupt()`: the handler of [`CALL_FUNCTION_VECTOR`](crate::smp::CALL_FUNCTION_VECTOR).
pub(crate) async fn flush_smp_call_function_queue(cpu: Cpu<'_>) {
    let _routine = cpu.enter(Routine::interrupt("flush_smp_call_function_queue"));
    let function = cpu.kernel.call_function;
    let senders = cpu.xchg(function.queue(cpu.id), 0).await;
    for sender in CpuId::all(cpu.kernel.config.cpus).filter(|id| senders & 1 << id.0 != 0) {
        match function.read(cpu, sender) {
            Call::Nothing => {}
            Call::Invlpg(va) => cpu.invlpg(va).await,
            Call::FlushLoaded => flush_tlb_all_of_loaded(cpu).await,
            Call::Flush(info) => flush_tlb_func_remote(cpu, info).await,
        }
        // csd_unlock()
        cpu.store(function.csd(sender, cpu.id), 0).await;
    }
}
