//! The cost of a translation on the host: of an access that hits the TLB, of an access that walks, and of the plain
//! translation. Each is compared with four dependent loads.
//!
//! `cargo bench -p sim-mmu --bench translate`. Without `--bench`, as under `cargo test --benches`, it takes
//! one short round and only shows that everything runs. One name after `--bench` runs that measurement
//! alone, for a profiler.

// A benchmark reads the host's clock and prints.
#![allow(clippy::disallowed_types, clippy::print_stdout)]

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sim_core::{Config, CpuId, MemoryBuilder};
use sim_mmu::{
    Access, Controls, Cpu, Cr3, Cr4, DataOp, Entry, Geometry, Hardware, Level, Mmu, Pfn, Policy, Privilege,
    TableMemory, VirtAddr, translate,
};

/// Pages that are accessed in turn, all of one page table.
const PAGES: u64 = 16;
/// Flags of entries in which a walk has nothing left to set.
const SETTLED: u64 = Entry::PRESENT | Entry::RW | Entry::USER | Entry::ACCESSED | Entry::DIRTY;
/// Frames of tables, and the first of data.
const FIRST_DATA: u64 = 5;

/// The entries that map the pages; the root is in frame 0, whatever the number of levels.
fn entries(levels: u64) -> impl Iterator<Item = (u64, u32, u64)> {
    let upper = (0..levels - 1).map(|table| (table, 0, (table + 1) << 12 | SETTLED));
    let pages = (0..PAGES).map(move |page| (levels - 1, page as u32, (FIRST_DATA + page) << 12 | SETTLED));
    upper.chain(pages)
}

/// The hardware with the pages mapped.
fn machine(policy: Policy, levels: u64) -> Mmu {
    let mut hardware = Hardware::new(Geometry::default(), FIRST_DATA + PAGES);
    hardware.policy = policy;
    hardware.controls = controls(levels);
    let mmu = Mmu::new(MemoryBuilder::default(), Config::default(), hardware);
    for (table, index, entry) in entries(levels) {
        mmu.core.memory.set(mmu.phys.word(Pfn(table), index), entry);
    }
    mmu.core.checkpoint();
    mmu
}

fn controls(levels: u64) -> Controls {
    let mut controls = Controls::default();
    controls.cr4.0 |= if levels == 5 { Cr4::LA57 } else { 0 };
    controls
}

/// Runs code on a machine where nothing else happens.
#[inline]
fn drive<R>(mut code: Pin<&mut impl Future<Output = R>>) -> R {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = code.as_mut().poll(&mut context) {
            return result;
        }
    }
}

/// Tables in an array.
struct Tables(Vec<[u64; 512]>);

impl Tables {
    fn new(levels: u64) -> Tables {
        let mut tables = Tables(vec![[0; 512]; levels as usize]);
        for (table, index, entry) in entries(levels) {
            tables.0[table as usize][index as usize] = entry;
        }
        tables
    }
}

impl TableMemory for Tables {
    #[inline]
    fn read(&mut self, _: Level, table: Pfn, index: u32) -> Entry {
        Entry(self.0[table.0 as usize][index as usize])
    }
    #[inline]
    fn mark(&mut self, _: Level, table: Pfn, index: u32, flags: u64) {
        self.0[table.0 as usize][index as usize] |= flags;
    }
}

/// Four loads, each at the place that the one before names, and nothing else.
#[inline]
fn bare_walk(tables: &[[u64; 512]], va: u64) -> u64 {
    let mut frame = 0;
    for shift in [39, 30, 21, 12] {
        frame = tables[frame as usize][(va >> shift & 511) as usize] << 12 >> 24;
    }
    frame << 12 | va & 0xfff
}

/// Something that is measured: `run(n)` does it `n` times.
struct Measured<'a> {
    name: &'static str,
    goal: Option<f64>,
    run: Box<dyn FnMut(u64) + 'a>,
    batch: u64,
    nanoseconds: Vec<f64>,
}

impl<'a> Measured<'a> {
    /// `once` gets an address, each of the pages in turn.
    fn new(name: &'static str, goal: Option<f64>, mut once: impl FnMut(VirtAddr) + 'a) -> Measured<'a> {
        let run = move |times| {
            for n in 0..times {
                once(black_box(VirtAddr((n % PAGES) << 12)));
            }
        };
        Measured { name, goal, run: Box::new(run), batch: 64, nanoseconds: Vec::new() }
    }

    fn time(&mut self) -> Duration {
        let start = Instant::now();
        (self.run)(self.batch);
        start.elapsed()
    }

    /// Finds out how often it is done in `slice`. This also warms up.
    fn calibrate(&mut self, slice: Duration) {
        while self.time() < slice {
            self.batch *= 2;
        }
    }

    fn round(&mut self) {
        let elapsed = self.time();
        self.nanoseconds.push(elapsed.as_nanos() as f64 / self.batch as f64);
    }
}

/// The least and the median.
fn spread(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    (figures[0], figures[figures.len() / 2])
}

fn accesses<'m>(mmu: &'m Mmu, data: DataOp) -> impl FnMut(VirtAddr) + 'm {
    let cpu = Cpu::new(mmu, CpuId(0));
    move |va| {
        let completed = drive(pin!(cpu.access_as(Privilege::User, va, data)));
        black_box(completed).expect("the page is mapped");
    }
}

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--bench");
    let full = arguments.next().is_some();
    let only = arguments.next();
    let (rounds, slice) = if full { (31, Duration::from_millis(4)) } else { (1, Duration::from_micros(20)) };

    let machines = [(Policy::Laziest, 4), (Policy::ADVERSARIAL, 4), (Policy::Coherent, 4), (Policy::Coherent, 5)];
    let [lazy, adversarial, coherent, coherent5] = machines.map(|(policy, levels)| machine(policy, levels));
    let [one_page, writes, flushed] = [(); 3].map(|()| machine(Policy::Laziest, 4));
    let [bare, mut plain, mut plain5] = [4, 4, 5].map(Tables::new);
    let translated = |tables: &mut Tables, controls: &Controls, va| {
        let pa = translate(controls, Cr3(0), va, Access::USER_READ, tables);
        black_box(pa).expect("the page is mapped");
    };
    let [controls4, controls5] = [4, 5].map(controls);
    let mut hit_one = accesses(&one_page, DataOp::Read);
    let mut write = accesses(&writes, DataOp::Write(1));
    let mut flushed_access = accesses(&flushed, DataOp::Read);
    let [loader, flusher] = [&lazy, &flushed].map(|mmu| Cpu::new(mmu, CpuId(0)));
    let mut all = vec![
        Measured::new("four dependent loads", None, |va| {
            black_box(bare_walk(black_box(&bare.0), va.0));
        }),
        Measured::new("translate, 4 levels", None, |va| translated(&mut plain, &controls4, va)),
        Measured::new("translate, 5 levels", None, |va| translated(&mut plain5, &controls5, va)),
        // One step, as each level of a walk is one, and as the touch of the word at its end is one.
        Measured::new("load, no translation", None, move |va| {
            let cell = loader.mmu.phys.entry(Pfn(FIRST_DATA + va.vpn().0), 0);
            black_box(drive(pin!(loader.load(cell))));
        }),
        Measured::new("hit, 1 entry", Some(15.0), move |_| hit_one(VirtAddr(0))),
        Measured::new("hit, 16 entries", Some(15.0), accesses(&lazy, DataOp::Read)),
        Measured::new("hit, 16 entries, adversarial", Some(15.0), accesses(&adversarial, DataOp::Read)),
        Measured::new("hit, 16 entries, write", None, |va| {
            write(va);
            writes.core.checkpoint();
        }),
        Measured::new("walk, 4 levels, coherent", Some(80.0), accesses(&coherent, DataOp::Read)),
        Measured::new("walk, 5 levels, coherent", None, accesses(&coherent5, DataOp::Read)),
        Measured::new("walk, 4 levels, INVLPG before", Some(80.0), move |va| {
            drive(pin!(flusher.invlpg(va)));
            flushed_access(va);
        }),
    ];
    if let Some(only) = only {
        all.retain(|measured| measured.name == only);
    }
    for measured in &mut all {
        measured.calibrate(slice);
    }
    for _ in 0..rounds {
        all.iter_mut().for_each(Measured::round);
    }
    println!(
        "Medians of {rounds} rounds of at least {slice:?} each. The ratio is to the loads of the same round.\n"
    );
    println!("{:<32} {:>8}  {:>8}  {:>7}  goal", "what", "ns", "least", "ratio");
    for measured in &all {
        let (least, nanoseconds) = spread(measured.nanoseconds.iter().copied());
        let (_, ratio) = spread(measured.nanoseconds.iter().zip(&all[0].nanoseconds).map(|(a, b)| a / b));
        let verdict = measured.goal.map_or(String::new(), |goal| match full {
            true if nanoseconds <= goal => format!("<= {goal}: met"),
            true => format!("<= {goal}: MISSED"),
            false => format!("<= {goal}: too short to tell"),
        });
        println!("{:<32} {nanoseconds:>8.1}  {least:>8.1}  {ratio:>7.1}  {verdict}", measured.name);
    }
}
