//! A scenario on a machine: built and set up once, run many times.

mod script;
mod state;

use std::rc::Rc;

use sim_core::source::Source;
use sim_core::{CpuId, Executor, Loc, MemoryBuilder, Outcome, TaskId};
use sim_gup::callers::Pipe;
use sim_mm::{Kernel, KernelConfig, MachineConfig, SpeculativeWalk};
use sim_mmu::Geometry;

use crate::oracle::{Finding, Watch, deadlock, livelock};
use crate::scenario::{Check, MachineSpec, Scenario, What};
use script::Script;
use state::State;

/// Steps after which a run counts as a livelock.
pub const STEP_BOUND: u64 = 100_000;

/// Frames that the kernel takes before anything runs.
const RESERVED_FRAMES: u64 = 2;

/// Kept values that an exhaustive search tells apart.
const VALUES: u32 = 64;

/// A machine with a scenario's processes set up on it.
pub struct World<'s> {
    /// What it runs.
    pub scenario: &'s Scenario,
    /// The machine.
    pub kernel: Kernel,
    watch: Rc<Watch>,
    pipes: Vec<(String, Pipe)>,
    /// For each process, a word that says that it exists.
    born: Loc,
    /// For each process, where its mappings are: a place that steps touch.
    names: Loc,
    /// The values that operations keep by name.
    values: Loc,
    /// Names of the processes: those of the scenario, then those that forks make.
    processes: Vec<String>,
    state: std::cell::RefCell<State>,
    base: std::cell::RefCell<State>,
}

/// Why a scenario could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An operation failed.
    #[error("{path}: the operation failed with {errno} while `{process}` was set up")]
    Failed {
        /// Its JSON path.
        path: String,
        /// The process.
        process: String,
        /// What it returned.
        errno: String,
    },
    /// An oracle found something before the first schedule.
    #[error("processes[{index}].setup: {finding} while `{process}` was set up")]
    Violation {
        /// Which process.
        index: usize,
        /// Its name.
        process: String,
        /// What was found.
        finding: String,
    },
    /// There is no frame for a process.
    #[error("machine.frames: {frames} frames are too few for {processes} processes")]
    TooSmall {
        /// Frames of the machine.
        frames: u64,
        /// Processes of the scenario.
        processes: usize,
    },
}

/// How a run ended, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunSummary {
    /// Steps taken.
    pub steps: u64,
    /// Whether an oracle found something.
    pub violation: bool,
}

impl<'s> World<'s> {
    /// Builds the machine and sets the scenario's processes up, one after the other, on CPU 0.
    ///
    /// # Errors
    /// If a set-up operation fails, or an oracle finds something already.
    pub fn new(
        scenario: &'s Scenario,
        machine: MachineSpec,
        kernel: KernelConfig,
    ) -> Result<World<'s>, SetupError> {
        let all_ops = || {
            let setup = scenario.processes.iter().flat_map(|process| &process.setup);
            setup.chain(scenario.threads.iter().flat_map(|thread| &thread.run))
        };
        let mut processes: Vec<String> = scenario.processes.iter().map(|process| process.name.clone()).collect();
        let mut pipe_names: Vec<&str> = Vec::new();
        for op in all_ops() {
            match &op.what {
                What::Fork { name } => processes.push(name.clone()),
                What::Vmsplice { pipe, .. } if !pipe_names.contains(&pipe.as_str()) => pipe_names.push(pipe),
                _ => {}
            }
        }
        let mut memory = MemoryBuilder::default();
        let pipes = pipe_names.iter().map(|name| ((*name).to_owned(), Pipe::new(&mut memory, name))).collect();
        let born = memory.words("process.born", processes.len());
        let geometry = Geometry::new(machine.entries_per_table).unwrap_or_default();
        let config = MachineConfig {
            cpus: machine.cpus,
            geometry,
            frames: machine.frames,
            refcount_bits: machine.refcount_bits,
            mms: processes.len(),
            // Every operation makes at most two more than it found, and a child has what its parent has.
            vmas: processes.len() * (2 + 2 * all_ops().count()),
            tasks: scenario.threads.len() + scenario.processes.len(),
            platform: machine.platform,
            kernel,
        };
        let kernel = Kernel::new(memory, config);
        let watch = Rc::new(Watch::new(
            kernel.core(),
            machine.frames,
            geometry.entries(),
            RESERVED_FRAMES,
            processes.len(),
        ));
        kernel.set_observer(Some(watch.clone()));
        let names = kernel.core().reserve_places(processes.len());
        let values = kernel.core().reserve_places(VALUES as usize);
        let state = State::new(processes.len());
        let world = World {
            scenario,
            kernel,
            watch,
            pipes,
            born,
            names,
            values,
            processes,
            state: std::cell::RefCell::new(state.clone()),
            base: std::cell::RefCell::new(state),
        };
        world.set_up()?;
        Ok(world)
    }

    fn process(&self, name: &str) -> usize {
        let index = self.processes.iter().position(|process| process == name);
        index.expect("the loader checked the names of processes")
    }

    fn pipe(&self, name: &str) -> &Pipe {
        let found = self.pipes.iter().find(|(pipe, _)| pipe == name);
        &found.expect("the loader checked the names of pipes").1
    }

    fn set_up(&self) -> Result<(), SetupError> {
        self.kernel.core().set_source(Source::First);
        // Names of routines, so that what a finding says of the time before the runs is as full.
        self.kernel.core().set_traced(true);
        for (index, process) in self.scenario.processes.iter().enumerate() {
            let script = Script::setup(self, index, &process.setup);
            self.set_up_one(&script)?;
            let failed = self.state.borrow().failure(script.task);
            if let Some((op, errno)) = failed {
                return Err(SetupError::Failed {
                    path: process.setup[op].path.clone(),
                    process: process.name.clone(),
                    errno: errno.to_string(),
                });
            }
            if let Some(finding) = self.watch.findings().first() {
                return Err(SetupError::Violation {
                    index,
                    process: process.name.clone(),
                    finding: finding.message.clone(),
                });
            }
        }
        self.kernel.core().set_traced(false);
        self.enlist_threads();
        self.kernel.settle();
        if self.kernel.config.platform.speculative_walk == SpeculativeWalk::On {
            self.kernel.mmu.speculate_for(self.state.borrow().pages());
        }
        self.state.borrow_mut().forget_results();
        self.base.replace(self.state.borrow().clone());
        self.kernel.checkpoint();
        self.watch.checkpoint();
        Ok(())
    }

    fn set_up_one(&self, script: &Script<'_>) -> Result<(), SetupError> {
        let mut executor = Executor::new(self.kernel.core(), &self.kernel);
        executor.spawn(CpuId(0), script.task, Box::pin(script.run_setup()));
        let outcome = executor.run(STEP_BOUND);
        if !matches!(outcome, Outcome::Completed | Outcome::Stopped) || !script.made_process() {
            return Err(SetupError::TooSmall {
                frames: self.kernel.config.frames,
                processes: self.scenario.processes.len(),
            });
        }
        executor.clear();
        Ok(())
    }

    /// Gives every thread the address space of its process, if that exists already.
    fn enlist_threads(&self) {
        for (process, name) in self.processes.iter().enumerate() {
            let Some(mm) = self.state.borrow().mms[process] else { continue };
            let threads = self.scenario.threads.iter().enumerate().filter(|(_, thread)| thread.process == *name);
            for (nth, (thread, _)) in threads.enumerate() {
                self.kernel.set_task_mm(TaskId(thread as u8), Some(mm));
                if nth > 0 {
                    self.kernel.adopt(mm);
                }
            }
        }
    }

    /// An executor for runs of this world.
    pub fn executor(&self) -> Executor<'_, Kernel> {
        Executor::new(self.kernel.core(), &self.kernel)
    }

    /// Turns the event log on or off for the runs to come.
    pub fn set_traced(&self, on: bool) {
        self.kernel.core().set_traced(on);
        self.watch.keep_log(on);
    }

    /// What watches the machine.
    pub fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// Runs the threads once from the start, with decisions from the core's source.
    pub fn run<'m>(&'m self, executor: &mut Executor<'m, Kernel>, step_bound: u64) -> RunSummary {
        self.watch.set_enabled(false);
        executor.clear();
        self.kernel.rewind();
        self.state.borrow_mut().clone_from(&self.base.borrow());
        self.watch.set_enabled(true);
        self.watch.rewind();
        let mut started = 0_u64;
        for (index, thread) in self.scenario.threads.iter().enumerate() {
            let (cpu, task) = (CpuId(thread.cpu), TaskId(index as u8));
            if started & 1 << thread.cpu == 0 {
                started |= 1 << thread.cpu;
                self.kernel.preset(cpu, task);
            }
            executor.spawn(cpu, task, Box::pin(Script::thread(self, index, cpu).run()));
        }
        let outcome = executor.run(step_bound);
        let steps = self.kernel.core().steps();
        match outcome {
            Outcome::Stopped | Outcome::Pruned => {}
            Outcome::Completed => {
                self.watch.judge_at_rest(&self.kernel);
                self.check_values();
            }
            Outcome::Deadlock(blocked) => {
                let name = |blocked: &sim_core::Blocked| match blocked.task {
                    _ if blocked.in_handler => "an interrupt handler",
                    Some(task) => self.scenario.threads.get(usize::from(task.0)).map_or("a task", |t| &t.name),
                    None => "a task",
                };
                let core = self.kernel.core();
                let stack = |cpu: CpuId| sim_core::Cpu { core, id: cpu }.routines();
                let describe = |blocked: &sim_core::Blocked| {
                    let what = core.memory.describe(blocked.op.loc);
                    format!("{} on {} waits for {what}", name(blocked), blocked.cpu)
                };
                self.watch.add(deadlock(&blocked, steps, stack, describe));
            }
            Outcome::StepBound => self.watch.add(livelock(step_bound)),
        }
        RunSummary { steps, violation: self.watch.found() }
    }

    /// The oracles' findings of the last run, the one to speak of first.
    pub fn findings(&self) -> Vec<Finding> {
        self.watch.findings()
    }

    fn check_values(&self) {
        let state = self.state.borrow();
        for (index, check) in self.scenario.checks.iter().enumerate() {
            let message = match check {
                Check::Value { of, one_of } => state
                    .value(of)
                    .filter(|value| !one_of.contains(value))
                    .map(|value| format!("`{of}` is {value}, not one of {one_of:?}")),
                Check::Returned { thread, op, one_of } => {
                    let task = self.scenario.threads.iter().position(|t| t.name == *thread);
                    task.and_then(|task| state.returned(TaskId(task as u8), *op))
                        .filter(|value| !one_of.contains(value))
                        .map(|value| {
                            format!("operation {op} of `{thread}` returned {value}, not one of {one_of:?}")
                        })
                }
            };
            if let Some(message) = message {
                self.watch.add(state::check_failed(index, message, self.kernel.core().steps()));
            }
        }
    }

    /// The address space that a process got, and its name: for those who tell what happened.
    pub fn process_names(&self) -> Vec<(sim_mm::MmId, String)> {
        let state = self.state.borrow();
        let named = self.processes.iter().zip(&state.mms);
        named.filter_map(|(name, mm)| mm.map(|mm| (mm, name.clone()))).collect()
    }

    /// What a scenario calls a page of an address space: `buf+1`.
    pub fn page_name(&self, mm: sim_mm::MmId, va: sim_mmu::VirtAddr) -> Option<String> {
        self.state.borrow().page_name(mm, va)
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        self.watch.set_enabled(false);
        self.kernel.set_observer(None);
    }
}
