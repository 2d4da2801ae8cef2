//! Calling functions on other CPUs: `kernel/smp.c`.

use sim_core::{CpuId, Gate, Routine, Vector};
use sim_mmu::VirtAddr;

use crate::arch::tlbflush::FlushTlbInfo;
use crate::kernel::Cpu;
use crate::mm_types::MmId;
use crate::safeguards::FLUSH_WAITS;
use crate::smp_types::CallFunction;

/// `CALL_FUNCTION_VECTOR`.
pub(crate) const CALL_FUNCTION_VECTOR: Vector = Vector(30);

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `tlb_remove_table_smp_sync()`: nothing.
    Nothing,
    /// `flush_tlb_func_remote()`.
    Flush(FlushTlbInfo),
    /// `flush_tlb_func()` for no address space in particular.
    FlushLoaded,
    /// `do_kernel_range_flush()` of one page: INVLPG. And for tests of the hardware.
    Invlpg(VirtAddr),
}

impl CallFunction {
    fn write(&self, cpu: Cpu<'_>, call: Call) {
        let words = self.calls.at(cpu.id.index());
        match call {
            Call::Nothing => cpu.this_cpu_write(words.kind(), 0),
            Call::FlushLoaded => cpu.this_cpu_write(words.kind(), 3),
            Call::Invlpg(va) => {
                cpu.this_cpu_write(words.kind(), 2);
                cpu.this_cpu_write(words.start(), va);
            }
            Call::Flush(info) => {
                cpu.this_cpu_write(words.kind(), 1);
                cpu.this_cpu_write(words.mm(), info.mm.0);
                cpu.this_cpu_write(words.start(), info.start);
                cpu.this_cpu_write(words.end(), info.end);
                cpu.this_cpu_write(words.new_tlb_gen(), info.new_tlb_gen);
            }
        }
    }

    pub(crate) fn read(&self, cpu: Cpu<'_>, sender: CpuId) -> Call {
        let words = self.calls.at(sender.index());
        match cpu.this_cpu_read(words.kind()) {
            0 => Call::Nothing,
            3 => Call::FlushLoaded,
            2 => Call::Invlpg(cpu.this_cpu_read(words.start())),
            _ => Call::Flush(FlushTlbInfo {
                mm: MmId(cpu.this_cpu_read(words.mm())),
                start: cpu.this_cpu_read(words.start()),
                end: cpu.this_cpu_read(words.end()),
                new_tlb_gen: cpu.this_cpu_read(words.new_tlb_gen()),
            }),
        }
    }
}

/// `smp_call_function_many(mask, call, wait = 1)`: interrupts the CPUs of `mask` but this one, and
/// returns when all have run the call. Interrupts must be on, or two callers could wait for each other.
pub(crate) async fn smp_call_function_many(cpu: Cpu<'_>, mask: u64, call: Call) {
    let _routine = cpu.enter(Routine::helper("smp_call_function_many"));
    let _preempt = cpu.preempt_disable();
    let function = cpu.kernel.call_function;
    let others = |id: &CpuId| *id != cpu.id && mask & 1 << id.0 != 0;
    let cpus = cpu.mmu.core.config.cpus;
    if !CpuId::all(cpus).any(|id| others(&id)) {
        return;
    }
    function.write(cpu, call);
    let mut interrupt = 0_u64;
    let waits = cpu.has(FLUSH_WAITS);
    for target in CpuId::all(cpus).filter(others) {
        // csd_lock(): free already, unless an earlier call did not wait.
        if !waits {
            cpu.wait(Gate::Zero(function.csd(cpu.id, target).loc())).await;
        }
        cpu.store(function.csd(cpu.id, target), 1).await;
        // llist_add(): true if the queue was empty, else somebody's interrupt is on its way already.
        let bit = 1 << cpu.id.0;
        if cpu.rmw(function.queue(target), move |queue| queue | bit).await == 0 {
            interrupt |= 1 << target.0;
        }
    }
    for target in CpuId::all(cpus).filter(|id| interrupt & 1 << id.0 != 0) {
        cpu.send_ipi(target, CALL_FUNCTION_VECTOR).await;
    }
    for target in CpuId::all(cpus).filter(|id| waits && others(id)) {
        cpu.wait(Gate::Zero(function.csd(cpu.id, target).loc())).await;
    }
}

/// `smp_call_function()`: on every other CPU.
pub(crate) async fn smp_call_function(cpu: Cpu<'_>, call: Call) {
    smp_call_function_many(cpu, u64::MAX, call).await;
}
