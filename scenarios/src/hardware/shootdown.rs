//! The cost of a TLB flush: the routine of the kernel on a machine with clocks.
//!
//! A process has a thread on each CPU, and all of them have touched its pages. The thread on CPU 0 gives the pages back
//! with `madvise(MADV_DONTNEED)`. The clock of CPU 0 is measured from the beginning of `flush_tlb_mm_range()` to its end.
//! The other CPUs run user code until the interrupt comes.
//!
//! Nothing here knows what a flush does. Its cost is affine in CPUs, and linear in pages up to a ceiling. This follows from
//! the code of the kernel and from the profile of the processor.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sim_core::source::{Source, Timed};
use sim_core::{Array, CpuId, Executor, Gate, MemoryBuilder, Outcome, Shared, TaskId, record};
use sim_mm::arch::fault::user_access;
use sim_mm::{
    Cpu, Event, Flush, GupCalls, Kernel, KernelConfig, MachineConfig, MmId, Mmap, Observer, Prot, Release,
    Settings, madvise_dontneed, start_task_in, sys_mmap,
};
use sim_mmu::{Account, DataOp, Geometry, Policy, Profile, Spent, VirtAddr};

/// The most CPUs of a machine.
pub const MOST_CPUS: usize = 64;

/// The most pages of a flush.
pub const MOST_PAGES: u64 = 64;

/// The number of pages that CPU 0 goes on using. They are not flushed, but a flush may drop their translations too.
pub const IN_USE: u64 = 64;

/// How the other CPUs hear of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By an interrupt to each, whose handler invalidates.
    Ipi,
    /// By INVLPGB and TLBSYNC. The other CPUs do nothing for it.
    Invlpgb,
}

impl Transport {
    /// Its name on the command line and in documents.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Ipi => "ipi",
            Transport::Invlpgb => "invlpgb",
        }
    }

    fn platform(self) -> Settings {
        let flush = match self {
            Transport::Ipi => Flush::Ipi,
            Transport::Invlpgb => Flush::NoIpi,
        };
        Settings::default().with(flush)
    }
}

/// The costs of one flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Cycles of CPU 0, from the beginning of the flush to its end.
    pub flush: u64,
    /// Cycles of CPU 0 for the whole system call.
    pub call: u64,
    /// The extra cycles that CPU 0 needs right after the flush to read [`IN_USE`] other pages, which it had cached before.
    pub refill: u64,
    /// What the cycles of the flush were spent on, on CPU 0.
    pub initiator: Account,
    /// What the flush took from each of the other CPUs. The time in which they wait does not count.
    pub others: Vec<Account>,
}

impl Measured {
    /// Cycles that the flush took from CPU `cpu`, if that is one of the others.
    pub fn taken_from(&self, cpu: usize) -> u64 {
        let other = cpu.checked_sub(1).and_then(|n| self.others.get(n));
        other.map_or(0, |account| account.total() - account.cycles(Spent::Wait))
    }
}

record! {
    /// One measured flush.
    struct Round {
        go: Shared<u64> = "go";
        left: Shared<u64> = "left";
    }
}

/// A machine on which flushes of one transport are measured, with one number of CPUs.
pub struct Shootdown {
    kernel: Kernel,
    watch: Rc<Stopwatch>,
    cpus: usize,
    /// The first of the pages that are flushed.
    at: VirtAddr,
    /// The first of the pages that CPU 0 goes on using.
    in_use: VirtAddr,
    /// Two words for each round. One says whether the pages are there. The other counts the CPUs that have not touched them yet.
    rounds: Array<Round>,
}

/// The number of rounds. The first round warms the caches, so that the measured flush is like many before it.
const ROUNDS: u32 = 2;

/// The number of frames for tables, for the zero page and for the kernel's own root. It is several times what is needed.
const SPARE_FRAMES: u64 = 64;

/// The bound on steps. A run has far fewer.
const ENDLESS: u64 = 100_000_000;

/// A call of `mmap()` for so many pages that can be read and written.
fn room(pages: u64) -> Mmap<'static> {
    Mmap { pages, prot: Prot::READ_WRITE, ..Mmap::default() }
}

impl Shootdown {
    /// A machine of `cpus` CPUs, up to [`MOST_CPUS`].
    pub fn new(transport: Transport, cpus: usize, profile: Rc<Profile>) -> Shootdown {
        let mut memory = MemoryBuilder::default();
        let rounds = memory.array("round", ROUNDS as usize);
        let config = MachineConfig {
            cpus,
            geometry: Geometry::default(),
            frames: MOST_PAGES + SPARE_FRAMES,
            refcount_bits: 32,
            mms: 1,
            vmas: 16,
            files: 0,
            tasks: cpus,
            platform: transport.platform(),
            kernel: KernelConfig::of_release(sim_mm::CATALOGUE, Release::LATEST),
        };
        let mut kernel = Kernel::new(memory, config, GupCalls::NONE);
        kernel.mmu.policy = Policy::Profile;
        let watch = Rc::new(Stopwatch::default());
        let mut shootdown = Shootdown { kernel, watch, cpus, at: VirtAddr(0), in_use: VirtAddr(0), rounds };
        (shootdown.at, shootdown.in_use) = shootdown.set_up();
        shootdown.kernel.set_observer(Some(shootdown.watch.clone()));
        shootdown.kernel.mmu.set_profile(Some(profile));
        shootdown
    }

    /// Makes the process. Maps as many pages as a flush may have, and the pages that stay in use.
    fn set_up(&self) -> (VirtAddr, VirtAddr) {
        let core = self.kernel.core();
        let made = Cell::new(None);
        let mut executor = Executor::new(core, &self.kernel);
        core.set_source(Source::First);
        let code = async {
            let cpu = Cpu::new(&self.kernel, CpuId(0));
            let mm = self.kernel.new_process(cpu.id).await.expect("an empty machine has a frame");
            self.kernel.set_task_mm(TaskId(0), Some(mm));
            start_task_in(cpu, self.kernel.mm(mm)).await;
            let at = sys_mmap(cpu, room(MOST_PAGES)).await.expect("an empty address space has room");
            let in_use = sys_mmap(cpu, room(IN_USE)).await.expect("an empty address space has room");
            made.set(Some((mm, at, in_use)));
        };
        executor.spawn(CpuId(0), TaskId(0), Box::pin(code));
        let outcome = executor.run(ENDLESS);
        assert!(matches!(outcome, Outcome::Completed), "simulator defect: set-up ends with {outcome:?}");
        executor.clear();
        drop(executor);
        let (mm, at, in_use) = made.get().expect("set-up ran to its end");
        self.enlist(mm);
        self.kernel.settle();
        self.kernel.checkpoint();
        (at, in_use)
    }

    /// Gives every CPU a task in the process.
    fn enlist(&self, mm: MmId) {
        for task in 1..self.cpus as u8 {
            self.kernel.set_task_mm(TaskId(task), Some(mm));
            self.kernel.adopt(mm);
        }
        for round in 0..ROUNDS {
            self.kernel.core().memory.set(self.left(round).loc(), self.cpus as u64 - 1);
        }
    }

    fn go(&self, round: u32) -> Shared<u64> {
        self.rounds.at(round as usize).go()
    }

    fn left(&self, round: u32) -> Shared<u64> {
        self.rounds.at(round as usize).left()
    }

    /// Measures a flush of `pages` pages, up to [`MOST_PAGES`].
    pub fn measure(&self, pages: u64) -> Measured {
        let core = self.kernel.core();
        self.kernel.rewind();
        self.watch.reset();
        core.set_source(Source::Timed(Timed::exact()));
        let mut executor = Executor::new(core, &self.kernel);
        for (cpu, task) in CpuId::all(self.cpus).zip((0..).map(TaskId)) {
            self.kernel.preset(cpu, task);
            let cpu = Cpu::new(&self.kernel, cpu);
            if cpu.id == CpuId(0) {
                executor.spawn(cpu.id, task, Box::pin(self.initiator(cpu, pages)));
            } else {
                executor.spawn(cpu.id, task, Box::pin(self.bystander(cpu, pages)));
            }
        }
        let outcome = executor.run(ENDLESS);
        assert!(matches!(outcome, Outcome::Completed), "simulator defect: a run ends with {outcome:?}");
        let measured = self.watch.read(&self.kernel);
        executor.clear();
        measured
    }

    /// The thread that flushes. It writes the pages, waits until the others have touched them, and gives them back.
    async fn initiator(&self, cpu: Cpu<'_>, pages: u64) {
        for round in 0..ROUNDS {
            for page in 0..pages {
                let written = user_access(cpu, self.at.plus_pages(page), DataOp::Write(page)).await;
                written.expect("the machine has frames for all pages");
            }
            cpu.store(self.go(round), 1).await;
            cpu.wait(Gate::Zero(self.left(round).loc())).await;
            self.read_what_is_in_use(cpu).await;
            let cached = self.read_what_is_in_use(cpu).await;
            let begun = self.kernel.core().cycles(cpu.id);
            madvise_dontneed(cpu, self.at, self.at.plus_pages(pages)).await.expect("the pages are mapped");
            self.watch.call.set(self.kernel.core().cycles(cpu.id) - begun);
            let again = self.read_what_is_in_use(cpu).await;
            self.watch.refill.set(again.saturating_sub(cached));
        }
    }

    /// Reads the pages that stay in use. Answers the cycles that this took.
    async fn read_what_is_in_use(&self, cpu: Cpu<'_>) -> u64 {
        let begun = self.kernel.core().cycles(cpu.id);
        for page in 0..IN_USE {
            let read = user_access(cpu, self.in_use.plus_pages(page), DataOp::Read).await;
            read.expect("the pages are mapped");
        }
        self.kernel.core().cycles(cpu.id) - begun
    }

    /// A thread that touches the pages when they are there.
    async fn bystander(&self, cpu: Cpu<'_>, pages: u64) {
        for round in 0..ROUNDS {
            cpu.wait(Gate::NonZero(self.go(round).loc())).await;
            for page in 0..pages {
                let read = user_access(cpu, self.at.plus_pages(page), DataOp::Read).await;
                read.expect("the pages are mapped");
            }
            cpu.rmw(self.left(round), |left| left - 1).await;
        }
    }
}

/// Looks at the clocks when a flush begins and ends.
#[derive(Default)]
struct Stopwatch {
    /// CPU 0's clock, and all accounts, when the last flush began.
    begun: RefCell<(u64, Vec<Account>)>,
    /// The cycles that the last flush took on CPU 0.
    done: RefCell<Option<(u64, Account)>>,
    call: Cell<u64>,
    refill: Cell<u64>,
}

impl Stopwatch {
    fn reset(&self) {
        self.begun.take();
        self.done.take();
    }

    /// The costs of the last flush. They are known at the end of the run, because handlers return after the flush.
    fn read(&self, kernel: &Kernel) -> Measured {
        let (flush, initiator) = self.done.take().expect("the pages are flushed");
        let (_, begun) = self.begun.take();
        let others = (1..).zip(begun.iter().skip(1)).map(|(cpu, begun)| account(kernel, CpuId(cpu)).since(begun));
        Measured { flush, call: self.call.get(), refill: self.refill.get(), initiator, others: others.collect() }
    }
}

fn account(kernel: &Kernel, cpu: CpuId) -> Account {
    kernel.mmu.account(cpu).expect("a profile is installed")
}

impl Observer for Stopwatch {
    fn kernel(&self, cpu: Cpu<'_>, event: &Event) {
        let (core, kernel) = (cpu.kernel.core(), cpu.kernel);
        match event {
            Event::FlushBegun { .. } => {
                let accounts = CpuId::all(core.config.cpus).map(|cpu| account(kernel, cpu)).collect();
                self.begun.replace((core.cycles(cpu.id), accounts));
            }
            Event::FlushDone { .. } => {
                let begun = self.begun.borrow();
                let spent = account(kernel, cpu.id).since(&begun.1[cpu.id.index()]);
                self.done.replace(Some((core.cycles(cpu.id) - begun.0, spent)));
            }
            _ => {}
        }
    }
}

impl sim_mmu::Observer for Stopwatch {
    fn hardware(&self, _: sim_mmu::Cpu<'_>, _: &sim_mmu::Event) {}
}

impl sim_core::Observer for Stopwatch {
    fn observe(&self, _: &sim_core::Core, _: CpuId, _: sim_core::Event) {}
}
