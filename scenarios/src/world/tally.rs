//! The results of many runs that are not findings: operations that failed, and checks that had nothing to check.

use std::collections::BTreeMap;

use sim_mm::Errno;

use crate::number::thousands;
use crate::scenario::{Check, Scenario};

/// An operation that failed, and in how many runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The thread, by its place in the scenario.
    pub thread: usize,
    /// The operation, by its place in the thread.
    pub op: usize,
    /// Its error.
    pub errno: Errno,
    /// In how many runs.
    pub runs: u64,
}

/// The results of some runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that went to their end, or to a finding.
    pub runs: u64,
    /// The operations that failed, by thread and operation.
    pub failed: Vec<Failed>,
    /// Runs that went to their end.
    ended: u64,
    /// For each check, in how many of those it had a value.
    checked: Vec<u64>,
    /// In how many of those runs each outcome was seen, if outcomes are counted.
    pub outcomes: BTreeMap<Values, u64>,
}

/// The values of a run, in the order of [`Scenario::values`]. A run may lack some.
pub type Values = Vec<Option<u64>>;

impl Tally {
    /// Adds a run. If the run went to its end, this says which of so many checks had something to check.
    pub(super) fn add(&mut self, checked: Option<Checked>, checks: usize) {
        self.runs += 1;
        let Some(checked) = checked else { return };
        self.ended += 1;
        self.checked.resize(checks, 0);
        for (check, runs) in self.checked.iter_mut().enumerate() {
            *runs += u64::from(checked.had(check));
        }
    }

    /// A run that went to its end had this outcome.
    pub(super) fn count(&mut self, outcome: Values) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    /// Adds the results of other runs.
    pub(crate) fn join(&mut self, other: &Tally) {
        self.runs += other.runs;
        self.ended += other.ended;
        for Failed { thread, op, errno, runs } in &other.failed {
            self.fail(*thread, *op, *errno, *runs);
        }
        for (outcome, runs) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += runs;
        }
        self.checked.resize(self.checked.len().max(other.checked.len()), 0);
        for (mine, others) in self.checked.iter_mut().zip(&other.checked) {
            *mine += others;
        }
    }

    /// An operation failed in so many runs.
    pub(super) fn fail(&mut self, thread: usize, op: usize, errno: Errno, runs: u64) {
        let key = (thread, op, errno.code());
        match self.failed.binary_search_by_key(&key, |failed| (failed.thread, failed.op, failed.errno.code())) {
            Ok(place) => self.failed[place].runs += runs,
            Err(place) => self.failed.insert(place, Failed { thread, op, errno, runs }),
        }
    }

    /// The checks that had nothing to check in any run that went to its end, by their places. If no run went to its end, there
    /// are none.
    pub fn unchecked(&self) -> Vec<usize> {
        let never = self.checked.iter().enumerate().filter(|(_, runs)| self.ended > 0 && **runs == 0);
        never.map(|(check, _)| check).collect()
    }

    /// Whether some run went to its end. Checks are made only in such a run.
    pub fn has_ended(&self) -> bool {
        self.ended > 0
    }

    /// For each operation that failed, a clause with its error and the number of runs.
    pub fn failed_how(&self, scenario: &Scenario) -> BTreeMap<String, u64> {
        let clause = |failed: &Failed| {
            let thread = &scenario.threads[failed.thread];
            let statement = &thread.run[failed.op];
            let clause = format!("{statement} ({}) failed with {}", statement.path, failed.errno);
            (clause, failed.runs)
        };
        self.failed.iter().map(clause).collect()
    }

    /// The same for programs.
    pub fn document(&self, scenario: &Scenario) -> serde_json::Value {
        let failed = |failed: &Failed| {
            let thread = &scenario.threads[failed.thread];
            serde_json::json!({
                "path": thread.run[failed.op].path, "thread": thread.name, "errno": failed.errno.to_string(),
                "runs": failed.runs,
            })
        };
        serde_json::Value::Array(self.failed.iter().map(failed).collect())
    }
}

/// A sentence that says that something failed in some of so many runs.
pub fn told_failed(how: &str, runs: u64, of: u64) -> String {
    format!("{how} in {} of {} {}", thousands(runs), thousands(of), if of == 1 { "run" } else { "runs" })
}

/// A sentence that says that a check had nothing to check.
pub fn told_unchecked(scenario: &Scenario, check: usize) -> String {
    let what = match scenario.checks.get(check) {
        Some(Check::Value { of, .. }) => format!("no run had a value `{of}`"),
        Some(Check::Exists { together }) => {
            let values = together.iter().map(|(name, value)| format!("{name} = {value}"));
            format!("no run came to {}", values.collect::<Vec<_>>().join(", "))
        }
        Some(Check::Never { .. }) => "no run had all of its values".to_owned(),
        Some(Check::Implies { .. }) => "in no run did its condition hold".to_owned(),
        Some(Check::Returned { thread, op, .. }) => format!("no run came to operation {op} of `{thread}`"),
        None => "there is no such check".to_owned(),
    };
    format!("checks[{check}] was never checked: {what}")
}

/// Which checks of a run had something to check. If there are more than 64, the others always count as having had something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checked(u64);

impl Checked {
    pub(super) fn note(&mut self, check: usize) {
        self.0 |= 1_u64.checked_shl(check as u32).unwrap_or(0);
    }

    fn had(self, check: usize) -> bool {
        1_u64.checked_shl(check as u32).is_none_or(|bit| self.0 & bit != 0)
    }
}
