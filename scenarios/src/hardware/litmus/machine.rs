//! The machine on which a program runs. It has the same walker, caches and instructions as under a kernel.

use std::collections::BTreeSet;
use std::rc::Rc;

use sim_core::{Config, CpuId, Loc, MemoryBuilder};
use sim_mmu::{
    Cpu, DataOp, Entry, Fault, Geometry, Hardware, Mmu, PhysAddr, Policy, Profile, Refused, Rights, VirtAddr,
};

use super::program::{Action, Kind, Program, Step};

/// Hardware with the memory of a program. Nothing is cached.
pub struct Machine<'p> {
    program: &'p Program,
    pub(super) mmu: Mmu,
    /// The addresses that the program accesses. Speculative walks are made for these.
    addresses: BTreeSet<VirtAddr>,
    /// The entries that are not always zero.
    entries: Vec<Loc>,
    /// Whether the age of cached entries matters.
    broadcasts: bool,
}

/// A run before one of its steps.
pub(super) struct Moment<'r> {
    machine: &'r Machine<'r>,
    step: usize,
    run: &'r Run,
}

/// Everything that decides what may follow in a run, and what the run has shown so far.
pub(super) type State = (usize, Run, Vec<u64>);

impl Moment<'_> {
    /// The state of the machine here. The contents of the caches count as a set. The order in which they were filled is left
    /// out, unless the program has an INVLPGB, for which it matters.
    pub(super) fn state(&self) -> State {
        let (machine, mut words) = (self.machine, Vec::new());
        words.extend(machine.entries.iter().map(|entry| machine.mmu.core.memory.get(*entry)));
        for cpu in CpuId::all(machine.program.cpus()) {
            let cpu = Cpu::new(&machine.mmu, cpu);
            let controls = cpu.controls();
            words.extend([cpu.cr3().0, controls.cr0.0, controls.cr4.0, u64::from(controls.pkru.0)]);
            let age = |since| if machine.broadcasts { since } else { 0 };
            let (translations, partials) = cpu.cached();
            let mut cached: Vec<[u64; 7]> = (translations.iter())
                .map(|t| {
                    let tag = u64::from(t.pcid.0) << 8 | u64::from(t.global) << 1 | u64::from(t.dirty);
                    let orders = u64::from(t.order) << 8 | u64::from(t.page_order);
                    [t.vpn.0, t.pfn.0, orders, rights(t.rights), tag, t.root.0, age(t.since)]
                })
                .chain(partials.iter().map(|p| {
                    let tag = 1 << 63 | u64::from(p.pcid.0) << 8;
                    [p.vpn.0, p.table.0, p.level as u64, rights(p.rights), tag, p.root.0, age(p.since)]
                }))
                .collect();
            cached.sort_unstable();
            words.push(cached.len() as u64);
            words.extend(cached.iter().flatten());
        }
        (self.step, self.run.clone(), words)
    }
}

fn rights(rights: Rights) -> u64 {
    u64::from(rights.write)
        | u64::from(rights.user) << 1
        | u64::from(rights.fetch) << 2
        | u64::from(rights.key) << 3
}

/// What one run of a program showed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    /// The outcome of each access.
    pub(super) outcomes: Vec<String>,
    /// A and D of each entry that the program looks at.
    pub(super) flags: Vec<&'static str>,
    /// For each instruction that may be refused, whether it was.
    pub(super) refused: Vec<bool>,
}

impl<'p> Machine<'p> {
    /// The machine at the start of `program`. Under [`Policy::Profile`] its caches are those of `profile`.
    pub fn new(program: &'p Program, policy: Policy, profile: Option<Rc<Profile>>) -> Machine<'p> {
        let hardware = Hardware {
            elsewhere: program.frames(),
            controls: program.controls,
            policy,
            ..Hardware::new(Geometry::default(), 0)
        };
        let config = Config { cpus: program.cpus(), ..Config::default() };
        let mmu = Mmu::new(MemoryBuilder::default(), config, hardware);
        let addresses = program.accesses().filter_map(|step| match step.what {
            Action::Access { va, .. } => Some(va),
            _ => None,
        });
        let stores = program.steps.iter().filter_map(|step| match step.what {
            Action::Store(at, _) => Some(at),
            _ => None,
        });
        let word = |at: PhysAddr| mmu.phys.word(at.pfn(), (at.0 & 0xfff) as u32 / 8);
        let entries = program.memory.iter().map(|(at, _)| *at).chain(stores).map(word).collect();
        let broadcasts = program.steps.iter().any(|step| matches!(step.what, Action::Invlpgb(_)));
        let machine = Machine { program, addresses: addresses.collect(), entries, broadcasts, mmu };
        for (at, value) in &program.memory {
            machine.mmu.core.memory.set(machine.word(*at), *value);
        }
        for cpu in CpuId::all(program.cpus()) {
            machine.mmu.preset_cr3(cpu, program.cr3);
        }
        machine.mmu.core.checkpoint();
        machine.mmu.set_profile(profile);
        machine
    }

    fn word(&self, at: PhysAddr) -> Loc {
        self.mmu.phys.word(at.pfn(), (at.0 & 0xfff) as u32 / 8)
    }

    /// Runs the program once, from the start. The source of the machine makes the choices. Before each step the run asks
    /// `goes_on` whether it is still unknown what follows. If it is known, the answer is `None`.
    pub(super) fn run(&self, mut goes_on: impl FnMut(Moment<'_>) -> bool) -> Option<Run> {
        self.mmu.rewind();
        let mut run = Run { outcomes: Vec::new(), flags: Vec::new(), refused: Vec::new() };
        for (n, step) in self.program.steps.iter().enumerate() {
            self.speculate();
            if !goes_on(Moment { machine: self, step: n, run: &run }) {
                return None;
            }
            self.take(step, &mut run);
            if !step.flags.is_empty() {
                self.speculate();
                run.flags.extend(step.flags.iter().map(|flags| self.flags_of(flags.entry)));
            }
        }
        Some(run)
    }

    /// Makes speculative walks on every CPU.
    fn speculate(&self) {
        for cpu in CpuId::all(self.program.cpus()) {
            for va in &self.addresses {
                Cpu::new(&self.mmu, cpu).speculate(*va);
            }
        }
    }

    fn flags_of(&self, entry: PhysAddr) -> &'static str {
        let entry = Entry(self.mmu.core.memory.get(self.word(entry)));
        match (entry.has(Entry::ACCESSED), entry.has(Entry::DIRTY)) {
            (false, false) => "--",
            (true, false) => "A-",
            (false, true) => "-D",
            (true, true) => "AD",
        }
    }

    fn take(&self, step: &Step, run: &mut Run) {
        let cpu = Cpu::new(&self.mmu, CpuId(step.cpu));
        let done = match &step.what {
            Action::Access { va, privilege, kind } => {
                let data = match kind {
                    Kind::Read => DataOp::Read,
                    Kind::Write => DataOp::ADD_ZERO,
                    Kind::Fetch => DataOp::Fetch,
                };
                let outcome = match cpu.alone(cpu.access_as(*privilege, *va, data)) {
                    Ok(completed) => format!("pa:{:x}", completed.pa.0),
                    Err(Fault::Page(fault)) => format!("pf:{:x}", fault.code),
                    Err(Fault::GeneralProtection) => "gp".to_owned(),
                };
                run.outcomes.push(outcome);
                return;
            }
            Action::Store(at, value) => {
                cpu.alone(cpu.store(sim_core::Shared::at(self.word(*at)), *value));
                return;
            }
            Action::Invlpg(va) => {
                cpu.alone(cpu.invlpg(*va));
                return;
            }
            Action::Wrpkru(value) => {
                cpu.alone(cpu.wrpkru(*value));
                return;
            }
            Action::Wrpkrs(value) => {
                cpu.alone(cpu.wrpkrs(*value));
                return;
            }
            Action::Tlbsync => {
                cpu.alone(cpu.tlbsync());
                return;
            }
            Action::MovCr3(value, preserve) => cpu.alone(cpu.mov_cr3(*value, *preserve)),
            Action::MovCr4(value) => cpu.alone(cpu.mov_cr4(*value)),
            Action::MovCr0(value) => cpu.alone(cpu.mov_cr0(*value)),
            Action::Invpcid(Ok(what)) => cpu.alone(cpu.invpcid(*what)),
            Action::Invpcid(Err(refused)) => Err(*refused),
            Action::Invlpgb(what) => cpu.alone(cpu.invlpgb(what.clone())),
        };
        run.refused.push(done == Err(Refused));
    }
}
