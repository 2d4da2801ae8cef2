//! What each invalidating instruction drops (SDM 4.10.4.1). The only place that knows.

use std::ops::Range;

use sim_core::{Gate, Op, OpKind};

use crate::addr::{Pfn, VirtAddr, Vpn};
use crate::cpu::Cpu;
use crate::event::Event;

impl<'m> Cpu<'m> {
    /// INVLPG: this CPU's translations of the page, under any root (global or not; PCIDs are not
    /// modelled). Serialising.
    #[track_caller]
    pub fn invlpg(self, va: VirtAddr) -> impl Future<Output = ()> + use<'m> {
        let op = Op::new(OpKind::Serialize, self.mmu.registers);
        self.step(local(op), move |_| {
            self.mmu.tlbs[self.id.index()].borrow_mut().drop_where(|entry| entry.vpn == va.vpn());
            self.report(Event::Invalidated { target: self.id, page: Some(va) });
        })
    }

    /// MOV to CR3 with CR4.PCIDE = 0: loads a root and drops every translation of this CPU that is
    /// not global. Serialising; under TSO it waits for the store buffer.
    #[track_caller]
    pub fn write_cr3(self, root: Pfn) -> impl Future<Output = ()> + use<'m> {
        let op = Op::new(OpKind::Serialize, self.mmu.cr3_loc(self.id));
        self.step(op, move |cpu| {
            let old = cpu.core.memory.get(op.loc);
            cpu.perform_rmw(&op, old, root.0);
            self.mmu.tlbs[self.id.index()].borrow_mut().clear();
            self.report(Event::Invalidated { target: self.id, page: None });
        })
    }

    /// INVLPGB over a range with TLBSYNC behind it, or a hypervisor's flush: translations of the
    /// range under `root` go from every CPU, whether it takes interrupts or not. Accesses that
    /// retired before it are in memory when it completes.
    #[track_caller]
    pub fn broadcast_invalidate(self, root: Pfn, range: Range<Vpn>) -> impl Future<Output = ()> + use<'m> {
        let op = Op::new(OpKind::Serialize, self.mmu.registers).behind(Gate::AllDrained);
        self.step(op, move |_| {
            for target in sim_core::CpuId::all(self.mmu.tlbs.len()) {
                let matches = |e: &crate::tlb::Translation| e.root == root && range.contains(&e.vpn);
                let mut tlb = self.mmu.tlbs[target.index()].borrow_mut();
                tlb.broadcasts += 1;
                if tlb.drop_where(matches) {
                    self.report(Event::Invalidated { target, page: Some(range.start.base()) });
                }
            }
        })
    }
}

/// An instruction that touches no word that another CPU could.
fn local(op: Op) -> Op {
    Op { loc: sim_core::Loc::NONE, ..op }
}
