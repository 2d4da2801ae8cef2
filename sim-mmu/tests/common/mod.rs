//! A machine whose page tables are written by the test, and what happened in it.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::{self, Debug};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use proptest::test_runner::{Config as Cases, RngSeed};
use sim_core::source::{Replay, Source};
use sim_core::{Config, CpuId, MemoryBuilder};
use sim_mmu::{Cpu, DataOp, Entry, Event, Geometry, Level, Mmu, Observer, PageFault, Pfn, Translation, VirtAddr};

/// Flags of an entry that allows user code everything.
pub(crate) const OPEN: u64 = Entry::PRESENT | Entry::RW | Entry::USER;

/// The same cases each time, and no file of failures: the seed finds them again.
pub(crate) fn cases(cases: u32) -> Cases {
    Cases { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Cases::default() }
}

/// Hardware, driven by one access after the other.
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

impl Machine {
    pub(crate) fn new(cpus: usize, entries: u32, frames: u64) -> Machine {
        let geometry = Geometry::new(entries).expect("a power of two from 2 to 512");
        let config = Config { cpus, ..Config::default() };
        let mmu = Mmu::new(MemoryBuilder::default(), config, geometry, frames);
        let log = Rc::<Log>::default();
        mmu.set_observer(Some(log.clone()));
        Machine { mmu, log }
    }

    pub(crate) fn cpu(&self, id: u8) -> Cpu<'_> {
        Cpu::new(&self.mmu, CpuId(id))
    }

    pub(crate) fn word(&self, frame: u64, index: u32) -> u64 {
        self.mmu.core.memory.get(self.mmu.phys.word(Pfn(frame), index))
    }

    pub(crate) fn set_word(&self, frame: u64, index: u32, word: u64) {
        self.mmu.core.memory.set(self.mmu.phys.word(Pfn(frame), index), word);
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

    /// Everything that happened since the last look.
    pub(crate) fn take_events(&self) -> Vec<(CpuId, Event)> {
        self.log.0.take()
    }

    /// One access to its end; what it used, and what the hardware did meanwhile.
    pub(crate) fn access(&self, cpu: u8, va: VirtAddr, data: DataOp) -> Accessed {
        self.take_events();
        let result = alone(self.cpu(cpu).access(va, data));
        let events: Vec<Event> = self.take_events().into_iter().map(|(_, event)| event).collect();
        Accessed { result, events }
    }
}

/// What became of an access.
pub(crate) struct Accessed {
    pub(crate) result: Result<u64, PageFault>,
    pub(crate) events: Vec<Event>,
}

impl Debug for Accessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, after{}", self.result, lines(&self.events))
    }
}

/// Each on a line of its own.
pub(crate) fn lines<T: Debug>(events: &[T]) -> String {
    events.iter().map(|event| format!("\n  {event:?}")).collect()
}

impl Accessed {
    /// The translation that it retired through.
    pub(crate) fn through(&self) -> Option<Translation> {
        self.events.iter().find_map(|event| match event {
            Event::Retired { through, .. } => Some(*through),
            _ => None,
        })
    }

    /// Whether it walked.
    pub(crate) fn walked(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::TableAccess { .. }))
    }
}

/// Runs code on a machine where nothing else happens.
pub(crate) fn alone<R>(code: impl Future<Output = R>) -> R {
    let mut code = pin!(code);
    loop {
        if let Poll::Ready(result) = code.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
}

/// Takes code one step on: it performs what it announced and announces what comes next.
pub(crate) fn step(code: Pin<&mut impl Future>) {
    let end = code.poll(&mut Context::from_waker(Waker::noop()));
    assert!(end.is_pending(), "the code is at its end already");
}

/// What `run` comes to, over all choices of values that the machine allows.
pub(crate) fn over_all_choices<T: Ord>(machine: &Machine, mut run: impl FnMut() -> T) -> BTreeSet<T> {
    let core = &machine.mmu.core;
    core.keep_decisions(true);
    let mut reached = BTreeSet::new();
    let mut prefix: Vec<(u32, u32)> = Vec::new();
    loop {
        machine.rewind();
        core.set_source(Source::Replay(Replay::lenient(prefix.clone())));
        reached.insert(run());
        let decisions = core.decisions();
        let Some(last) = decisions.iter().rposition(|decision| decision.chosen + 1 < decision.of) else {
            return reached;
        };
        prefix = decisions[..=last].iter().map(|decision| (decision.chosen, decision.of)).collect();
        prefix[last].0 += 1;
    }
}

/// `reached` and `expected` are the same; if not, says what is impossible and what is missing.
#[track_caller]
pub(crate) fn assert_exactly<T: Ord + Debug>(what: &str, reached: &BTreeSet<T>, expected: &BTreeSet<T>) {
    let impossible: Vec<_> = reached.difference(expected).collect();
    let missing: Vec<_> = expected.difference(reached).collect();
    assert!(
        impossible.is_empty() && missing.is_empty(),
        "{what}\n  impossible, but reached: {impossible:?}\n  possible, but not reached: {missing:?}"
    );
}
