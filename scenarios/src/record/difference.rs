//! Where a replay differs from its record.

use sim_core::{Decided, Decision};

use super::contents::Record;
use crate::explore::Trace;
use crate::oracle::Finding;

impl Record {
    /// The first point at which a replay differs from the record: what was expected, and what came. It does not matter what
    /// the replay did after that.
    pub fn difference(&self, trace: &Trace) -> Option<String> {
        self.other_decision(trace).or_else(|| self.other_digest(trace)).or_else(|| self.other_verdict(trace))
    }

    fn other_decision(&self, trace: &Trace) -> Option<String> {
        let actual: Vec<String> = trace.decisions.iter().map(ToString::to_string).collect();
        let i = first_difference(&self.decisions, &actual)?;
        let place = match trace.decisions.get(i) {
            Some(decision) => format!("step {}{}", decision.step + 1, whereabouts(trace, decision)),
            None => format!("the end of the run after {} steps", trace.steps),
        };
        let (expected, found) = (at(&self.decisions, i), at(&actual, i));
        Some(format!("decision {i}, at {place}: expected {expected}, found {found}"))
    }

    fn other_digest(&self, trace: &Trace) -> Option<String> {
        let actual: Vec<String> = trace.digests.iter().map(|digest| format!("{digest:016x}")).collect();
        let i = first_difference(&self.digests, &actual)?;
        let every = sim_core::DIGEST_EVERY;
        let (first, last) = (i as u64 * every + 1, ((i as u64 + 1) * every).min(trace.steps));
        let (expected, found) = (at(&self.digests, i), at(&actual, i));
        Some(format!("steps {first} to {last}: expected digest {expected}, found {found}"))
    }

    fn other_verdict(&self, trace: &Trace) -> Option<String> {
        let found = trace.findings.first().map_or_else(|| "no violation".to_owned(), Finding::title);
        (found != self.expect).then(|| format!("the verdict: expected `{}`, found `{found}`", self.expect))
    }
}

fn first_difference(expected: &[String], actual: &[String]) -> Option<usize> {
    (0..expected.len().max(actual.len())).find(|&i| expected.get(i) != actual.get(i))
}

fn at(list: &[String], i: usize) -> String {
    list.get(i).map_or_else(|| "the end".to_owned(), |text| format!("`{text}`"))
}

/// ` of CPU 1 in zap_pte_range()`: the CPU whose step the decision chose, and the routine in which it was.
fn whereabouts(trace: &Trace, decision: &Decision) -> String {
    let Decided::Transition(transition) = decision.decided else { return String::new() };
    let cpu = transition.cpu();
    let before = trace.log.iter().rev().find(|entry| entry.cpu == cpu && entry.step <= decision.step);
    let routine = before.and_then(|entry| entry.stack.last());
    let inside = routine.map_or_else(String::new, |routine| format!(" in {routine}()"));
    format!(" of CPU {}{inside}", cpu.0)
}
