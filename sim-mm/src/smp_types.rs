//! `include/linux/smp_types.h`: the words by which CPUs call one another.

use sim_core::{Array, CpuId, Loc, MemoryBuilder, Shared, record};
use sim_mmu::VirtAddr;

record! {
    /// What a CPU asks of others, under the protection of the csds of that call.
    pub(crate) struct CallInfo {
        /// Zero for `Call::Nothing`, one for `Call::Flush`, two for `Call::Invlpg`, three for `Call::FlushLoaded`.
        pub(crate) kind: Shared<u64> = "func";
        pub(crate) mm: Shared<u8> = "mm";
        pub(crate) start: Shared<VirtAddr> = "start";
        pub(crate) end: Shared<VirtAddr> = "end";
        pub(crate) new_tlb_gen: Shared<u64> = "new_tlb_gen";
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
    pub(crate) calls: Array<CallInfo>,
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

    pub(crate) fn queue(&self, target: CpuId) -> Shared<u64> {
        Shared::at(self.queues.offset(u32::from(target.0)))
    }

    pub(crate) fn csd(&self, sender: CpuId, target: CpuId) -> Shared<u64> {
        Shared::at(self.csds.offset(u32::from(sender.0) * self.cpus + u32::from(target.0)))
    }
}
