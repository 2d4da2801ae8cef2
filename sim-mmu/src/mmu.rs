//! The hardware of one machine.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sim_core::{Config, Core, Loc, MemoryBuilder};

use crate::addr::Pfn;
use crate::cycles::CostTable;
use crate::event::Observer;
use crate::geometry::Geometry;
use crate::phys::PhysMem;
use crate::tlb::Tlb;

/// Physical memory and, for each CPU, a TLB and the registers that matter here.
pub struct Mmu {
    /// The machine below.
    pub core: Core,
    /// Memory.
    pub phys: PhysMem,
    /// The shape of tables.
    pub geometry: Geometry,
    /// What things cost.
    pub costs: CostTable,
    pub(crate) tlbs: Vec<RefCell<Tlb>>,
    pub(crate) registers: Loc,
    pub(crate) next_id: Cell<u32>,
    pub(crate) observer: RefCell<Option<Rc<dyn Observer>>>,
}

/// The words of a CPU: the frame that CR3 names, and the interrupt request register.
pub(crate) const REGISTERS: &[&str] = &["cr3", "irr"];

impl Mmu {
    /// Hardware with `frames` frames of memory. `memory` may hold other words already.
    pub fn new(mut memory: MemoryBuilder, config: Config, geometry: Geometry, frames: u64) -> Mmu {
        let costs = CostTable::default();
        let phys = PhysMem::new(&mut memory, frames, geometry.entries());
        let registers = memory.records("cpu", config.cpus, REGISTERS);
        let core = Core::new(memory.build(), Config { cycles: costs.ops, ..config });
        phys.reset(&core);
        let tlbs = (0..config.cpus).map(|_| RefCell::default()).collect();
        let observer = RefCell::new(None);
        Mmu { core, phys, geometry, costs, tlbs, registers, next_id: Cell::new(0), observer }
    }

    /// Sends every event to `observer`.
    pub fn set_observer(&self, observer: Option<Rc<dyn Observer>>) {
        self.observer.replace(observer);
    }

    /// Back to the checkpoint. At a checkpoint every TLB is empty.
    pub fn rewind(&self) {
        self.core.rewind();
        for tlb in &self.tlbs {
            tlb.borrow_mut().clear();
        }
        self.next_id.set(0);
    }

    /// The root that a CPU has loaded.
    pub fn cr3(&self, cpu: sim_core::CpuId) -> Pfn {
        Pfn(self.core.memory.get(self.cr3_loc(cpu)))
    }

    pub(crate) fn cr3_loc(&self, cpu: sim_core::CpuId) -> Loc {
        self.registers.offset(u32::from(cpu.0) * REGISTERS.len() as u32)
    }

    pub(crate) fn irr_loc(&self, cpu: sim_core::CpuId) -> Loc {
        self.cr3_loc(cpu).offset(1)
    }

    /// Loads a root without cost or flush: the state at which a machine starts.
    pub fn preset_cr3(&self, cpu: sim_core::CpuId, root: Pfn) {
        self.core.memory.set(self.cr3_loc(cpu), root.0);
    }
}
