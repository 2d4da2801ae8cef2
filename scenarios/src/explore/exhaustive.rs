//! Exploring all schedules of a world: one search, whose units any number of threads can do.
//!
//! A free thread takes the next unit, and the result of a unit counts when its turn comes
//! (`sim_core::systematic::Division`). So the report depends neither on the number of threads nor on their speed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use sim_core::Executor;
use sim_core::source::{Replay, Source};
use sim_core::systematic::{Division, Done, Reduction, Search, Unit};
use sim_mm::Kernel;

use super::campaign::{Campaign, Explored, Found, Goal};
use super::extent::{Bounds, Extent};
use super::strategy::Exhaustive;
use super::trace::Trace;
use crate::world::{STEP_BOUND, SetupError, World};

/// The parts in which a search for all schedules tells how far it is, by its own guess.
pub const WHOLE_SEARCH: u64 = 10_000;

/// Runs of the first unit, then units, between two guesses.
const TELL_EVERY: u64 = 256;

/// Runs of a unit. A search of fewer is not divided.
const UNIT: u64 = 1_024;

/// A search that is under way in a world.
struct Through<'w, 's> {
    world: &'w World<'s>,
    executor: Executor<'w, Kernel>,
}

/// What a unit came to: its runs have numbers of their own.
struct Part {
    explored: Explored,
    done: Done,
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

    /// Does a unit: to its end, until it is stopped, or up to the first run that reaches the goal. `tell` hears how
    /// far it is.
    fn perform(&mut self, unit: Unit, goal: Goal<'_>, stop: &AtomicBool, tell: &dyn Fn(f64)) -> Part {
        let (budget, is_first) = (unit.budget(), unit.is_first());
        self.search(|search| search.begin(unit));
        let mut explored = Explored::default();
        loop {
            let ran = self.run();
            if !ran.pruned {
                self.world.count_in(&mut explored.tally);
            }
            if ran.violation {
                let trace = self.trace();
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

    /// The next run. What a run that was given up came to says nothing.
    fn run(&mut self) -> Ran {
        let summary = self.world.run(&mut self.executor, STEP_BOUND);
        let pruned = self.search(|search| search.was_pruned());
        Ran { steps: summary.steps, violation: summary.violation && !pruned, pruned }
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

/// What the threads of a search share.
struct Team {
    division: Division,
    /// Units that nobody has taken.
    ready: VecDeque<(u64, Unit)>,
    /// Results whose turn has not come.
    parts: BTreeMap<u64, Part>,
    explored: Explored,
    /// Nothing is to be done any more.
    is_over: bool,
    failed: Option<SetupError>,
}

impl Team {
    fn new(how: Exhaustive, runs: u64) -> Team {
        // States that were seen are known to who saw them: such a search stays in one piece.
        let size = if how.reduction == Reduction::States { u64::MAX } else { UNIT };
        let mut division = Division::new(size, runs);
        let ready = std::iter::from_fn(|| division.give()).collect();
        let (parts, explored) = (BTreeMap::new(), Explored::default());
        let mut team = Team { division, ready, parts, explored, is_over: false, failed: None };
        team.is_over = team.division.due().is_none();
        team
    }

    /// Takes a result, and adds all whose turn has come.
    fn take(&mut self, number: u64, part: Part) {
        self.parts.insert(number, part);
        while let Some(part) =
            self.division.due().filter(|_| !self.is_over).and_then(|due| self.parts.remove(&due))
        {
            self.is_over |= part.explored.first.is_some();
            self.explored.follow_with(part.explored);
            self.division.add(part.done);
            if !self.explored.interrupted {
                self.ready.extend(std::iter::from_fn(|| self.division.give()));
            }
        }
        let due = self.division.due();
        self.ready.retain(|(number, _)| due.is_some_and(|due| due <= *number));
        self.is_over |= due.is_none();
    }
}

/// A thread that leaves in a panic takes the others with it: what it was about will never be done.
struct Leaving<'t>(&'t Mutex<Team>, &'t Condvar);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(mut team) = self.0.lock()
        {
            team.is_over = true;
            self.1.notify_all();
        }
    }
}

fn lock(team: &Mutex<Team>) -> MutexGuard<'_, Team> {
    team.lock().expect("no thread panics with it")
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
        let team = Mutex::new(Team::new(how, self.runs));
        let changed = Condvar::new();
        let told = AtomicU64::new(0);
        let tell = |now: f64| {
            let now = (now * WHOLE_SEARCH as f64) as u64;
            progress(now.saturating_sub(told.fetch_max(now, Ordering::Relaxed)));
        };
        // The next unit; none, if there will be no more.
        let next = || {
            let mut team = lock(&team);
            loop {
                if team.is_over || stop.load(Ordering::Relaxed) {
                    return None;
                }
                match team.ready.pop_front() {
                    Some(unit) => return Some(unit),
                    None => team = changed.wait(team).expect("no thread panics with it"),
                }
            }
        };
        let work = || {
            let _leaving = Leaving(&team, &changed);
            let Some(mut unit) = next() else { return };
            let world = match self.world() {
                Ok(world) => world,
                Err(error) => {
                    let mut team = lock(&team);
                    (team.is_over, team.failed) = (true, Some(error));
                    changed.notify_all();
                    return;
                }
            };
            let mut through = Through::new(&world, how);
            loop {
                let part = through.perform(unit.1, goal, stop, &tell);
                let mut team = lock(&team);
                team.take(unit.0, part);
                if unit.0.is_multiple_of(TELL_EVERY) {
                    tell(team.division.progress());
                }
                drop(team);
                changed.notify_all();
                match next() {
                    Some(another) => unit = another,
                    None => return,
                }
            }
        };
        std::thread::scope(|scope| {
            (1..self.jobs).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let Team { division, mut explored, failed, .. } = team.into_inner().expect("all threads are done");
        if let Some(error) = failed {
            return Err(error);
        }
        explored.interrupted = stop.load(Ordering::Relaxed) && !division.is_over() && explored.first.is_none();
        let bounds = Bounds { tally: division.tally(), preemptions: how.preemptions };
        explored.extent = if division.is_over() && bounds.tally.cut == 0 {
            Extent::Verified(bounds)
        } else {
            Extent::Cut { bounds, progress: division.progress() }
        };
        Ok(explored)
    }
}

impl Explored {
    /// Adds what the runs after its own came to.
    fn follow_with(&mut self, part: Explored) {
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
