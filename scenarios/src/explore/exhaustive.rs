//! Exploring all schedules of a world, one search from the first run to the last.

use std::sync::atomic::{AtomicBool, Ordering};

use sim_core::Executor;
use sim_core::source::{Replay, Source};
use sim_core::systematic::Search;
use sim_mm::Kernel;

use super::campaign::{Campaign, Explored, Found, Goal};
use super::extent::{Bounds, Extent};
use super::strategy::Exhaustive;
use super::trace::Trace;
use crate::world::{STEP_BOUND, SetupError, World};

/// The parts in which a search for all schedules tells how far it is, by its own guess.
pub const WHOLE_SEARCH: u64 = 10_000;

/// Runs between two guesses.
const TELL_EVERY: u64 = 256;

/// A search that is under way in a world.
struct Through<'w, 's> {
    world: &'w World<'s>,
    executor: Executor<'w, Kernel>,
}

/// How one run of a search came out.
struct Ran {
    steps: u64,
    violation: bool,
    pruned: bool,
}

impl<'w, 's> Through<'w, 's> {
    /// Begins the search.
    fn new(world: &'w World<'s>, how: Exhaustive) -> Self {
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

    /// The next run. What a run that was given up came to says nothing.
    fn run(&mut self) -> Ran {
        let summary = self.world.run(&mut self.executor, STEP_BOUND);
        let pruned = self.search(|search| search.was_pruned());
        Ran { steps: summary.steps, violation: summary.violation && !pruned, pruned }
    }

    /// Prepares the next run; `false` if there is none.
    fn advance(&mut self) -> bool {
        self.search(Search::advance)
    }

    /// The last run in full. The search goes on afterwards as if nothing had been.
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

impl Campaign<'_> {
    /// Runs every schedule that can matter, up to the budget of runs.
    pub(super) fn explore_all(
        &self,
        how: Exhaustive,
        goal: Goal<'_>,
        stop: &AtomicBool,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Explored, SetupError> {
        let _search = tracing::info_span!("search").entered();
        let world = self.world()?;
        let mut search = Through::new(&world, how);
        let mut explored = Explored::default();
        let (mut more, mut told) = (true, 0);
        while more && explored.runs < self.runs && explored.first.is_none() {
            if stop.load(Ordering::Relaxed) {
                explored.interrupted = true;
                break;
            }
            let ran = search.run();
            if !ran.pruned {
                world.count_in(&mut explored.tally);
            }
            if ran.violation {
                let trace = search.trace();
                note(&mut explored, &trace);
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
            more = search.advance();
            if explored.runs.is_multiple_of(TELL_EVERY) {
                let now = (search.search(|search| search.progress()) * WHOLE_SEARCH as f64) as u64;
                progress(now.saturating_sub(told));
                told = told.max(now);
            }
        }
        let bounds = Bounds { tally: search.search(|search| search.tally()), preemptions: how.preemptions };
        explored.extent = if more || bounds.tally.cut > 0 {
            Extent::Cut { bounds, progress: search.search(|search| search.progress()) }
        } else {
            Extent::Verified(bounds)
        };
        Ok(explored)
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
