//! A simpler schedule of the same scenario.
//!
//! Each candidate is a course. First the steps that do not matter are removed, and the rest is put into the order
//! with the fewest turns. That needs only one run. Then each turn is tried earlier, later and not at all, and
//! each choice of a value is tried with the simplest answer, until nothing makes the schedule simpler.

use std::fmt;

use sim_core::Executor;
use sim_core::source::{Replay, Source};
use sim_mm::Kernel;

use super::Schedule;
use crate::course::{Course, Doing, Ending, Follow, Past};
use crate::explore::Trace;
use crate::oracle::Finding;
use crate::world::World;

/// The largest number of runs to spend.
const ATTEMPTS: u64 = 10_000;

/// The largest number of steps to spend. A livelock is long, and its log is longer.
const STEPS: u64 = 2_000_000;

/// The length of the longest run whose course is taken.
const LONGEST: u64 = 5_000;

/// One run, in full, instead of one of that length. A run that is too long for a course needs no footprints.
pub(super) fn follow<'m>(
    world: &'m World<'_>,
    executor: &mut Executor<'m, Kernel>,
    source: Source,
    steps: u64,
) -> Trace {
    if steps <= LONGEST { Trace::record(world, executor, source) } else { Trace::glance(world, executor, source) }
}

/// Which steps of a run matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matter {
    /// The numbers of the steps that matter. If that is not known, these are all steps.
    pub steps: Vec<u64>,
    /// The number of all steps.
    pub of: u64,
    /// Whether it is known which steps matter. It is, if a run of these steps alone ended in the finding. It is not, if the run
    /// is too long.
    pub known: bool,
}

impl fmt::Display for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matter = self.steps.len() as u64;
        // A smaller scenario may come to the finding without them. Only shrinking can tell.
        match self.of - matter {
            _ if !self.known => f.write_str("of which all or some lead to it"),
            0 => f.write_str("all of which lead to it"),
            _ => write!(f, "of which {matter} lead to it"),
        }
    }
}

/// The runs of one world on the way to a simpler run.
struct Search<'m, 'w, 'e> {
    world: &'m World<'w>,
    executor: &'e mut Executor<'m, Kernel>,
    finding: Finding,
    /// The size at the beginning. No number of it may grow, even if another gets smaller.
    start: Schedule,
    best: Trace,
    attempts: u64,
    steps: u64,
}

impl<'m, 'w, 'e> Search<'m, 'w, 'e> {
    fn new(
        world: &'m World<'w>,
        executor: &'e mut Executor<'m, Kernel>,
        finding: Finding,
        trace: &Trace,
    ) -> Search<'m, 'w, 'e> {
        let start = Schedule::of(trace);
        Search { world, executor, finding, start, best: trace.clone(), attempts: 0, steps: 0 }
    }

    fn run(&mut self, source: Source) -> Option<Trace> {
        let mut trace = follow(self.world, self.executor, source, self.best.steps);
        self.attempts += 1;
        self.steps += trace.steps;
        trace.bring_first(|finding| finding.is_like(&self.finding)).then_some(trace)
    }

    fn follow(&mut self, course: Course) -> Option<(Trace, Ending)> {
        let (source, ending) = Follow::source(course, self.world);
        self.run(source).map(|trace| (trace, ending))
    }

    fn is_spent(&self) -> bool {
        self.attempts >= ATTEMPTS || self.steps >= STEPS
    }

    /// Takes a run if it is simpler. First, the steps that do not matter are removed from it.
    fn take(&mut self, trace: Trace) -> bool {
        let tidied = self.tidied(&trace);
        let allowed = tidied.into_iter().chain([trace]).filter(|trace| Schedule::of(trace).is_within(self.start));
        let better =
            allowed.min_by_key(Schedule::of).filter(|trace| Schedule::of(trace) < Schedule::of(&self.best));
        let found = better.is_some();
        self.best = better.unwrap_or_else(|| self.best.clone());
        found
    }

    /// The steps of a run that matter, in the fewest turns.
    fn tidied(&mut self, trace: &Trace) -> Option<Trace> {
        let course = Course::of(trace);
        let past = Past::of(trace, &course);
        let wanted = past.of_finding(trace, &course, trace.findings.first()?);
        let order = past.in_fewest_turns(&course, &wanted);
        self.follow(order).map(|(trace, _)| trace)
    }

    fn attempt(&mut self, course: Course) -> bool {
        if self.is_spent() {
            return false;
        }
        self.follow(course).is_some_and(|(trace, _)| self.take(trace))
    }

    /// Tries each turn earlier, later, and not at all.
    fn fewer_turns(&mut self) -> bool {
        let mut progress = false;
        let mut number = 0;
        loop {
            let course = Course::of(&self.best);
            let Some(turn) = course.turns().get(number).cloned() else { return progress };
            if moved(&course, turn).into_iter().any(|candidate| self.attempt(candidate)) {
                progress = true;
            } else {
                number += 1;
            }
        }
    }

    /// Tries each choice of a value with the simplest answer.
    fn simpler_values(&mut self) -> bool {
        let mut progress = false;
        let mut at = 0;
        while at < self.best.decisions.len() {
            let course = Course::of(&self.best);
            let step = self.best.decisions[at].step;
            let chosen = self.best.decisions[at].chosen;
            let is_value = matches!(self.best.decisions[at].decided, sim_core::Decided::Value(_));
            let answers = (is_value && chosen != 0).then_some(0..chosen).into_iter().flatten();
            let mut found = false;
            for answer in answers {
                let mut candidate = course.clone();
                let values = candidate.doings.iter_mut().filter(|doing| doing.step == step);
                values.flat_map(|doing| &mut doing.values).for_each(|(_, value)| *value = (*value).min(answer));
                found = self.attempt(candidate);
                if found {
                    break;
                }
            }
            progress |= found;
            at += usize::from(!found);
        }
        progress
    }
}

/// The course with one turn changed. The turn is joined to the next turn of its CPU, or to the one before, or it is cut short,
/// or everything that its CPU does from there on is left out.
fn moved(course: &Course, turn: std::ops::Range<usize>) -> Vec<Course> {
    let doings = &course.doings;
    let cpu = doings[turn.start].cpu;
    let (before, within, after) = (&doings[..turn.start], &doings[turn.clone()], &doings[turn.end..]);
    let mut candidates: Vec<Vec<Doing>> = Vec::new();
    if let Some(next) = after.iter().position(|doing| doing.cpu == cpu) {
        candidates.push([before, &after[..next], within, &after[next..]].concat());
    }
    if let Some(last) = before.iter().rposition(|doing| doing.cpu == cpu) {
        candidates.push([&before[..=last], within, &before[last + 1..], after].concat());
    } else {
        candidates.push([within, before, after].concat());
    }
    let others: Vec<Doing> = after.iter().filter(|doing| doing.cpu != cpu).cloned().collect();
    candidates.push([before, &others].concat());
    for cut in [within.len() / 2, within.len().saturating_sub(1)] {
        candidates.push([before, &within[..cut], &others].concat());
    }
    candidates.into_iter().map(|doings| Course { doings }).filter(|candidate| candidate != course).collect()
}

/// A simpler run of `world` that ends in the first finding of `trace`. No small change of it gives a simpler one.
pub fn simplify<'m>(world: &'m World<'_>, executor: &mut Executor<'m, Kernel>, trace: Trace) -> Trace {
    let Some(finding) = trace.findings.first().cloned() else { return trace };
    let _pass = tracing::debug_span!("simplify", steps = trace.steps).entered();
    let mut search = Search::new(world, executor, finding, &trace);
    if trace.steps <= LONGEST {
        search.take(trace);
        while !search.is_spent() && (search.fewer_turns() || search.simpler_values()) {}
    }
    search.again()
}

impl Search<'_, '_, '_> {
    /// Does the best run once more. So it is the last run of the world, and it is shown that its decisions lead there.
    fn again(mut self) -> Trace {
        let replay = Source::Replay(Replay::strict(self.best.answers()));
        let title = self.finding.title();
        self.run(replay)
            .unwrap_or_else(|| panic!("simulator defect: the run that found {title} does not find it again"))
    }
}

/// The steps that the first finding of a run needs. To show it, a run takes these steps first. If the finding ends the run, it
/// takes only these.
pub fn matter<'m>(world: &'m World<'_>, executor: &mut Executor<'m, Kernel>, trace: &Trace) -> Matter {
    let all = |known| Matter { steps: (1..=trace.steps).collect(), of: trace.steps, known };
    let Some(finding) = trace.findings.first().filter(|_| trace.steps <= LONGEST) else { return all(false) };
    let course = Course::of(trace);
    let wanted = Past::of(trace, &course).of_finding(trace, &course, finding);
    let pick = |wish: bool| course.doings.iter().zip(&wanted).filter(move |(_, w)| **w == wish).map(|(d, _)| d);
    if !wanted.contains(&false) {
        return all(true);
    }
    // A step that the course does not have belongs to the step after it.
    let goes_with = |step: u64| course.doings.partition_point(|doing| doing.step < step);
    let steps = (1..=trace.steps).filter(|step| wanted.get(goes_with(*step)).copied().unwrap_or(true)).collect();
    let mut doings: Vec<Doing> = pick(true).cloned().collect();
    if finding.is_at_rest() {
        doings.extend(pick(false).cloned());
    }
    let mut search = Search::new(world, executor, finding.clone(), trace);
    match search.follow(Course { doings }) {
        Some((_, ending)) if !ending.left_course() => Matter { steps, of: trace.steps, known: true },
        _ => all(false),
    }
}
