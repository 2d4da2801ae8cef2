//! A search that is under way in a world: one run after the other, counted.

use std::sync::atomic::{AtomicBool, Ordering};

use sim_core::Executor;
use sim_core::source::{Replay, Source};
use sim_core::systematic::{Done, Search, Subtree, Tally, Unit};
use sim_mm::Kernel;

use super::campaign::{Explored, Found, Goal};
use super::strategy::Exhaustive;
use super::trace::Trace;
use crate::world::{STEP_BOUND, World};

/// The number of runs of the first unit between two guesses of the progress.
pub(super) const TELL_EVERY: u64 = 256;

/// With so many subtrees, all threads and machines have about the same amount of work.
const SUBTREES: usize = 64;

/// The search looks for subtrees that begin so many steps from the start. If there are too few, it goes so many steps
/// further, until there are enough.
const DEEPER: usize = 2;

/// The largest number of steps from the start. If so many steps have few choices, more will not help.
const DEEPEST: usize = 64;

/// A search that is under way in a world.
pub(super) struct Through<'w, 's> {
    world: &'w World<'s>,
    executor: Executor<'w, Kernel>,
}

/// The result of a unit. Its runs have numbers of their own.
pub(super) struct Part {
    pub(super) explored: Explored,
    pub(super) done: Done,
}

/// The result of the search for subtrees.
pub(super) struct Sought {
    /// The runs that ended before they came to a subtree.
    pub(super) explored: Explored,
    pub(super) tally: Tally,
    pub(super) subtrees: Vec<Subtree>,
}

/// How one run of a search came out.
struct Ran {
    steps: u64,
    violation: bool,
    pruned: bool,
}

impl<'w, 's> Through<'w, 's> {
    /// Begins the search.
    pub(super) fn new(world: &'w World<'s>, how: Exhaustive) -> Self {
        let core = world.kernel().core();
        core.set_source(Source::Systematic(Box::new(Search::new(core, how.reduction, how.preemptions))));
        Through { world, executor: world.executor() }
    }

    fn search<R>(&self, ask: impl FnOnce(&mut Search) -> R) -> R {
        self.world.kernel().core().with_source(|source| match source {
            Source::Systematic(search) => ask(search),
            _ => unreachable!("a search stays the source of its world"),
        })
    }

    /// Does a unit, until it ends, until it is stopped, or until a run reaches the goal. `tell` hears how far it is.
    pub(super) fn perform(&mut self, unit: Unit, goal: Goal<'_>, stop: &AtomicBool, tell: &dyn Fn(f64)) -> Part {
        let (budget, is_first) = (unit.budget(), unit.is_first());
        self.search(|search| search.begin(unit));
        let mut explored = Explored::default();
        loop {
            self.run_into(&mut explored, goal);
            let more = self.search(Search::advance);
            explored.interrupted = stop.load(Ordering::Relaxed);
            if !more || explored.runs == budget || explored.first.is_some() || explored.interrupted {
                return Part { explored, done: self.search(Search::finish) };
            }
            if is_first && explored.runs.is_multiple_of(TELL_EVERY) {
                tell(self.search(|search| search.progress()));
            }
        }
    }

    /// Looks for the subtrees into which the search is divided, and does the runs that end before any of them.
    pub(super) fn seek(&mut self, goal: Goal<'_>, stop: &AtomicBool) -> Sought {
        let mut depth = 0;
        loop {
            depth += DEEPER;
            self.search(|search| search.seek(depth));
            let mut explored = Explored::default();
            loop {
                self.run_into(&mut explored, goal);
                let more = self.search(Search::advance);
                explored.interrupted = stop.load(Ordering::Relaxed);
                if !more || explored.first.is_some() || explored.interrupted {
                    break;
                }
            }
            let (tally, subtrees) = self.search(|search| (search.tally(), search.take_subtrees()));
            let is_wide = subtrees.is_empty() || subtrees.len() >= SUBTREES || depth >= DEEPEST;
            if is_wide || explored.first.is_some() || explored.interrupted {
                return Sought { explored, tally, subtrees };
            }
        }
    }

    /// Does the next run. It counts, unless it only led to a subtree.
    fn run_into(&mut self, explored: &mut Explored, goal: Goal<'_>) {
        let ran = self.run();
        if self.search(|search| search.is_at_frontier()) {
            return;
        }
        if !ran.pruned {
            self.world.count_in(&mut explored.tally);
        }
        if ran.violation {
            let trace = self.trace();
            note(explored, &trace);
            match goal {
                Goal::First(accepts) if accepts(&trace) => {
                    explored.first = Some(explored.runs);
                    explored.trace = Some(trace);
                }
                Goal::First(_) | Goal::All => {}
            }
        }
        explored.runs += 1;
        explored.steps += ran.steps;
    }

    /// Does the next run. A run that was given up has no result.
    fn run(&mut self) -> Ran {
        let summary = self.world.run(&mut self.executor, STEP_BOUND);
        let pruned = self.search(|search| search.was_pruned());
        Ran { steps: summary.steps, violation: summary.violation && !pruned, pruned }
    }

    /// The last run in full. Afterwards the search goes on as before.
    fn trace(&mut self) -> Trace {
        let core = self.world.kernel().core();
        let answers = self.search(|search| search.answers());
        let search = core.with_source(|source| std::mem::replace(source, Source::First));
        let replay = Source::Replay(Replay::strict(answers));
        let trace = Trace::record(self.world, &mut self.executor, replay);
        core.set_source(search);
        trace
    }
}

impl Explored {
    /// Adds the results of the runs that come after these.
    pub(super) fn follow_with(&mut self, part: Explored) {
        let before = self.runs;
        self.runs += part.runs;
        self.steps += part.steps;
        self.tally.join(&part.tally);
        self.interrupted |= part.interrupted;
        self.first = part.first.map(|run| before + run);
        self.trace = part.trace;
        for (Found { title, run, times }, trace) in part.found.into_iter().zip(part.traces) {
            match self.found.iter_mut().find(|found| found.title == title) {
                Some(found) => found.times += times,
                None => {
                    self.found.push(Found { title, run: before + run, times });
                    self.traces.push(trace);
                }
            }
        }
    }
}

fn note(explored: &mut Explored, trace: &Trace) {
    let Some(finding) = trace.findings.first() else { return };
    let title = finding.title();
    match explored.found.iter_mut().find(|found| found.title == title) {
        Some(found) => found.times += 1,
        None => {
            explored.found.push(Found { title, run: explored.runs, times: 1 });
            explored.traces.push(trace.clone());
        }
    }
}
