//! Running a recorded operation on the simulated kernel: one function for each.
//!
//! This is where a new system call comes in: an arm in `operation()` and its function, which says with which
//! arguments the operation is modelled. Everything else is not modelled, and ends the comparison there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;

use sim_core::source::Source;
use sim_core::{CpuId, Executor, MemoryBuilder, Outcome, TaskId};
use sim_gup::callers::{Pipe, pipe_read, vmsplice};
use sim_mm::arch::fault::{Killed, user_access};
use sim_mm::{
    Cpu, Errno, Kernel, KernelConfig, MachineConfig, MmId, Page, Settings, exit_mm, madvise_dontneed,
    start_task_in, sys_fork, sys_mmap, sys_munmap,
};
use sim_mmu::{DataOp, Geometry, VirtAddr};

use super::program::{PROCESSES, Setting, Step};
use super::trace::{Access, Args, Returned};

/// Frames of the machine: four processes with a quarter of the usual window each, and room for what is
/// held by pipes.
pub const FRAMES: u64 = 8192;

/// Address spaces of a program: those that ended are not used again.
const MMS: usize = 64;

/// Steps of the machine that no operation needs.
const STEP_BOUND: u64 = 100_000_000;

/// All programs run on one CPU.
const CPU: CpuId = CpuId(0);

/// A machine that programs run on, one after the other.
pub struct Machine {
    /// Its kernel.
    pub kernel: Kernel,
    pipes: [Pipe; 2],
    /// The processes that are alive.
    processes: RefCell<BTreeMap<u8, MmId>>,
}

/// Mappings of all processes at a time: each page of the window by itself.
const VMAS: usize = 4 * 4096;

impl Machine {
    /// A machine with a kernel on which nothing runs.
    pub fn new(kernel: KernelConfig) -> Machine {
        let mut memory = MemoryBuilder::default();
        let pipes = ["0", "1"].map(|name| Pipe::new(&mut memory, name));
        let config = MachineConfig {
            cpus: 1,
            geometry: Geometry::default(),
            frames: FRAMES,
            refcount_bits: 32,
            mms: MMS,
            vmas: VMAS,
            tasks: usize::from(PROCESSES),
            platform: Settings::default(),
            kernel,
        };
        let machine = Machine { kernel: Kernel::new(memory, config), pipes, processes: RefCell::default() };
        machine.kernel.core().set_source(Source::First);
        machine.kernel.checkpoint();
        machine
    }

    /// References to a page that wait in a pipe.
    fn in_pipes(&self, page: Page) -> u64 {
        self.pipes.iter().map(|pipe| pipe.references(page)).sum()
    }

    /// The processes that are alive.
    pub fn processes(&self) -> BTreeMap<u8, MmId> {
        self.processes.borrow().clone()
    }
}

/// A program under way.
pub struct Replay<'m> {
    machine: &'m Machine,
    executor: Executor<'m, Kernel>,
    setting: Setting,
}

/// What came of a step.
pub enum Done {
    /// The operation ran to its end.
    Returned(Returned),
    /// The kernel does not know the operation, or not with these arguments.
    NotModelled,
    /// The operation did not come to its end.
    Stuck(String),
}

/// An operation as code.
type Code<'m> = Pin<Box<dyn Future<Output = Returned> + 'm>>;

impl<'m> Replay<'m> {
    /// Takes the machine back to its start, and makes process 0 with nothing mapped.
    pub fn begin(machine: &'m Machine, setting: Setting) -> Replay<'m> {
        let kernel = &machine.kernel;
        kernel.rewind();
        machine.processes.borrow_mut().clear();
        let mut replay = Replay { machine, executor: Executor::new(kernel.core(), kernel), setting };
        let code = async {
            if let Ok(mm) = kernel.new_process(CPU).await {
                kernel.set_task_mm(TaskId(0), Some(mm));
                machine.processes.borrow_mut().insert(0, mm);
            }
        };
        replay.executor.spawn(CPU, TaskId(0), Box::pin(code));
        replay.executor.run(STEP_BOUND);
        replay.executor.clear();
        replay
    }

    /// Runs a step.
    pub fn step(&mut self, step: &Step) -> Done {
        let kernel = &self.machine.kernel;
        let Some(mm) = self.machine.processes.borrow().get(&step.process).copied() else {
            return Done::Stuck(format!("there is no process {}", step.process));
        };
        let task = TaskId(step.process);
        let actor =
            Actor { machine: self.machine, cpu: Cpu::new(kernel, CPU), task, mm, window: self.setting.window };
        let Some(code) = operation(actor, &step.op, &step.args) else { return Done::NotModelled };
        let faults = kernel.min_flt.get();
        let returned = std::rc::Rc::new(RefCell::new(None));
        let answer = returned.clone();
        let whole = async move {
            start_task_in(actor.cpu, actor.machine.kernel.mm(mm)).await;
            let value = code.await;
            answer.replace(Some(value));
        };
        self.executor.spawn(CPU, task, Box::pin(whole));
        let outcome = self.executor.run(kernel.core().steps() + STEP_BOUND);
        self.executor.clear();
        match (outcome, returned.take()) {
            (Outcome::Completed, Some(returned)) => match kernel.check(|page| self.machine.in_pipes(page)) {
                Ok(()) => Done::Returned(Returned { minflt: kernel.min_flt.get() - faults, ..returned }),
                Err(wrong) => Done::Stuck(format!("its books do not add up afterwards: {wrong}")),
            },
            (Outcome::Deadlock(blocked), _) => {
                let what = blocked.first().map(|blocked| kernel.core().memory.describe(blocked.op.loc));
                Done::Stuck(format!("it waits for {} for ever", what.unwrap_or_default()))
            }
            _ => Done::Stuck(format!("it is not done after {STEP_BOUND} steps")),
        }
    }
}

/// The process that acts.
#[derive(Clone, Copy)]
struct Actor<'m> {
    machine: &'m Machine,
    cpu: Cpu<'m>,
    task: TaskId,
    mm: MmId,
    window: VirtAddr,
}

/// The code of an operation; `None` if it is not modelled.
fn operation<'m>(actor: Actor<'m>, op: &str, args: &Args) -> Option<Code<'m>> {
    match op {
        "mmap" => mmap(actor, args),
        "munmap" => munmap(actor, args),
        "madvise" => madvise(actor, args),
        "touch" => touch(actor, args),
        "fork" => fork(actor, args),
        "exit" => Some(exit(actor)),
        "vmsplice" => vmsplice_pages(actor, args),
        "pipe_read" => read_pipe(actor, args),
        _ => None,
    }
}

impl Actor<'_> {
    /// The addresses of `n` pages from `pg` on.
    fn range(&self, args: &Args) -> Option<(VirtAddr, VirtAddr)> {
        let start = self.window.plus_pages(args.pg?);
        Some((start, start.plus_pages(args.n?)))
    }

    fn pipe(&self, args: &Args) -> Option<usize> {
        args.slot.filter(|slot| *slot < self.machine.pipes.len())
    }
}

/// What a system call returns.
fn returned(result: Result<i64, Errno>) -> Returned {
    match result {
        Ok(ret) => Returned { ret: Some(ret), ..Returned::default() },
        Err(errno) => Returned { err: Some(errno.to_string()), ..Returned::default() },
    }
}

/// Notes what came of the access to a page: one more of the last run, or a new one.
fn note(runs: &mut Vec<(u64, u64, Access)>, page: u64, access: Access) {
    match runs.last_mut() {
        Some((first, pages, last)) if *first + *pages == page && *last == access => *pages += 1,
        _ => runs.push((page, 1, access)),
    }
}

/// Private anonymous memory, readable and perhaps writable, at a fixed place.
fn mmap<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    let pages = args.n?;
    let writable = match args.prot.as_deref()? {
        "r" => false,
        "rw" => true,
        _ => return None,
    };
    let replaces = match args.flags.as_deref()? {
        "fixed" => true,
        "noreplace" => false,
        _ => return None,
    };
    if args.kind.as_deref() != Some("anon") || args.share.as_deref() != Some("private") {
        return None;
    }
    Some(Box::pin(async move {
        // MAP_FIXED takes away first what is there. Nobody looks between the two.
        if replaces && let Err(errno) = sys_munmap(actor.cpu, start, end).await {
            return returned(Err(errno));
        }
        returned(sys_mmap(actor.cpu, pages, writable, Some(start)).await.map(|_| 0))
    }))
}

fn munmap<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    Some(Box::pin(async move { returned(sys_munmap(actor.cpu, start, end).await.map(|()| 0)) }))
}

/// `MADV_DONTNEED`.
fn madvise<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, end) = actor.range(args)?;
    if args.adv.as_deref() != Some("DONTNEED") {
        return None;
    }
    Some(Box::pin(async move { returned(madvise_dontneed(actor.cpu, start, end).await.map(|()| 0)) }))
}

/// Loads and stores of user code.
fn touch<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (page, pages) = (args.pg?, args.n?);
    if args.via.as_deref() != Some("user") {
        return None;
    }
    let data = match args.acc.as_deref()? {
        "read" => DataOp::Read,
        "write" => DataOp::Write(u64::from(args.val?)),
        _ => return None,
    };
    Some(Box::pin(async move {
        let mut accesses = Vec::new();
        for page in page..page + pages {
            let va = actor.window.plus_pages(page);
            let access = match user_access(actor.cpu, va, data).await {
                Ok(word) => Access::Value(word as u8),
                Err(Killed::Signal(signal)) => Access::Failed(signal.to_string()),
                Err(killed) => Access::Failed(Errno::from(killed).to_string()),
            };
            note(&mut accesses, page, access);
        }
        Returned { ret: Some(0), acc: accesses, ..Returned::default() }
    }))
}

fn fork<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let child = args.child?;
    Some(Box::pin(async move {
        let forked = sys_fork(actor.cpu).await;
        if let Ok(mm) = forked {
            actor.machine.kernel.set_task_mm(TaskId(child), Some(mm));
            actor.machine.processes.borrow_mut().insert(child, mm);
        }
        returned(forked.map(|_| 0))
    }))
}

fn exit(actor: Actor<'_>) -> Code<'_> {
    Box::pin(async move {
        exit_mm(actor.cpu, actor.task).await;
        actor.machine.processes.borrow_mut().remove(&actor.task.0);
        returned(Ok(0))
    })
}

fn vmsplice_pages<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, _) = actor.range(args)?;
    let (pages, slot) = (args.n?, actor.pipe(args)?);
    Some(Box::pin(async move {
        let spliced = vmsplice(actor.cpu, &actor.machine.pipes[slot], start, pages).await;
        returned(spliced.map(|nr| nr as i64))
    }))
}

/// Reads without waiting, a byte of each buffer.
fn read_pipe<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (wanted, slot) = (args.n?, actor.pipe(args)?);
    Some(Box::pin(async move {
        let pipe = &actor.machine.pipes[slot];
        let mut bytes = Vec::new();
        let mut nr = 0;
        while nr < wanted && !pipe.is_empty() {
            let word = pipe_read(actor.cpu, pipe, actor.mm).await;
            note(&mut bytes, nr, Access::Value(word as u8));
            nr += 1;
        }
        if nr == 0 && wanted > 0 {
            return Returned { err: Some("EAGAIN".to_owned()), ..Returned::default() };
        }
        Returned { ret: Some(nr as i64), acc: bytes, ..Returned::default() }
    }))
}
