//! A scenario on a machine: built and set up once, run many times.

mod script;
mod tally;

pub use tally::{Failed, Tally, Values, told_failed, told_unchecked};

use std::cell::Cell;
use std::rc::Rc;

use sim_core::source::Source;
use sim_core::{CpuId, Executor, Outcome, TaskId};
use sim_gup::CATALOGUE;
use sim_mm::{Errno, Kernel, KernelConfig, MachineConfig, Release, SoftDirty, SpeculativeWalk};

use crate::json::LoadErrors;
use crate::operation::{Mention, Noun, Statement};
use crate::oracle::{Finding, Violation, Wait, Watch, Watched, check_failed, deadlock, livelock};
use crate::scenario::{Check, Final, MachineSpec, Scenario};
use crate::stage::{Cast, Mismatch, Stage};
use script::Script;
use tally::Checked;

/// Steps after which a run counts as a livelock.
pub const STEP_BOUND: u64 = 100_000;

/// A machine with a scenario's processes set up on it.
pub struct World<'s> {
    /// What it runs.
    pub scenario: &'s Scenario,
    stage: Stage,
    watch: Rc<Watch>,
    /// Which checks had a value to check in the last run, if it went to its end.
    checked: Cell<Option<Checked>>,
    /// Whether runs are counted by their outcomes.
    counts_outcomes: bool,
}

/// A scenario could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
pub struct SetupError {
    /// Why.
    pub why: SetupFault,
    told: LoadErrors,
}

/// Why a scenario could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupFault {
    /// An operation failed.
    #[error("`{tag}` failed with {errno} while process `{process}` was set up")]
    Failed {
        /// The operation.
        tag: &'static str,
        /// The process.
        process: String,
        /// What it returned.
        errno: Errno,
    },
    /// An oracle found something before the first schedule.
    #[error("{finding} while process `{process}` was set up")]
    Violation {
        /// The process.
        process: String,
        /// What was found.
        finding: String,
    },
    /// The kernel is older than an operation.
    #[error("`{tag}` came with {since}, and the kernel is of {version}")]
    TooOld {
        /// The operation.
        tag: &'static str,
        /// The first release that has it.
        since: Release,
        /// The release of the kernel.
        version: Release,
    },
    /// A page of the machine has fewer words than an operation asks for.
    #[error(
        "`{spot}` is outside of a page of this machine, which has {bytes} bytes: as many words as a table has entries"
    )]
    Outside {
        /// The bytes that are asked for.
        spot: String,
        /// Bytes that are simulated of a page.
        bytes: u32,
    },
    /// There is no frame for a process.
    #[error("{frames} frames are too few for {processes} processes")]
    TooSmall {
        /// Frames of the machine.
        frames: u64,
        /// Processes of the scenario.
        processes: usize,
    },
}

impl SetupFault {
    /// The error, at a path of the scenario's file.
    fn at(self, scenario: &Scenario, path: &str) -> SetupError {
        let told = scenario.error(path, self.to_string());
        SetupError { why: self, told }
    }
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
    /// If the kernel does not have an operation, if an operation of set-up fails, or if an oracle finds something in set-up.
    pub fn new(
        scenario: &'s Scenario,
        machine: MachineSpec,
        kernel: KernelConfig,
    ) -> Result<World<'s>, SetupError> {
        all_are_in(kernel.version, scenario)?;
        all_lie_in_frames(machine, scenario)?;
        let cast = cast(scenario);
        let statements = scenario.statements().count();
        let mms = cast.processes.len() + scenario.statements().filter(|statement| statement.replaces_mm()).count();
        let config = MachineConfig {
            cpus: machine.cpus,
            geometry: machine.geometry,
            frames: machine.frames,
            refcount_bits: machine.refcount_bits,
            mms,
            // Every operation makes at most four mappings more than it found (mremap(), if it splits the old place and the
            // new one). A child has the mappings of its parent.
            vmas: mms * (2 + 4 * statements),
            files: statements,
            tasks: scenario.threads.len() + scenario.processes.len(),
            platform: CATALOGUE.platform(kernel.version, &machine.platform),
            kernel,
        };
        let stage = Stage::new(cast, config);
        let core = stage.kernel.core();
        let watched = Watched {
            mem_map: stage.kernel.mem_map,
            reserved: config.boot_frames(),
            mms,
            disk: stage.kernel.has_disk(),
            slots: stage.kernel.swap_slots(),
            notes_writes: config.setting::<SoftDirty>() == SoftDirty::On,
        };
        let watch = Rc::new(Watch::new(core, watched));
        stage.kernel.set_observer(Some(watch.clone()));
        stage.kernel.tell_of_boot();
        let world = World { scenario, stage, watch, checked: Cell::new(None), counts_outcomes: false };
        world.set_up()?;
        Ok(world)
    }

    /// The machine.
    pub fn kernel(&self) -> &Kernel {
        &self.stage.kernel
    }

    fn set_up(&self) -> Result<(), SetupError> {
        self.kernel().core().set_source(Source::First);
        // The names of routines are kept, so that a finding can name those of set-up as well.
        self.kernel().core().set_traced(true);
        for (index, process) in self.scenario.processes.iter().enumerate() {
            let script = Script::setup(&self.stage, index, &process.setup);
            self.set_up_one(&script)?;
            let failed = self.stage.failure(script.task.id);
            if let Some((op, errno)) = failed {
                let statement = &process.setup[op];
                let why = SetupFault::Failed { tag: statement.tag(), process: process.name.clone(), errno };
                return Err(why.at(self.scenario, &statement.path));
            }
            let mismatches = self.stage.mismatches();
            if let Some((_, op, mismatch)) = mismatches.iter().find(|(task, ..)| *task == script.task.id) {
                let finding = mappings_differ(&process.name, *op, mismatch).to_string();
                let why = SetupFault::Violation { process: process.name.clone(), finding };
                return Err(why.at(self.scenario, &process.setup[*op].path));
            }
            if let Some(finding) = self.watch.findings().first() {
                let finding = finding.violation.to_string();
                let why = SetupFault::Violation { process: process.name.clone(), finding };
                return Err(why.at(self.scenario, &format!("processes[{index}].setup")));
            }
        }
        self.kernel().core().set_traced(false);
        self.stage.enlist_threads();
        self.stage.make_thread_groups();
        self.kernel().settle();
        if self.kernel().config.setting::<SpeculativeWalk>() == SpeculativeWalk::On {
            self.kernel().mmu.speculate_for(self.stage.pages());
        }
        self.stage.checkpoint();
        self.watch.checkpoint();
        Ok(())
    }

    fn set_up_one(&self, script: &Script<'_>) -> Result<(), SetupError> {
        let mut executor = self.executor();
        executor.spawn(CpuId(0), script.task.id, Box::pin(script.run()));
        let outcome = executor.run(STEP_BOUND);
        if !matches!(outcome, Outcome::Completed | Outcome::Stopped) || script.task.mm().is_err() {
            let (frames, processes) = (self.kernel().config.frames, self.scenario.processes.len());
            return Err(SetupFault::TooSmall { frames, processes }.at(self.scenario, "machine.frames"));
        }
        executor.clear();
        Ok(())
    }

    /// An executor for runs of this world.
    pub fn executor(&self) -> Executor<'_, Kernel> {
        Executor::new(self.kernel().core(), self.kernel())
    }

    /// Turns the event log on or off for the runs to come.
    pub fn set_traced(&self, on: bool) {
        self.kernel().core().set_traced(on);
        self.watch.keep_log(on);
    }

    /// The observer of the machine.
    pub fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// Runs the threads once from the start, with decisions from the core's source.
    pub fn run<'m>(&'m self, executor: &mut Executor<'m, Kernel>, step_bound: u64) -> RunSummary {
        self.watch.set_enabled(false);
        executor.clear();
        self.stage.rewind();
        self.watch.set_enabled(true);
        self.watch.rewind();
        self.checked.set(None);
        let mut started = 0_u64;
        for (index, thread) in self.scenario.threads.iter().enumerate() {
            let (cpu, task) = (CpuId(thread.cpu), TaskId(index as u8));
            if started & 1 << thread.cpu == 0 {
                started |= 1 << thread.cpu;
                self.kernel().preset(cpu, task);
            }
            executor.spawn(cpu, task, Box::pin(Script::thread(&self.stage, index, cpu, &thread.run).run()));
        }
        let outcome = executor.run(step_bound);
        let steps = self.kernel().core().steps();
        let is_idle = |blocked: &sim_core::Blocked| {
            let task = blocked.task.filter(|_| !blocked.in_handler);
            task.is_some_and(|task| self.kernel().has_nothing_to_do(task, blocked.op.loc))
        };
        let outcome = match outcome {
            Outcome::Deadlock(blocked) if blocked.iter().all(is_idle) => Outcome::Completed,
            outcome => outcome,
        };
        match outcome {
            Outcome::Stopped | Outcome::Pruned => {}
            Outcome::Completed => {
                self.watch.judge_at_rest(self.kernel());
                for Final { name, process, at, flag } in &self.scenario.finals {
                    self.stage.keep_final(name, process, at, *flag);
                }
                self.check_values();
            }
            Outcome::Deadlock(blocked) => {
                let name = |blocked: &sim_core::Blocked| match blocked.task {
                    _ if blocked.in_handler => "an interrupt handler",
                    Some(task) => self.scenario.threads.get(usize::from(task.0)).map_or("a task", |t| &t.name),
                    None => "a task",
                };
                let core = self.kernel().core();
                let stack = |cpu: CpuId| sim_core::Cpu { core, id: cpu }.routines();
                let wait = |blocked: &sim_core::Blocked| Wait {
                    who: name(blocked).to_owned(),
                    cpu: blocked.cpu,
                    what: core.memory.describe(blocked.op.loc),
                };
                let is_lost = |blocked: &sim_core::Blocked| {
                    blocked.task.is_some_and(|task| !blocked.in_handler && self.stage.has_lost_wait(task))
                };
                let is_lost = blocked.iter().any(is_lost);
                self.watch.add(deadlock(&blocked, is_lost, steps, stack, wait));
            }
            Outcome::StepBound => self.watch.add(livelock(step_bound)),
        }
        RunSummary { steps, violation: self.watch.found() }
    }

    /// From now on, runs are counted by their outcomes as well.
    pub fn count_outcomes(&mut self) {
        self.counts_outcomes = true;
    }

    /// Adds the results of the last run that are not findings.
    pub fn count_in(&self, tally: &mut Tally) {
        tally.add(self.checked.get(), self.scenario.checks.len());
        if self.counts_outcomes && self.checked.get().is_some() {
            tally.count(self.scenario.values().into_iter().map(|name| self.stage.value(name)).collect());
        }
        self.stage.failures(|TaskId(thread), op, errno| tally.fail(usize::from(thread), op, errno, 1));
    }

    /// The oracles' findings of the last run, the one to speak of first.
    pub fn findings(&self) -> Vec<Finding> {
        self.watch.findings()
    }

    fn check_values(&self) {
        let mut checked = Checked::default();
        for (TaskId(thread), op, mismatch) in self.stage.mismatches() {
            let violation = mappings_differ(&self.scenario.threads[usize::from(thread)].name, op, &mismatch);
            self.watch.add(check_failed(violation, self.kernel().core().steps()));
        }
        for (index, check) in self.scenario.checks.iter().enumerate() {
            let failed = match check {
                Check::Value { of, one_of } => {
                    let Some(is) = self.stage.value(of) else { continue };
                    let failed = || Violation::Value { check: index, of: of.clone(), is, one_of: one_of.clone() };
                    (!one_of.contains(&is)).then(failed)
                }
                Check::Returned { thread, op, one_of } => {
                    let task = self.scenario.threads.iter().position(|t| t.name == *thread);
                    let Some(value) = task.and_then(|task| self.stage.returned(TaskId(task as u8), *op)) else {
                        continue;
                    };
                    (!one_of.contains(&value)).then(|| Violation::Returned {
                        check: index,
                        thread: thread.clone(),
                        op: *op,
                        value,
                        one_of: one_of.clone(),
                    })
                }
                Check::Exists { together } => {
                    if self.values(together).as_ref() != Some(together) {
                        continue;
                    }
                    None
                }
                Check::Never { together } => {
                    let Some(are) = self.values(together) else { continue };
                    (are == *together).then_some(Violation::Together { check: index, values: are })
                }
                Check::Implies { given, then } => {
                    let Some(holds) = self.values(given) else { continue };
                    if holds != *given {
                        continue;
                    }
                    let Some(are) = self.values(then) else { continue };
                    (are != *then).then(|| Violation::NotImplied {
                        check: index,
                        given: holds,
                        are,
                        then: then.clone(),
                    })
                }
            };
            checked.note(index);
            if let Some(violation) = failed {
                self.watch.add(check_failed(violation, self.kernel().core().steps()));
            }
        }
        self.checked.set(Some(checked));
    }

    /// The present values of those names, in their order. `None`, if one was not read in this run.
    fn values(&self, of: &[(String, u64)]) -> Option<Vec<(String, u64)>> {
        of.iter().map(|(name, _)| Some((name.clone(), self.stage.value(name)?))).collect()
    }

    /// The address space of each process, with the name of the process. This is for code that tells what happened.
    pub fn process_names(&self) -> Vec<(sim_mm::MmId, String)> {
        self.stage.process_names()
    }

    /// What a scenario calls a page of an address space: `buf+1`.
    pub fn page_name(&self, mm: sim_mm::MmId, va: sim_mmu::VirtAddr) -> Option<String> {
        self.stage.page_name(mm, va)
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        self.watch.set_enabled(false);
        self.kernel().set_observer(None);
    }
}

/// The violation that an operation of a thread or of the set-up of a process found.
fn mappings_differ(who: &str, op: usize, mismatch: &Mismatch) -> Violation {
    let Mismatch { expected, found } = mismatch.clone();
    Violation::Mappings { thread: who.to_owned(), op, expected, found }
}

/// Whether a release has every operation of a scenario.
fn all_are_in(version: Release, scenario: &Scenario) -> Result<(), SetupError> {
    for statement in scenario.statements() {
        if let Some(since) = statement.since().filter(|since| *since > version) {
            let why = SetupFault::TooOld { tag: statement.tag(), since, version };
            return Err(why.at(scenario, &statement.path));
        }
    }
    Ok(())
}

/// Whether all bytes that a scenario names are among those that the machine's pages have.
fn all_lie_in_frames(machine: MachineSpec, scenario: &Scenario) -> Result<(), SetupError> {
    let words = machine.geometry.most_entries();
    let of_statements = scenario.statements().flat_map(|statement| {
        statement.mentions().into_iter().filter_map(move |(key, mention)| match mention {
            Mention::In(spot) => Some((statement.field(key), spot)),
            _ => None,
        })
    });
    let of_finals = scenario.finals.iter().enumerate().map(|(i, last)| (format!("final[{i}].at"), &last.at));
    match of_statements.chain(of_finals).find(|(_, spot)| spot.word() >= words) {
        None => Ok(()),
        Some((path, spot)) => {
            Err(SetupFault::Outside { spot: spot.to_string(), bytes: 8 * words }.at(scenario, &path))
        }
    }
}

/// The things that the operations of a scenario name.
fn cast(scenario: &Scenario) -> Cast {
    let given = scenario.processes.iter().map(|process| &*process.name);
    let made = scenario.statements().filter_map(|statement| Some(statement.defines(Noun::Process)?.1));
    let processes: Vec<String> = given.chain(made).map(str::to_owned).collect();
    let all = |noun: Noun| {
        let mut all: Vec<String> = Vec::new();
        for (_, name) in scenario.statements().filter_map(|statement| statement.defines(noun)) {
            if !all.iter().any(|other| other == name) {
                all.push(name.to_owned());
            }
        }
        all
    };
    let (pipes, rings) = (all(Noun::Pipe), all(Noun::Ring));
    let (files, drivers) = (all(Noun::File), all(Noun::Driver));
    let process = |name: &str| processes.iter().position(|process| process == name);
    let threads = scenario.threads.iter().map(|thread| process(&thread.process));
    let threads = threads.map(|process| process.expect("the loader checked the names of processes")).collect();
    let thread = |name: &String| scenario.threads.iter().position(|thread| thread.name == *name);
    let after = scenario.threads.iter().map(|of| of.after.as_ref().and_then(thread)).collect();
    let given = scenario.processes.len();
    let execs = scenario.statements().any(Statement::replaces_mm);
    Cast { processes, given, execs, threads, after, pipes, rings, files, drivers }
}
