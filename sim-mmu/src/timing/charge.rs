//! What each operation costs, and to whose account it is charged.

use std::cell::RefCell;
use std::rc::Rc;

use sim_core::{Array, Core, Costs, CpuId, Loc, Op, OpKind};

use crate::phys::PhysMem;
use crate::registers::Registers;
use crate::timing::hierarchy::{Hierarchy, Line};
use crate::timing::{Account, Profile, Spent};

/// The cycle model of one machine.
#[derive(Debug)]
pub(crate) struct Timing {
    pub(crate) profile: Rc<Profile>,
    caches: RefCell<Hierarchy>,
    accounts: Vec<RefCell<Account>>,
    phys: PhysMem,
    /// The words that stand for registers, of `cpus` CPUs: no cache holds them.
    registers: Array<Registers>,
}

impl Timing {
    pub(crate) fn new(profile: Rc<Profile>, phys: PhysMem, registers: Array<Registers>, cpus: usize) -> Timing {
        Timing {
            caches: RefCell::new(Hierarchy::new(profile.data, cpus)),
            accounts: (0..cpus).map(|_| RefCell::default()).collect(),
            profile,
            phys,
            registers,
        }
    }

    pub(crate) fn account(&self, cpu: CpuId) -> Account {
        self.accounts[cpu.index()].borrow().clone()
    }

    /// Adds cycles to the account of a CPU, and answers them.
    pub(super) fn put(&self, cpu: CpuId, what: Spent, cycles: u64) -> u64 {
        self.accounts[cpu.index()].borrow_mut().add(what, cycles);
        cycles
    }

    /// What an instruction or an event costs beyond the memory that it touches.
    pub(super) fn price(&self, what: Spent) -> u64 {
        let latency = &self.profile.latency;
        match what {
            Spent::Store => latency.store,
            Spent::Atomic => latency.atomic,
            Spent::TlbL2 | Spent::TlbMiss => self.profile.tlb.second_cycles,
            Spent::Exception => latency.exception + latency.exception_return,
            Spent::IpiSend => latency.ipi_send,
            Spent::Invlpg => latency.invlpg,
            Spent::Invpcid => latency.invpcid,
            Spent::Cr3 => latency.mov_cr3,
            // On a processor without the instruction, a hypervisor is called and does the rest.
            Spent::Invlpgb => self
                .profile
                .broadcasts
                .map_or(latency.exception + latency.exception_return, |broadcasts| broadcasts.invlpgb),
            Spent::Tlbsync => self.profile.broadcasts.map_or(0, |broadcasts| broadcasts.tlbsync),
            Spent::Serialising => latency.serialising,
            what => unreachable!("{} has no price of its own", what.name()),
        }
    }

    fn is_register(&self, loc: Loc) -> bool {
        loc == Loc::NONE || self.phys.is_bus(loc) || self.registers.index_of(loc).is_some()
    }

    /// The line of a word. A record that lies in no physical memory begins a line of its own, as the hot structures of the
    /// kernel do. So no two such records share a line.
    fn line(&self, core: &Core, loc: Loc) -> Line {
        match self.phys.locate(loc) {
            Some((pfn, word)) => Line(pfn.0 << 6 | u64::from(word / 8)),
            None => {
                let record = core.memory.record_of(loc);
                Line(1 << 60 | u64::from(record.0 + (loc.0 - record.0) / 8))
            }
        }
    }

    pub(super) fn read(&self, core: &Core, cpu: CpuId, loc: Loc, on: Option<Spent>) -> u64 {
        let line = self.line(core, loc);
        let mut caches = self.caches.borrow_mut();
        let found = caches.read(cpu, line);
        self.put(cpu, on.unwrap_or(found.spent()), caches.cycles(found))
    }

    fn write(&self, core: &Core, cpu: CpuId, loc: Loc, beyond: Spent) -> u64 {
        let line = self.line(core, loc);
        let mut caches = self.caches.borrow_mut();
        let found = caches.write(cpu, line);
        self.put(cpu, found.spent(), caches.cycles(found)) + self.put(cpu, beyond, self.price(beyond))
    }
}

impl Costs for Timing {
    fn operation(&self, core: &Core, cpu: CpuId, op: &Op) -> u64 {
        if self.is_register(op.loc) {
            return 0;
        }
        match op.kind {
            OpKind::Read | OpKind::Wait => self.read(core, cpu, op.loc, None),
            OpKind::Write => self.write(core, cpu, op.loc, Spent::Store),
            OpKind::Rmw | OpKind::Acquire => self.write(core, cpu, op.loc, Spent::Atomic),
            // The instruction and the walker charge by themselves, because they know what the cycles are for.
            OpKind::Serialize | OpKind::Walk => 0,
        }
    }

    fn flight(&self) -> u64 {
        self.profile.latency.ipi_flight
    }

    fn interrupt(&self, cpu: CpuId) -> u64 {
        self.put(cpu, Spent::Interrupt, self.profile.latency.interrupt)
    }

    fn interrupt_return(&self, cpu: CpuId) -> u64 {
        self.put(cpu, Spent::Interrupt, self.profile.latency.interrupt_return)
    }

    fn waited(&self, cpu: CpuId, cycles: u64) {
        self.put(cpu, Spent::Wait, cycles);
    }

    fn reset(&self) {
        self.caches.borrow_mut().clear();
        for account in &self.accounts {
            account.replace(Account::default());
        }
    }
}
