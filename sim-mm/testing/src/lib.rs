//! A machine with a kernel, a shell from which tests play processes, and a watch over what happens.

#![allow(missing_docs, reason = "for tests only; most fields and calls say what they are")]

pub mod model;
pub mod space;
pub mod watch;

use std::cell::Cell;
use std::rc::Rc;

use proptest::sample::select;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config as Cases, RngSeed};
use sim_core::source::{Pct, Pos, Random, Source, Sticky};
use sim_core::{
    Blocked, BoxFuture, CpuId, Executor, Gate, Loc, MemoryBuilder, Op, OpKind, Outcome, Shared, TaskId,
};
use sim_mm::arch::fault::user_access;
use sim_mm::{
    AsidSlots, Catalogue, Choices, CowReuse, Cpu, Errno, Flush, FlushBatch, GatherBatch, GupCalls, HwAd, Kernel,
    KernelConfig, Knob, MachineConfig, MapFlags, MemoryMap, MemoryOrder, MmId, Mmap, PageAlloc, Pcid, Preempt,
    Prot, PteRead, Release, Safeguard, Settings, SpeculativeWalk, Swap, TableFree, Thp, ZeroThp, do_exit,
    madvise_dontneed, start_task_in, sys_fork, sys_mmap, sys_munmap,
};
use sim_mmu::{DataOp, Geometry, VirtAddr};

use crate::watch::Watch;

/// The same cases each time, and no file of failures: the seed finds them again.
pub fn cases(cases: u32) -> Cases {
    Cases { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Cases::default() }
}

/// What a machine of a test is made with.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// How many CPUs.
    pub cpus: usize,
    /// Entries of a page table.
    pub entries: u32,
    /// Frames of memory.
    pub frames: u64,
    /// The knobs.
    pub platform: Settings,
    /// The kernel.
    pub kernel: KernelConfig,
}

impl Setup {
    /// The same machine, with a safe lockless walk. A flush that interrupts no CPU keeps no table from being freed. So with
    /// such a flush, tables are freed by RCU.
    pub fn sound(mut self) -> Setup {
        if self.platform.get::<Flush>() == Flush::NoIpi
            && self.platform.get::<TableFree>() == TableFree::AfterFlush
        {
            self.platform = self.platform.with(TableFree::RcuSched);
        }
        self
    }
}

/// The kernels of a test: those of a catalogue of safeguards and settings.
#[derive(Clone, Copy)]
pub struct Kernels(pub Catalogue);

impl Kernels {
    /// A small machine with v5.0.
    pub fn setup(self) -> Setup {
        Setup { cpus: 1, entries: 4, frames: 64, platform: Settings::default(), kernel: self.release("v5.0") }
    }

    /// The kernel of a release.
    pub fn release(self, version: &str) -> KernelConfig {
        KernelConfig::of_release(self.0, parse(version))
    }

    /// v5.0 with another rule by which COW reuses pages.
    pub fn reusing_by(self, rule: CowReuse) -> KernelConfig {
        KernelConfig::new(self.0, parse("v5.0"), &[], &[], &Choices::default().with(rule))
    }

    /// v5.0 without a safeguard.
    pub fn without(self, safeguard: Safeguard) -> KernelConfig {
        KernelConfig::new(self.0, parse("v5.0"), &[safeguard], &[], &Choices::default())
    }

    /// Machines of every shape and platform.
    pub fn setups(self, cpus: usize) -> impl Strategy<Value = Setup> {
        let knobs = (
            knob::<Flush>(),
            knob::<TableFree>(),
            knob::<MemoryOrder>(),
            knob::<Preempt>(),
            knob::<SpeculativeWalk>(),
            knob::<AsidSlots>(),
            knob::<HwAd>(),
            knob::<PageAlloc>(),
            knob::<MemoryMap>(),
            (
                knob::<Swap>(),
                knob::<FlushBatch>(),
                knob::<GatherBatch>(),
                knob::<Thp>(),
                knob::<ZeroThp>(),
                knob::<PteRead>(),
            ),
        );
        let platform = knobs.prop_map(
            |(flush, table_free, memory, preempt, speculative_walk, slots, hw_ad, page_alloc, map, others)| {
                let platform = Settings::default().with(flush).with(table_free).with(memory).with(preempt);
                let platform = platform.with(speculative_walk).with(slots).with(hw_ad).with(page_alloc).with(map);
                let (swap, flush_batch, gather_batch, thp, zero_thp, pte_read) = others;
                platform.with(pte_read).with(swap).with(flush_batch).with(gather_batch).with(thp).with(zero_thp)
            },
        );
        let release = select(vec!["v5.0", "v5.10", "v6.4", "v6.12", "latest"]);
        let sizes = select(vec![2, 4, 8, 512]);
        let designs = (knob::<CowReuse>(), knob::<Pcid>());
        (sizes, platform, release, designs).prop_map(move |(entries, platform, release, (rule, pcid))| {
            let choices = Choices::default().with(rule).with(pcid);
            let kernel = KernelConfig::new(self.0, parse(release), &[], &[], &choices);
            Setup { cpus, entries, frames: 128, platform, kernel }
        })
    }
}

/// A release that exists.
pub fn parse(version: &str) -> Release {
    version.parse().expect("a test names releases that exist")
}

/// Every value of a knob.
pub fn every<K: Knob>() -> impl Iterator<Item = K> {
    K::VALUES.iter().copied()
}

fn knob<K: Knob + std::fmt::Debug>() -> impl Strategy<Value = K> {
    select(every::<K>().collect::<Vec<_>>())
}

/// The schedule of a seed. Seeds take turns among kinds.
pub fn schedule(seed: u64) -> Source {
    match seed % 4 {
        0 => Source::Random(Random::new(seed)),
        1 => Source::Sticky(Sticky::new(seed)),
        2 => Source::Pct(Pct::new(seed, 3, 400)),
        _ => Source::Pos(Pos::new(seed)),
    }
}

/// Address spaces and tasks that a test may use up.
const MANY: usize = 48;
/// More steps than any test takes, unless it never ends.
const ENDLESS: u64 = 200_000;

/// A machine with its kernel. A test that fails while it has one tells what happened on it.
pub struct Machine {
    /// The kernel, with the machine that it runs on.
    pub kernel: Kernel,
    /// Sees every step.
    pub watch: Rc<Watch>,
    /// A word for each task that says that its process exists.
    born: Loc,
    /// A word of no meaning: a locked operation on it empties the store buffer.
    scratch: Loc,
    mms: Vec<Cell<Option<MmId>>>,
}

impl Machine {
    /// A machine that has just booted.
    pub fn new(setup: Setup) -> Machine {
        Machine::with(setup, MemoryBuilder::default())
    }

    /// A machine whose memory holds other words already.
    pub fn with(setup: Setup, mut memory: MemoryBuilder) -> Machine {
        let born = memory.words("born", MANY);
        let scratch = memory.words("scratch", 1);
        let config = MachineConfig {
            cpus: setup.cpus,
            geometry: Geometry::new(setup.entries).expect("a power of two from 2 to 512"),
            frames: setup.frames,
            refcount_bits: 16,
            mms: MANY,
            vmas: 64 * MANY,
            files: MANY,
            tasks: MANY,
            platform: setup.platform,
            kernel: setup.kernel,
        };
        let kernel = Kernel::new(memory, config, GupCalls::NONE);
        if setup.platform.get::<SpeculativeWalk>() == SpeculativeWalk::On {
            let top = kernel.mmu.geometry.task_size().vpn().0;
            kernel.mmu.speculate_for((top - 4..top).chain(0..4).map(address).collect());
        }
        let watch = Rc::new(Watch::default());
        kernel.set_observer(Some(watch.clone()));
        Machine { kernel, watch, born, scratch, mms: vec![Cell::new(None); MANY] }
    }

    /// A task on a CPU, in no process yet.
    pub fn shell(&self, cpu: u8, task: u8) -> Shell<'_> {
        Shell { machine: self, cpu: Cpu::new(&self.kernel, CpuId(cpu)), task: TaskId(task) }
    }

    /// Plays `code` on CPU 0, alone.
    #[track_caller]
    pub fn play<'m>(&'m self, code: impl AsyncFnOnce(Shell<'m>) + 'm) {
        let shell = self.shell(0, 0);
        let result = self.run(Source::First, vec![(0, Box::pin(code(shell)))]);
        if let Err(wrong) = result {
            panic!("{wrong}");
        }
    }

    /// Runs tasks, each on its CPU, to their ends; then nothing may be left over.
    pub fn run<'m>(&'m self, source: Source, tasks: Vec<(u8, BoxFuture<'m>)>) -> Result<(), String> {
        let core = self.kernel.core();
        core.set_source(source);
        let mut executor = Executor::new(core, &self.kernel);
        for (task, (cpu, code)) in (0..).zip(tasks) {
            executor.spawn(CpuId(cpu), TaskId(task), code);
        }
        let outcome = executor.run(ENDLESS);
        let ended = match &outcome {
            Outcome::Completed => Ok(()),
            Outcome::Stopped | Outcome::Pruned => Err("stopped".to_owned()),
            Outcome::StepBound => Err(format!("nothing ended within {ENDLESS} steps")),
            Outcome::Deadlock(blocked) => {
                let waits = |b: &Blocked| format!("{:?} for {}", b.task, core.memory.describe(b.op.loc));
                Err(format!("deadlock: {}", blocked.iter().map(waits).collect::<Vec<_>>().join(", ")))
            }
        };
        // What went wrong first is what matters.
        self.watch.verdict()?;
        ended?;
        self.check_at_rest()
    }

    /// Frames whose use is over are on the free list, and no count is left.
    fn check_at_rest(&self) -> Result<(), String> {
        self.watch.all_free(&self.kernel)?;
        self.kernel.check(|_| 0).map_err(|wrong| format!("at rest {wrong}"))
    }
}

impl Drop for Machine {
    #[expect(clippy::print_stderr, reason = "a failed test tells what happened on its machine")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.watch.story());
        }
    }
}

/// A shell from which processes are played: a task on a CPU, in the process that it entered last. Addresses are page
/// numbers.
#[derive(Clone, Copy)]
pub struct Shell<'m> {
    /// Where it runs.
    pub machine: &'m Machine,
    /// The CPU as the kernel sees it.
    pub cpu: Cpu<'m>,
    task: TaskId,
}

impl<'m> Shell<'m> {
    /// Makes a process and enters it.
    pub async fn new_process(self) -> MmId {
        self.try_new_process().await.expect("a test has frames for its processes")
    }

    /// Makes a process and enters it, if there is a frame for it.
    pub async fn try_new_process(self) -> Result<MmId, Errno> {
        let mm = self.machine.kernel.new_process(self.cpu.id).await?;
        self.enter(mm).await;
        Ok(mm)
    }

    /// Goes on as a process.
    pub async fn enter(self, mm: MmId) {
        self.machine.watch.tell(**self.cpu, || format!("enters {mm:?}"));
        self.machine.kernel.set_task_mm(self.task, Some(mm));
        start_task_in(self.cpu, self.machine.kernel.mm(mm)).await;
    }

    /// Goes on in the process that another task makes for this one.
    pub async fn enter_when_born(self) -> MmId {
        let born = self.machine.born.offset(u32::from(self.task.0));
        let op = Op::new(OpKind::Wait, born).behind(Gate::NonZero(born)).sleeping();
        self.cpu.step(op, |_| ()).await;
        let mm = self.machine.mms[usize::from(self.task.0)].get().expect("it is born");
        self.enter(mm).await;
        mm
    }

    /// A task gets a process.
    pub fn give_birth(self, task: usize, mm: MmId) {
        self.machine.mms[task].set(Some(mm));
        self.machine.kernel.core().memory.set(self.machine.born.offset(task as u32), 1);
    }

    /// Maps pages, at a page or where there is room; answers the first page.
    pub async fn mmap(self, pages: u64, writable: bool, at: Option<u64>) -> Result<u64, Errno> {
        let prot = if writable { Prot::READ_WRITE } else { Prot::READ };
        let flags = if at.is_some() { MapFlags::FIXED_NOREPLACE } else { MapFlags::empty() };
        let start =
            sys_mmap(self.cpu, Mmap { addr: at.map(address), pages, prot, flags, ..Mmap::default() }).await?;
        Ok(start.vpn().0)
    }

    /// Takes a mapping away.
    pub async fn munmap(self, page: u64, pages: u64) -> Result<u64, Errno> {
        sys_munmap(self.cpu, address(page), address(page + pages)).await.map(|()| 0)
    }

    /// Drops what pages hold: `MADV_DONTNEED`.
    pub async fn dontneed(self, page: u64, pages: u64) -> Result<u64, Errno> {
        madvise_dontneed(self.cpu, address(page), address(page + pages)).await.map(|()| 0)
    }

    /// Reads the first word of a page.
    pub async fn read(self, page: u64) -> Result<u64, Errno> {
        Ok(user_access(self.cpu, address(page), DataOp::Read).await?)
    }

    /// Writes the first word of a page.
    pub async fn write(self, page: u64, value: u64) -> Result<u64, Errno> {
        Ok(user_access(self.cpu, address(page), DataOp::Write(value)).await?)
    }

    /// Makes a child of the process that it is in.
    pub async fn fork(self) -> Result<MmId, Errno> {
        sys_fork(self.cpu).await
    }

    /// Ends the process that it is in.
    pub async fn exit(self) {
        self.machine.watch.tell(**self.cpu, || "exits".to_owned());
        do_exit(self.cpu, self.task).await;
    }

    /// Ends another process.
    pub async fn exit_of(self, mm: MmId) {
        self.enter(mm).await;
        self.exit().await;
    }

    /// Waits until the stores of the CPU are in memory, because tests look at memory.
    pub async fn drained(self) {
        self.cpu.rmw(Shared::at(self.machine.scratch), |word: u64| word).await;
    }
}

/// The address of a page.
pub fn address(page: u64) -> VirtAddr {
    VirtAddr(page << 12)
}
