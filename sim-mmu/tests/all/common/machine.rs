//! A machine on which a test writes the page tables, and a log of what happened in it.

use std::cell::RefCell;
use std::fmt::{self, Debug};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use sim_core::{Config, CpuId, MemoryBuilder};
use sim_mmu::{
    Completed, Cpu, Cr0, Cr3, Cr4, DataOp, Entry, Event, Fault, Geometry, Hardware, Invlpgb, Invpcid, KeyRights,
    Level, Mmu, Observer, PageFault, Pcid, Pfn, Policy, Privilege, Refused, Translation, VirtAddr, Vpn,
};

use super::manual::{Act, Kind, Mode, Outcome, Registers, State};
use super::{OPEN, lines, random};

/// Hardware, driven by one act after the other.
pub(crate) struct Machine {
    pub(crate) mmu: Mmu,
    log: Rc<Log>,
}

/// What the hardware did, in order.
#[derive(Default)]
struct Log(RefCell<Vec<(CpuId, Event)>>);

impl Observer for Log {
    fn hardware(&self, cpu: Cpu<'_>, event: &Event) {
        self.0.borrow_mut().push((cpu.id, *event));
    }
}

/// A machine with tables of `entries`, and this many frames.
/// The bits of an index at each level.
pub(crate) fn index_bits(geometry: Geometry) -> [u32; 5] {
    [Level::Pte, Level::Pmd, Level::Pud, Level::P4d, Level::Pgd]
        .map(|level| geometry.entries(level).trailing_zeros())
}

pub(crate) fn hardware(entries: u32, frames: u64) -> Hardware {
    Hardware::new(Geometry::new(entries).expect("a power of two from 2 to 512"), frames)
}

impl Machine {
    pub(crate) fn new(cpus: usize, hardware: Hardware) -> Machine {
        let mmu = Mmu::new(MemoryBuilder::default(), Config { cpus, ..Config::default() }, hardware);
        let log = Rc::<Log>::default();
        mmu.set_observer(Some(log.clone()));
        Machine { mmu, log }
    }

    pub(crate) fn cpu(&self, id: u8) -> Cpu<'_> {
        Cpu::new(&self.mmu, CpuId(id))
    }

    /// Runs code of a CPU to its end, while nothing else happens.
    pub(crate) fn run<R>(&self, cpu: u8, code: impl Future<Output = R>) -> R {
        self.cpu(cpu).alone(code)
    }

    pub(crate) fn preset_root(&self, root: u64) {
        for cpu in CpuId::all(self.mmu.core.config.cpus) {
            self.mmu.preset_cr3(cpu, Cr3::of(Pfn(root)));
        }
    }

    pub(crate) fn word(&self, frame: u64, index: u32) -> u64 {
        self.mmu.core.memory.get(self.mmu.phys.word(Pfn(frame), index))
    }

    pub(crate) fn set_word(&self, frame: u64, index: u32, word: u64) {
        assert!(self.mmu.phys.contains(Pfn(frame)), "frame {frame} is not memory");
        self.mmu.core.memory.set(self.mmu.phys.word(Pfn(frame), index), word);
    }

    /// All words of the frames before the first hole, in order.
    pub(crate) fn memory(&self) -> Vec<u64> {
        let words = 0..self.mmu.phys.words_per_frame();
        (0..self.mmu.phys.frames())
            .flat_map(|frame| words.clone().map(move |index| (frame, index)))
            .map(|(frame, index)| self.word(frame, index))
            .collect()
    }

    /// The tables that lead to `va`, in the four frames from `root` on; the leaf is left alone.
    pub(crate) fn build_tables(&self, root: u64, va: VirtAddr) {
        for (table, level) in (root..).zip([Level::P4d, Level::Pud, Level::Pmd]) {
            self.set_word(table, self.mmu.geometry.index(va, level), Entry::new(Pfn(table + 1), OPEN).0);
        }
    }

    /// The place of the leaf that [`build_tables`](Machine::build_tables) leads to.
    pub(crate) fn leaf(&self, root: u64, va: VirtAddr) -> (u64, u32) {
        (root + 3, self.mmu.geometry.index(va, Level::Pte))
    }

    /// Makes the present state the one that every run starts from.
    pub(crate) fn checkpoint(&self) {
        self.mmu.core.checkpoint();
    }

    pub(crate) fn rewind(&self) {
        self.mmu.rewind();
        self.log.0.borrow_mut().clear();
    }

    /// Everything that happened since the last rewind.
    pub(crate) fn events(&self) -> Vec<(CpuId, Event)> {
        self.log.0.borrow().clone()
    }

    /// What the reference knows of a machine in which nothing is cached yet.
    pub(crate) fn state(&self) -> State {
        let index_bits = index_bits(self.mmu.geometry);
        let registers = CpuId::all(self.mmu.core.config.cpus)
            .map(|id| Registers::new(&Cpu::new(&self.mmu, id).controls(), self.mmu.cr3(id).0, index_bits));
        State::new(self.memory(), registers.collect())
    }

    /// Does one access to its end. Answers what it used, and what the hardware did meanwhile.
    pub(crate) fn access_as(&self, cpu: u8, privilege: Privilege, va: VirtAddr, data: DataOp) -> Accessed {
        let before = self.log.0.borrow().len();
        let result = self.run(cpu, self.cpu(cpu).access_as(privilege, va, data));
        Accessed { result, events: self.log.0.borrow()[before..].iter().map(|(_, event)| *event).collect() }
    }

    /// One access of user code.
    pub(crate) fn access(&self, cpu: u8, va: VirtAddr, data: DataOp) -> Accessed {
        self.access_as(cpu, Privilege::User, va, data)
    }

    /// Does what the reference calls an access.
    pub(crate) fn access_for(&self, cpu: u8, mode: Mode, kind: Kind, va: u64) -> Accessed {
        self.access_as(cpu, random::privilege(mode), VirtAddr(va), random::as_data(kind))
    }

    /// Does anything else. Answers whether it was carried out, or was refused with an exception.
    pub(crate) fn apply(&self, act: &Act) -> bool {
        let carried_out = |result: Result<(), Refused>| result.is_ok();
        match *act {
            Act::Access { .. } => unreachable!("{act:?}"),
            Act::Store { frame, index, value } => {
                self.set_word(frame, index, value);
                true
            }
            Act::Speculate { cpu, va } => {
                self.cpu(cpu).speculate(VirtAddr(va));
                true
            }
            Act::Invlpg { cpu, va } => {
                self.run(cpu, self.cpu(cpu).invlpg(VirtAddr(va)));
                true
            }
            Act::Invpcid { cpu, kind, pcid, va } => {
                let what = Invpcid::decode(kind, [pcid, va]);
                carried_out(what.and_then(|what| self.run(cpu, self.cpu(cpu).invpcid(what))))
            }
            Act::MovCr3 { cpu, value, preserve } => {
                carried_out(self.run(cpu, self.cpu(cpu).mov_cr3(Cr3(value), preserve)))
            }
            Act::MovCr4 { cpu, value } => carried_out(self.run(cpu, self.cpu(cpu).mov_cr4(Cr4(value)))),
            Act::MovCr0 { cpu, value } => carried_out(self.run(cpu, self.cpu(cpu).mov_cr0(Cr0(value)))),
            Act::Wrpkru { cpu, value } => {
                self.run(cpu, self.cpu(cpu).wrpkru(KeyRights(value)));
                true
            }
            Act::Broadcast { cpu, root, from, to } => {
                self.run(cpu, self.cpu(cpu).broadcast_invalidate(Pfn(root), Vpn(from)..Vpn(to)));
                true
            }
            Act::Invlpgb { cpu, what } => {
                let invlpgb = Invlpgb {
                    pages: what.pages.map(|(from, to)| Vpn(from)..Vpn(to)),
                    pcid: what.pcid.map(|pcid| Pcid(pcid as u16)),
                    include_global: what.global,
                    final_only: what.last_only,
                };
                carried_out(self.run(cpu, self.cpu(cpu).invlpgb(invlpgb)))
            }
            Act::Tlbsync { cpu } => {
                self.run(cpu, self.cpu(cpu).tlbsync());
                true
            }
        }
    }

    /// Does something. If it is an access, answers its result.
    pub(crate) fn perform(&self, act: &Act) -> Option<Outcome> {
        if let Act::Access { cpu, mode, kind, va } = *act {
            return Some(self.access_for(cpu, mode, kind, va).outcome());
        }
        assert!(self.apply(act), "{act:?} is refused");
        None
    }

    /// Does one act after the other. Answers the results of the accesses.
    pub(crate) fn outcomes(&self, acts: &[Act]) -> Vec<Outcome> {
        acts.iter().filter_map(|act| self.perform(act)).collect()
    }
}

/// The result of an access.
pub(crate) struct Accessed {
    pub(crate) result: Result<Completed, Fault>,
    pub(crate) events: Vec<Event>,
}

impl Debug for Accessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, after{}", self.result, lines(&self.events))
    }
}

impl Accessed {
    pub(crate) fn outcome(&self) -> Outcome {
        match self.result {
            Ok(completed) => Outcome::At(completed.pa.0),
            Err(Fault::Page(fault)) => Outcome::Fault(fault.code),
            Err(Fault::GeneralProtection) => Outcome::Protection,
        }
    }

    /// The value that was read or written.
    pub(crate) fn value(&self) -> Option<u64> {
        self.result.ok().map(|completed| completed.value)
    }

    /// The translation that it retired through.
    pub(crate) fn through(&self) -> Option<Translation> {
        self.events.iter().find_map(|event| match event {
            Event::Retired { through, .. } => Some(*through),
            _ => None,
        })
    }

    /// The levels at which its walk read an entry.
    pub(crate) fn levels(&self) -> Vec<Level> {
        let level = |event: &Event| match event {
            Event::TableAccess { level, .. } => Some(*level),
            _ => None,
        };
        self.events.iter().filter_map(level).collect()
    }

    /// Whether it walked.
    pub(crate) fn walked(&self) -> bool {
        !self.levels().is_empty()
    }
}

/// Takes code one step on: it performs what it announced and announces what comes next.
pub(crate) fn step(code: Pin<&mut impl Future>) {
    let end = code.poll(&mut Context::from_waker(Waker::noop()));
    assert!(end.is_pending(), "the code is at its end already");
}
