//! A pointer chase over pages on the machine: each page holds, in one line, the address of the next page. The
//! average cost of an access against the number of pages shows how much the TLB holds.
//!
//! The accesses are those of the machine, with look-up, walk and caches. The pages share frames: line `n` of
//! memory belongs to page `n`. So a chase of many pages needs little memory, and the sets of the data caches fill
//! evenly.

use std::rc::Rc;

use sim_core::source::{Random, Source};
use sim_core::{Config, Core, CpuId, MemoryBuilder};
use sim_mmu::{
    Account, Cpu, Cr3, DataOp, Entry, Geometry, Hardware, Level, Mmu, Pfn, Policy, Privilege, Profile, Spent,
    TlbArray, VirtAddr,
};

use crate::hardware::profile::LINE;

/// The most pages of a chase.
pub const MOST: u64 = 1 << 16;

/// The number of rounds before those that count. After them the caches are as they will stay.
const WARM_UP: u64 = 2;

/// The number of rounds that count.
const MEASURED: u64 = 2;

/// The size of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSize {
    /// 4 KiB.
    Base,
    /// 2 MiB.
    Large,
}

impl PageSize {
    /// The level of the entries that map it.
    pub fn level(self) -> Level {
        match self {
            PageSize::Base => Level::Pte,
            PageSize::Large => Level::Pmd,
        }
    }

    /// Bytes.
    pub fn bytes(self) -> u64 {
        Geometry::default().span(self.level())
    }
}

/// The result of a chase over so many pages.
#[derive(Clone, Debug)]
pub struct Point {
    /// Pages.
    pub pages: u64,
    /// The number of accesses that were counted.
    pub accesses: u64,
    /// What their cycles were spent on.
    pub account: Account,
}

impl Point {
    /// Cycles of an access on average.
    pub fn cycles(&self) -> f64 {
        self.account.total() as f64 / self.accesses as f64
    }

    /// How often an access spends cycles on this, on average.
    pub fn times(&self, what: Spent) -> f64 {
        self.account.times(what) as f64 / self.accesses as f64
    }

    /// The cycles that an access spends on this, on average.
    pub fn spent(&self, what: Spent) -> f64 {
        self.account.cycles(what) as f64 / self.accesses as f64
    }
}

/// A capacity that a chase can exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The name of the array that has it.
    pub of: &'static str,
    /// The number of pages of the chase that fit.
    pub pages: u64,
    /// The number of pages with which every set has one page too many. From here on no page stays.
    pub overrun: u64,
    /// Whether the array is a TLB.
    pub is_tlb: bool,
}

/// The capacities of the arrays of a processor that hold the pages of a chase, or their lines. The smallest comes first.
pub fn capacities(profile: &Profile, size: PageSize) -> Vec<Capacity> {
    let holds = |array: &&TlbArray| array.sizes.has(size.level());
    let first = profile.tlb.data.iter().find(holds).map(|array| ("L1 DTLB", array.shape, true));
    let second = profile.tlb.second.data().iter().find(holds).map(|array| ("L2 TLB", array.shape, true));
    let data = [("L1D", profile.data.l1.shape, false), ("L2", profile.data.l2.shape, false)];
    let mut all: Vec<Capacity> = [first, second]
        .into_iter()
        .flatten()
        .chain(data)
        .map(|(of, shape, is_tlb)| {
            let (pages, sets) = (u64::from(shape.entries()), u64::from(shape.sets()));
            Capacity { of, pages, overrun: pages + sets, is_tlb }
        })
        .collect();
    all.sort_by_key(|capacity| capacity.pages);
    all
}

/// The numbers of pages to chase over: four in each octave, and those around every capacity.
pub fn sizes(profile: &Profile, size: PageSize, from: u64, to: u64) -> Vec<u64> {
    let octaves = (0..=MOST.ilog2()).flat_map(|octave| (4..8).map(move |quarter| (quarter << octave) / 4));
    let around = |capacity: Capacity| {
        let Capacity { pages, overrun, .. } = capacity;
        [pages, pages + 1, overrun]
    };
    let mut sizes: Vec<u64> =
        octaves.chain(capacities(profile, size).into_iter().flat_map(around)).chain([from, to]).collect();
    sizes.retain(|pages| (from..=to).contains(pages));
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The first page. The root's second entry maps it.
const FIRST: u64 = 1 << 39;

/// The number of frames that hold data. They have [`MOST`] lines, and are enough for a large page.
const DATA_FRAMES: u64 = MOST / (4096 / LINE);

/// Where page `n` has its line.
fn address(size: PageSize, n: u64) -> VirtAddr {
    VirtAddr(FIRST + n * size.bytes() + n * LINE % size.bytes())
}

/// The first frame behind page `n`. The line of the page is in the frames from there on.
fn frame(size: PageSize, n: u64) -> Pfn {
    let frames = size.bytes() >> 12;
    Pfn(n * LINE / size.bytes() * frames)
}

/// One chase. It makes a machine with one CPU, page tables and a cycle through the pages, and follows the cycle.
#[derive(Clone, Copy, Debug)]
pub struct Chase {
    /// The size of the pages.
    pub size: PageSize,
    /// The seed from which the order of the pages is drawn.
    pub seed: u64,
}

impl Chase {
    /// Chases over `pages` pages.
    pub fn run(self, profile: &Rc<Profile>, pages: u64) -> Point {
        let mmu = self.machine(pages);
        mmu.set_profile(Some(profile.clone()));
        let cpu = Cpu::new(&mmu, CpuId(0));
        let account = |mmu: &Mmu| mmu.account(cpu.id).unwrap_or_default();
        let mut at = address(self.size, 0);
        at = cpu.alone(follow(cpu, at, WARM_UP * pages));
        let before = account(&mmu);
        let accesses = MEASURED * pages;
        cpu.alone(follow(cpu, at, accesses));
        Point { pages, accesses, account: account(&mmu).since(&before) }
    }

    /// A machine whose memory holds the tables and the lines of the pages. Each line has the address of the next page.
    fn machine(self, pages: u64) -> Mmu {
        assert!((1..=MOST).contains(&pages), "a chase has 1 to {MOST} pages, not {pages}");
        let geometry = Geometry::default();
        let tables: u64 = 1 + Level::WALK[..3]
            .iter()
            .map(|level| pages * self.size.bytes() / geometry.span(*level) + 1)
            .sum::<u64>();
        let hardware = Hardware { policy: Policy::Profile, ..Hardware::new(geometry, DATA_FRAMES + tables) };
        let mmu = Mmu::new(MemoryBuilder::default(), Config::default(), hardware);
        let mut tables = Tables { mmu: &mmu, next: Pfn(DATA_FRAMES + 1) };
        let root = Pfn(DATA_FRAMES);
        for n in 0..pages {
            tables.map(root, address(self.size, n), self.size.level(), frame(self.size, n));
        }
        let order = self.order(&mmu.core, pages);
        for (place, n) in order.iter().enumerate() {
            let next = order[(place + 1) % order.len()];
            let (pfn, word) = ((n * LINE) >> 12, (n * LINE % 4096 / 8) as u32);
            mmu.core.memory.set(mmu.phys.word(Pfn(pfn), word), address(self.size, next).0);
        }
        mmu.preset_cr3(CpuId(0), Cr3::of(root));
        mmu.core.checkpoint();
        mmu
    }

    /// The pages in the order of the chase: page 0 first, then a shuffle of the others.
    fn order(self, core: &Core, pages: u64) -> Vec<u64> {
        core.set_source(Source::Random(Random::new(self.seed)));
        let mut order: Vec<u64> = (0..pages).collect();
        for last in (2..order.len()).rev() {
            order.swap(1 + core.choose_value("next page", last), last);
        }
        core.set_source(Source::First);
        order
    }
}

/// Follows the chain for so many accesses. Answers the address that it has reached.
async fn follow(cpu: Cpu<'_>, from: VirtAddr, accesses: u64) -> VirtAddr {
    let mut at = from;
    for _ in 0..accesses {
        match cpu.access_as(Privilege::User, at, DataOp::Read).await {
            Ok(completed) => at = VirtAddr(completed.value),
            Err(fault) => panic!("simulator defect: the chase faults at {:#x}: {fault:?}", at.0),
        }
    }
    at
}

/// Page tables in the making.
struct Tables<'m> {
    mmu: &'m Mmu,
    next: Pfn,
}

impl Tables<'_> {
    /// Maps the page at `va` by an entry of `leaf`. A is set everywhere, so that a walk changes nothing.
    fn map(&mut self, root: Pfn, va: VirtAddr, leaf: Level, to: Pfn) {
        const FLAGS: u64 = Entry::PRESENT | Entry::RW | Entry::USER | Entry::ACCESSED;
        let geometry = self.mmu.geometry;
        let mut table = root;
        for level in Level::WALK {
            let word = self.mmu.phys.word(table, geometry.index(va, level));
            if level == leaf {
                let large = if leaf == Level::Pte { 0 } else { Entry::PAGE_SIZE };
                self.mmu.core.memory.set(word, to.0 << 12 | FLAGS | Entry::DIRTY | large);
                return;
            }
            if self.mmu.core.memory.get(word) == 0 {
                self.mmu.core.memory.set(word, self.next.0 << 12 | FLAGS);
                self.next = Pfn(self.next.0 + 1);
            }
            table = Entry(self.mmu.core.memory.get(word)).pfn();
        }
    }
}
