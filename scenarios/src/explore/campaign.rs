//! A campaign: runs by number, on any number of threads, with one result.
//!
//! Run `n` has seed `n`, and nothing else decides what it does. Threads take blocks of numbers from a counter,
//! and share nothing else. The report depends on the numbers, and never on the threads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::extent::Extent;
use super::strategy::Strategy;
use super::trace::Trace;
use crate::hardware::profile;
use crate::scenario::{MachineSpec, Scenario};
use crate::world::{STEP_BOUND, SetupError, Tally, World};
use sim_core::source::Source;
use sim_core::systematic;
use sim_mm::KernelConfig;

/// What a campaign is about.
#[derive(Clone, Copy, Debug)]
pub struct Campaign<'s> {
    /// The scenario.
    pub scenario: &'s Scenario,
    /// The machine.
    pub machine: MachineSpec,
    /// The kernel.
    pub kernel: KernelConfig,
    /// The strategy.
    pub strategy: Strategy,
    /// The number of the first run.
    pub seed: u64,
    /// The distance from the number of a run to that of the next. It is 1, or the number of machines that share the numbers.
    /// The subtrees of a search have numbers too, and the machines share them in the same way.
    pub stride: u64,
    /// The largest number of runs.
    pub runs: u64,
    /// Threads.
    pub jobs: usize,
    /// Whether runs are counted by their outcomes.
    pub outcomes: bool,
}

/// When a campaign ends before its last run.
#[derive(Clone, Copy)]
pub enum Goal<'g> {
    /// At the first violation that this accepts.
    First(&'g (dyn Fn(&Trace) -> bool + Sync)),
    /// Never: every distinct finding is wanted.
    All,
}

/// A distinct finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What was found.
    pub title: String,
    /// The first run that found it.
    pub run: u64,
    /// Runs that found it.
    pub times: u64,
}

/// The result of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// Runs done.
    pub runs: u64,
    /// Their steps.
    pub steps: u64,
    /// Distinct findings, the earliest first.
    pub found: Vec<Found>,
    /// The first run that reached the goal.
    pub first: Option<u64>,
    /// That run in full, if a search found it, because its number alone does not lead there.
    pub trace: Option<Trace>,
    /// For a search, the first run of each finding in full, in the order of `found`.
    pub(crate) traces: Vec<Trace>,
    /// For a search that was divided, the number of its subtrees on all machines together. The part before the subtrees
    /// counts as one.
    pub subtrees: u64,
    /// If several machines do the search, its pieces up to the one with which counting ends.
    pub pieces: Vec<Piece>,
    /// Whether somebody asked for the end.
    pub interrupted: bool,
    /// The search that found it, if a sample did not find it.
    pub searched: Option<Strategy>,
    /// How much of what there is was covered.
    pub extent: Extent,
    /// The operations that failed in its runs, and the checks that had something to check.
    pub tally: Tally,
}

/// A piece of a search: some runs of one of its subtrees.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// The number of the subtree, from 1. The part before all subtrees has the number 0.
    pub subtree: u64,
    /// The results of its runs, which have numbers of their own.
    pub explored: Explored,
    /// How its schedules ended.
    pub tally: systematic::Tally,
    /// How much of the subtree is done after it, in [`WHOLE_SEARCH`](super::WHOLE_SEARCH)ths. After its last piece, all of it
    /// is done.
    pub progress: u64,
}

impl Explored {
    /// Whether there was something left to do.
    pub fn is_cut(&self) -> bool {
        self.interrupted || matches!(self.extent, Extent::Cut { .. })
    }

    /// The strategy by which it was found, if the campaign asks for `strategy`.
    pub fn by(&self, asked: Strategy) -> Strategy {
        self.searched.unwrap_or(asked)
    }

    /// `sampled by portfolio`, or for a search how much of all schedules was done.
    pub fn how(&self, strategy: Strategy) -> String {
        match self.extent {
            Extent::Sampled => format!("sampled by {strategy}"),
            extent => extent.to_string(),
        }
    }
}

/// The processor whose clock decides, if the strategy goes by time.
const TIMED_ON: &str = "zen5";

/// The number of runs that a thread takes at a time.
const BLOCK: u64 = 64;

/// The results of one block of runs.
#[derive(Clone, Debug, Default)]
struct Block {
    runs: u64,
    steps: u64,
    found: Vec<(String, u64)>,
    first: Option<u64>,
    tally: Tally,
}

impl<'s> Campaign<'s> {
    /// A campaign of so many runs, from run 0 on, on one thread.
    pub fn new(
        scenario: &'s Scenario,
        machine: MachineSpec,
        kernel: KernelConfig,
        strategy: Strategy,
        runs: u64,
    ) -> Campaign<'s> {
        Campaign { scenario, machine, kernel, strategy, seed: 0, stride: 1, runs, jobs: 1, outcomes: false }
    }

    /// Builds a world of its own.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn world(&self) -> Result<World<'s>, SetupError> {
        let mut world = World::new(self.scenario, self.machine, self.kernel)?;
        if self.outcomes {
            world.count_outcomes();
        }
        if self.strategy == Strategy::Timed {
            let processor = profile::open(TIMED_ON).expect("a profile of the binary is good");
            world.kernel().mmu.set_profile(Some(processor.profile));
        }
        Ok(world)
    }

    /// About how many decisions a run has. It counts those of the run in which each CPU always goes on.
    pub(crate) fn horizon(world: &World<'_>) -> u64 {
        let mut executor = world.executor();
        let core = world.kernel().core();
        core.set_source(Source::First);
        core.keep_decisions(true);
        world.run(&mut executor, STEP_BOUND);
        let decisions = core.decisions().len() as u64;
        core.keep_decisions(false);
        executor.clear();
        decisions
    }

    /// The run that reached the goal, in full. It can be asked for once.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn first(&self, explored: &mut Explored) -> Result<Option<Trace>, SetupError> {
        match explored.trace.take() {
            Some(trace) => Ok(Some(trace)),
            None => explored.first.map(|number| self.trace(number)).transpose(),
        }
    }

    /// The first run of a finding, in full.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn first_of(&self, explored: &Explored, found: usize) -> Result<Trace, SetupError> {
        match explored.traces.get(found) {
            Some(trace) => Ok(trace.clone()),
            None => self.trace(explored.found[found].run),
        }
    }

    /// Run `number` in full.
    ///
    /// # Errors
    /// As [`World::new`].
    fn trace(&self, number: u64) -> Result<Trace, SetupError> {
        let world = self.world()?;
        let horizon = Self::horizon(&world);
        let mut executor = world.executor();
        Ok(Trace::record(&world, &mut executor, self.strategy.source(number, horizon)))
    }

    /// Runs the campaign. `progress` hears how many runs are done. For a search for all schedules, it hears how many
    /// [`WHOLE_SEARCH`](super::WHOLE_SEARCH)ths are done. `stop` may end the campaign at any time.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn explore(
        &self,
        goal: Goal<'_>,
        stop: &AtomicBool,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Explored, SetupError> {
        let _campaign = tracing::info_span!(
            "campaign",
            scenario = self.scenario.name,
            strategy = %self.strategy,
            runs = self.runs,
            seed = self.seed
        )
        .entered();
        if let Strategy::Exhaustive(how) = self.strategy {
            return self.explore_all(how, goal, stop, progress);
        }
        let next = AtomicU64::new(0);
        let first = AtomicU64::new(u64::MAX);
        let blocks = Mutex::new(BTreeMap::new());
        let failed = Mutex::new(None);
        let work = || {
            let world = match self.world() {
                Ok(world) => world,
                Err(error) => {
                    failed.lock().expect("no thread panics with it").get_or_insert(error);
                    return;
                }
            };
            let horizon = Self::horizon(&world);
            loop {
                let start = next.fetch_add(BLOCK, Ordering::Relaxed);
                // A block after the first hit does not count any more.
                if start >= self.runs || start > first.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed) {
                    return;
                }
                let block = self.run_block(&world, horizon, start, goal);
                if let Some(hit) = block.first {
                    first.fetch_min(hit, Ordering::Relaxed);
                }
                progress(block.runs);
                blocks.lock().expect("no thread panics with it").insert(start, block);
            }
        };
        if self.jobs <= 1 {
            work();
        } else {
            std::thread::scope(|scope| (0..self.jobs).for_each(|_| drop(scope.spawn(work))));
        }
        if let Some(error) = failed.into_inner().expect("all threads are done") {
            return Err(error);
        }
        let blocks = blocks.into_inner().expect("all threads are done");
        let mut explored = merge(blocks, first.into_inner(), stop.load(Ordering::Relaxed));
        explored.first = explored.first.map(|number| self.number(number));
        Ok(explored)
    }

    /// The number of run `index` of the campaign, which is also its seed.
    pub(crate) fn number(&self, index: u64) -> u64 {
        self.seed + index * self.stride
    }

    fn run_block(&self, world: &World<'_>, horizon: u64, start: u64, goal: Goal<'_>) -> Block {
        let mut executor = world.executor();
        let mut block = Block::default();
        for number in start..(start + BLOCK).min(self.runs) {
            let source = || self.strategy.source(self.number(number), horizon);
            world.kernel().core().set_source(source());
            let summary = world.run(&mut executor, STEP_BOUND);
            block.runs += 1;
            block.steps += summary.steps;
            world.count_in(&mut block.tally);
            if !summary.violation {
                continue;
            }
            let trace = Trace::glance(world, &mut executor, source());
            for finding in &trace.findings {
                tracing::debug!(seed = self.number(number), title = finding.title(), message = %finding.violation);
            }
            block.found.extend(trace.findings.first().map(|finding| (finding.title(), self.number(number))));
            match goal {
                Goal::First(accepts) if accepts(&trace) => {
                    block.first = Some(number);
                    break;
                }
                Goal::First(_) | Goal::All => {}
            }
        }
        executor.clear();
        block
    }
}

fn merge(blocks: BTreeMap<u64, Block>, first: u64, interrupted: bool) -> Explored {
    let mut explored = Explored { interrupted, ..Explored::default() };
    for (start, block) in blocks {
        if start > first {
            break;
        }
        explored.runs += block.runs;
        explored.steps += block.steps;
        explored.tally.join(&block.tally);
        explored.first = explored.first.or(block.first);
        for (title, run) in block.found {
            match explored.found.iter_mut().find(|found| found.title == title) {
                Some(found) => found.times += 1,
                None => explored.found.push(Found { title, run, times: 1 }),
            }
        }
    }
    explored
}
