//! Calling functions on other CPUs: `kernel/smp.c`.

use sim_core::{Array, CpuId, Gate, Loc, MemoryBuilder, Routine, Shared, Vector, record};
use sim_mmu::VirtAddr;

use crate::arch::tlb::flush_tlb_func_remote;
use crate::cpu::Cpu;
use crate::mm_types::MmId;
use crate::safeguards::FLUSH_WAITS;

/// `CALL_FUNCTION_VECTOR`.
pub(crate) const CALL_FUNCTION_VECTOR: Vector = Vector(30);

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `tlb_remove_table_smp_sync()`: nothing.
    Nothing,
    /// `flush_tlb_func_remote()`.
    Flush(FlushTlbInfo),
}

/// `struct flush_tlb_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlushTlbInfo {
    pub(crate) mm: MmId,
    pub(crate) start: VirtAddr,
    pub(crate) end: VirtAddr,
    pub(crate) new_tlb_gen: u64,
}

record! {
    /// What a CPU asks of others, under the protection of the csds of that call.
    struct CallInfo {
        /// Zero for [`Call::Nothing`], one for [`Call::Flush`].
        kind: Shared<u64> = "func";
        mm: Shared<u8> = "mm";
        start: Shared<VirtAddr> = "start";
        end: Shared<VirtAddr> = "end";
        new_tlb_gen: Shared<u64> = "new_tlb_gen";
    }
}

/// The words of function calls between CPUs.
///
/// `call_single_queue` of a CPU holds a bit for each CPU that wants something of it; `csd` of a pair
/// is set while the call is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallFunction {
    queues: Loc,
    csds: Loc,
    calls: Array<CallInfo>,
    cpus: u32,
}

impl CallFunction {
    pub(crate) fn new(memory: &mut MemoryBuilder, cpus: usize) -> CallFunction {
        CallFunction {
            queues: memory.words("call_single_queue", cpus),
            csds: memory.words("csd", cpus * cpus),
            calls: memory.array("call_info", cpus),
            cpus: cpus as u32,
        }
    }

    fn queue(&self, target: CpuId) -> Shared<u64> {
        Shared::at(self.queues.offset(u32::from(target.0)))
    }

    fn csd(&self, sender: CpuId, target: CpuId) -> Shared<u64> {
        Shared::at(self.csds.offset(u32::from(sender.0) * self.cpus + u32::from(target.0)))
    }

    fn write(&self, cpu: Cpu<'_>, call: Call) {
        let words = self.calls.at(cpu.id.index());
        match call {
            Call::Nothing => cpu.this_cpu_write(words.kind(), 0),
            Call::Flush(info) => {
                cpu.this_cpu_write(words.kind(), 1);
                cpu.this_cpu_write(words.mm(), info.mm.0);
                cpu.this_cpu_write(words.start(), info.start);
                cpu.this_cpu_write(words.end(), info.end);
                cpu.this_cpu_write(words.new_tlb_gen(), info.new_tlb_gen);
            }
        }
    }

    fn read(&self, cpu: Cpu<'_>, sender: CpuId) -> Call {
        let words = self.calls.at(sender.index());
        match cpu.this_cpu_read(words.kind()) {
            0 => Call::Nothing,
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

/// `generic_smp_call_function_interrupt()`: the handler of [`CALL_FUNCTION_VECTOR`].
pub(crate) async fn flush_smp_call_function_queue(cpu: Cpu<'_>) {
    let _routine = cpu.enter(Routine::interrupt("flush_smp_call_function_queue"));
    let function = cpu.kernel.call_function;
    let senders = cpu.xchg(function.queue(cpu.id), 0).await;
    for sender in CpuId::all(64).filter(|id| senders & 1 << id.0 != 0) {
        match function.read(cpu, sender) {
            Call::Nothing => {}
            Call::Flush(info) => flush_tlb_func_remote(cpu, info).await,
        }
        // csd_unlock()
        cpu.store(function.csd(sender, cpu.id), 0).await;
    }
}
