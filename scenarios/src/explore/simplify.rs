//! Making a failing run simpler: fewer switches, then fewer decisions that matter.
//!
//! The smallest decision is "go on". So decisions are taken out or set to zero, one block at a time,
//! and whatever still ends in the same finding and is simpler is kept, until nothing is.

use sim_core::Executor;
use sim_core::source::{Replay, Source};
use sim_mm::Kernel;

use super::trace::Trace;
use crate::world::World;

/// What makes one run simpler than another.
fn cost(trace: &Trace) -> (usize, usize, u64) {
    let taken = trace.decisions.iter().filter(|decision| decision.chosen != 0).count();
    (trace.switches(), taken, trace.steps)
}

/// Runs to spend at the most.
const ATTEMPTS: u64 = 3_000;

/// Steps to spend at the most: a livelock is long, and its log is longer.
const STEPS: u64 = 1_000_000;

/// A simpler run of `world` that ends in the first finding of `trace`.
pub fn simplify<'m>(world: &'m World<'_>, executor: &mut Executor<'m, Kernel>, trace: Trace) -> Trace {
    let Some(title) = trace.findings.first().map(crate::oracle::Finding::title) else { return trace };
    let mut best = trace;
    let (mut attempts, mut steps) = (0, 0);
    let mut attempt = |answers: Vec<(u32, u32)>, best: &mut Trace| -> bool {
        if attempts >= ATTEMPTS || steps >= STEPS {
            return false;
        }
        let mut candidate = Trace::record(world, executor, Source::Replay(Replay::lenient(answers)));
        let better = candidate.put_first(&title) && cost(&candidate) < cost(best);
        (attempts, steps) = (attempts + 1, steps + candidate.steps);
        if better {
            *best = candidate;
        }
        better
    };
    let mut block = best.decisions.len().next_power_of_two().max(1);
    loop {
        let mut progress = false;
        let mut at = 0;
        while at < best.decisions.len() {
            let answers = best.answers();
            let end = (at + block).min(answers.len());
            let without = [&answers[..at], &answers[end..]].concat();
            let mut zeroed = answers.clone();
            zeroed[at..end].iter_mut().for_each(|answer| answer.0 = 0);
            if attempt(zeroed, &mut best) || attempt(without, &mut best) {
                progress = true;
            } else {
                at += block;
            }
        }
        if block > 1 {
            block /= 2;
        } else if !progress {
            return best;
        }
    }
}
