//! The local APIC: interrupts from one CPU to another.

use sim_core::{CpuId, Op, OpKind, Vector};

use crate::mmu::Cpu;
use crate::timing::Spent;

impl<'m> Cpu<'m> {
    /// Writes the interrupt command register: `vector` becomes pending on `target`, which takes it
    /// between two accesses once its interrupt flag is set. Fixed delivery, physical destination.
    ///
    /// The kernel puts a fence before an x2APIC write, so the send waits for the store buffer.
    #[track_caller]
    pub fn send_ipi(self, target: CpuId, vector: Vector) -> impl Future<Output = ()> + use<'m> {
        let op = Op::new(OpKind::Rmw, self.mmu.irr_loc(target));
        self.step(op, move |cpu| {
            let requests = cpu.core.memory.get(op.loc);
            cpu.perform_rmw(&op, requests, requests + 1);
            self.spend_on(Spent::IpiSend);
            cpu.raise(target, vector);
        })
    }
}
