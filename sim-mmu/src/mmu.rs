//! The hardware of one machine.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use sim_core::{Array, Config, Core, CpuId, Loc, MemoryBuilder};

use crate::addr::{Level, Pfn, VirtAddr};
use crate::control::{Controls, Cr3};
use crate::entry::Entry;
use crate::event::Event;
use crate::geometry::Geometry;
use crate::invlpgb::Broadcast;
use crate::phys::PhysMem;
use crate::registers::Registers;
use crate::timing::{Account, CostTable, FiniteTlb, Profile, Timing};
use crate::tlb::{Caches, Policy};

/// The description from which an [`Mmu`] is made.
#[derive(Clone, Debug)]
pub struct Hardware {
    /// The shape of tables.
    pub geometry: Geometry,
    /// Frames of memory, from frame 0.
    pub frames: u64,
    /// Further frames, anywhere below MAXPHYADDR.
    pub elsewhere: Vec<Pfn>,
    /// The registers of every CPU at the start of the machine, and the kind of its processors.
    pub controls: Controls,
    /// What the caches keep, and what an access uses of it.
    pub policy: Policy,
    /// An erratum of some processors: while PCIDs are on, INVLPG leaves global translations where they are.
    pub invlpg_spares_global: bool,
    /// Whether the walk sets A and D. Every x86 processor does. Some other processors leave it to software.
    pub sets_flags: bool,
}

impl Hardware {
    /// A kernel's machine: 4-level paging, adversarial caches.
    pub fn new(geometry: Geometry, frames: u64) -> Hardware {
        Hardware {
            geometry,
            frames,
            elsewhere: Vec::new(),
            controls: Controls::default(),
            policy: Policy::ADVERSARIAL,
            invlpg_spares_global: false,
            sets_flags: true,
        }
    }
}

/// Physical memory and, for each CPU, translation caches and the registers that matter here.
pub struct Mmu {
    /// The machine below.
    pub core: Core,
    /// Memory.
    pub phys: PhysMem,
    /// The shape of tables.
    pub geometry: Geometry,
    /// What the caches keep.
    pub policy: Policy,
    pub(crate) invlpg_spares_global: bool,
    pub(crate) sets_flags: bool,
    /// What things cost while no profile is installed.
    pub costs: CostTable,
    pub(crate) timing: RefCell<Option<Rc<Timing>>>,
    pub(crate) cpus: Vec<CpuState>,
    pub(crate) registers: Array<Registers>,
    /// One place for the caches of each CPU: a step of the CPU looks at it, and another CPU that changes the caches writes it.
    pub(crate) caches: Loc,
    pub(crate) next_id: Cell<u32>,
    /// INVLPGBs that no TLBSYNC has waited for yet.
    pub(crate) pending_broadcasts: RefCell<Vec<Broadcast>>,
    /// The addresses for which the processors may walk on speculation. As a rule there are none.
    pub(crate) speculated: RefCell<Vec<VirtAddr>>,
    pub(crate) observer: RefCell<Option<Rc<dyn Observer>>>,
    boot: Controls,
}

/// A CPU as the code that runs on it sees it, with paging.
#[derive(Clone, Copy)]
pub struct Cpu<'m> {
    /// The hardware that it is part of.
    pub mmu: &'m Mmu,
    core: sim_core::Cpu<'m>,
}

impl<'m> Cpu<'m> {
    /// CPU `id` of a machine.
    pub fn new(mmu: &'m Mmu, id: sim_core::CpuId) -> Cpu<'m> {
        Cpu { mmu, core: sim_core::Cpu { core: &mmu.core, id } }
    }
}

impl<'m> Deref for Cpu<'m> {
    type Target = sim_core::Cpu<'m>;
    fn deref(&self) -> &Self::Target {
        &self.core
    }
}

/// The one who watches the hardware.
pub trait Observer {
    /// An event, at the moment it happens, caused by `cpu`.
    fn hardware(&self, cpu: Cpu<'_>, event: &Event);
}

/// What only the CPU itself can see.
#[derive(Debug)]
pub(crate) struct CpuState {
    pub(crate) controls: Cell<Controls>,
    pub(crate) caches: RefCell<Caches>,
}

impl Mmu {
    /// The hardware. `memory` may hold other words already.
    pub fn new(mut memory: MemoryBuilder, config: Config, hardware: Hardware) -> Mmu {
        let Hardware { geometry, frames, elsewhere, controls, policy, invlpg_spares_global, sets_flags } =
            hardware;
        let costs = CostTable::default();
        let phys = PhysMem::new(&mut memory, frames, elsewhere, geometry.most_entries());
        let registers = memory.array("cpu", config.cpus);
        let core = Core::new(memory.build(), Config { cycles: costs.ops, ..config });
        let caches = core.reserve_places(config.cpus);
        phys.reset(&core);
        let cpu = |_| CpuState { controls: Cell::new(controls), caches: RefCell::default() };
        Mmu {
            core,
            phys,
            geometry,
            policy,
            invlpg_spares_global,
            sets_flags,
            costs,
            timing: RefCell::new(None),
            cpus: (0..config.cpus).map(cpu).collect(),
            registers,
            caches,
            next_id: Cell::new(0),
            pending_broadcasts: RefCell::default(),
            speculated: RefCell::default(),
            observer: RefCell::new(None),
            boot: controls,
        }
    }

    /// Sends every event to `observer`.
    pub fn set_observer(&self, observer: Option<Rc<dyn Observer>>) {
        self.observer.replace(observer);
    }

    /// Installs the cycle model of a processor, or takes it away. It is called between runs. Afterwards clocks and
    /// caches are as at the start of a run. Under [`Policy::Profile`] the TLB of the processor is used. The other
    /// policies keep their own caches, and pay the costs of the processor.
    pub fn set_profile(&self, profile: Option<Rc<Profile>>) {
        for cpu in &self.cpus {
            let profile = profile.as_ref().filter(|_| self.policy == Policy::Profile);
            let finite = profile.map(|profile| FiniteTlb::new(profile, self.geometry));
            cpu.caches.borrow_mut().set_finite(finite);
        }
        let timing = profile
            .map(|profile| Rc::new(Timing::new(profile, self.phys.clone(), self.registers, self.cpus.len())));
        self.core.set_costs(timing.clone().map(|timing| timing as Rc<dyn sim_core::Costs>));
        self.timing.replace(timing);
    }

    /// The processor whose cycle model is installed.
    pub fn profile(&self) -> Option<Rc<Profile>> {
        self.timing.borrow().as_ref().map(|timing| timing.profile.clone())
    }

    /// What the cycles of a CPU were spent on in this run. Their sum is [`sim_core::Machine::cycles`]. `None` without a
    /// profile.
    pub fn account(&self, cpu: CpuId) -> Option<Account> {
        self.timing.borrow().as_ref().map(|timing| timing.account(cpu))
    }

    /// From now on every CPU may at any time walk for these addresses, even if nobody accesses them.
    pub fn speculate_for(&self, addresses: Vec<VirtAddr>) {
        self.speculated.replace(addresses);
    }

    /// Goes back to the checkpoint. At a checkpoint nothing is cached, and the registers are as at the start.
    pub fn rewind(&self) {
        self.core.rewind();
        for cpu in &self.cpus {
            cpu.caches.borrow_mut().clear();
            cpu.controls.set(self.boot);
        }
        self.pending_broadcasts.borrow_mut().clear();
        self.next_id.set(0);
    }

    /// CR3 of a CPU.
    #[inline]
    pub fn cr3(&self, cpu: CpuId) -> Cr3 {
        Cr3(self.core.memory.get(self.cr3_loc(cpu)))
    }

    /// An entry as it is in memory, without an access.
    #[inline]
    pub fn entry_now(&self, table: Pfn, index: u32) -> Entry {
        Entry(self.core.memory.get(self.phys.word(table, index)))
    }

    /// The lowest entry to which the four levels of tables under `root` lead for an address. It is read from memory as it is
    /// now, without an access. The answer is the table, the level and the entry. The entry maps a page, or it leads nowhere.
    pub fn lowest_under(&self, root: Pfn, va: VirtAddr) -> (Pfn, Level, Entry) {
        let (mut table, mut level) = (root, Level::P4d);
        loop {
            let entry = self.entry_now(table, self.geometry.index(va, level));
            match level.next() {
                Some(below) if entry.is_present() && !entry.has(Entry::PAGE_SIZE) => {
                    (table, level) = (entry.pfn(), below);
                }
                _ => return (table, level, entry),
            }
        }
    }

    /// The table of a level on the way to an address under `root`. The entries of four levels are read from memory as they are
    /// now, without an access. `None`, if the way ends above that level.
    pub fn table_under(&self, root: Pfn, va: VirtAddr, wanted: Level) -> Option<Pfn> {
        let (mut table, mut level) = (root, Level::P4d);
        while level != wanted {
            let entry = self.entry_now(table, self.geometry.index(va, level));
            if !entry.is_present() || entry.has(Entry::PAGE_SIZE) {
                return None;
            }
            (table, level) = (entry.pfn(), level.next()?);
        }
        Some(table)
    }

    /// The address whose PTE has this place in `table`, if `root` leads to the table. All tables are searched.
    pub fn address_of(&self, root: Pfn, table: Pfn, index: u32) -> Option<VirtAddr> {
        self.below(root, Level::P4d, VirtAddr(0), table)
            .map(|base| VirtAddr(base.0 + u64::from(index) * self.geometry.span(Level::Pte)))
    }

    /// The first address of page table `wanted`, as far as it is below `table`, whose first address is `base`.
    fn below(&self, table: Pfn, level: Level, base: VirtAddr, wanted: Pfn) -> Option<VirtAddr> {
        (0..self.geometry.entries(level)).find_map(|index| {
            let entry = self.entry_now(table, index);
            let base = VirtAddr(base.0 + u64::from(index) * self.geometry.span(level));
            let next = level.next().filter(|_| entry.is_present() && !entry.has(Entry::PAGE_SIZE))?;
            match next {
                Level::Pte => (entry.pfn() == wanted).then_some(base),
                _ => self.below(entry.pfn(), next, base, wanted),
            }
        })
    }

    /// The frame behind an address under `root`. The entries of four levels are read from memory as they are now, without
    /// an access.
    pub fn frame_under(&self, root: Pfn, va: VirtAddr) -> Option<Pfn> {
        let (_, level, entry) = self.lowest_under(root, va);
        let within = (1 << self.geometry.order(level)) - 1;
        entry.is_present().then(|| Pfn(entry.pfn().0 & !within | va.vpn().0 & within))
    }

    pub(crate) fn cr3_loc(&self, cpu: CpuId) -> Loc {
        self.registers.at(cpu.index()).cr3().loc()
    }

    pub(crate) fn irr_loc(&self, cpu: CpuId) -> Loc {
        self.registers.at(cpu.index()).irr().loc()
    }

    /// Loads CR3 without cost or flush. It sets the state in which a machine starts.
    pub fn preset_cr3(&self, cpu: CpuId, value: Cr3) {
        self.core.memory.set(self.cr3_loc(cpu), value.0);
    }
}
