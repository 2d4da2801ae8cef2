//! All runs of a test, and the comparison of their outcomes with what is known of the test.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use super::scenario::scenario_text;
use super::test::Test;
use crate::explore::{Campaign, Exhaustive, Extent, Goal, Strategy};
use crate::in_order::in_order;
use crate::scenario::load;

/// The result of a test.
#[derive(Clone, Debug)]
pub struct Report {
    /// How much of all schedules was tried.
    pub extent: Extent,
    /// Runs.
    pub runs: u64,
    /// Every outcome that some run had, in the order of what the test observes.
    pub outcomes: BTreeSet<Vec<u64>>,
    /// The outcomes that the test does not allow.
    pub outside: BTreeSet<Vec<u64>>,
    /// The outcomes that the test allows, and that no run had.
    pub missing: BTreeSet<Vec<u64>>,
    /// Whether some run had the outcome for which the test asks.
    pub had: bool,
    /// The comparison of this with what the test says.
    pub verdict: Verdict,
    /// What an oracle found on the way.
    pub found: Vec<String>,
}

/// The result for the outcome for which a test asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It asks for nothing, or does not say whether that is allowed.
    Silent,
    /// It is as the test says. Some run had the outcome, and it is allowed. Or no run had it, and it is forbidden.
    Agrees,
    /// Some run had it, and it is forbidden.
    Forbidden,
    /// No run had it, and it is allowed.
    NotSeen,
    /// The test forbids an outcome that the SDM allows, and the machine has it. [`differs`](Test::differs) has the rules.
    Differs,
}

impl Report {
    /// Whether every schedule was tried, or an equivalent one for it.
    pub fn is_complete(&self) -> bool {
        self.extent.is_verified()
    }
}

/// Runs a test in every schedule, unless there are more than `most`.
///
/// # Errors
/// Why it cannot be run.
pub fn run(test: &Test, tso: bool, most: u64, stop: &AtomicBool) -> Result<Report, String> {
    let scenario = load(&test.name, &scenario_text(test, tso)).map_err(|error| error.to_string())?;
    let campaign = Campaign {
        outcomes: true,
        ..Campaign::new(
            &scenario,
            scenario.machine,
            scenario.kernel.resolve(),
            Strategy::Exhaustive(Exhaustive::TRACES),
            most,
        )
    };
    let explored = campaign.explore(Goal::All, stop, &|_| ()).map_err(|error| error.to_string())?;
    let names = scenario.values();
    // If a register got a fixed number last, what a load put there before does not count.
    let value = |values: &[Option<u64>], name: &str| {
        let place = || names.iter().position(|other| *other == name);
        test.constants.get(name).copied().or_else(|| values[place()?])
    };
    let observed = |values: &Vec<Option<u64>>| -> Option<Vec<u64>> {
        test.observe.iter().map(|name| value(values, name)).collect()
    };
    let outcomes: BTreeSet<Vec<u64>> = explored.tally.outcomes.keys().filter_map(observed).collect();
    let had = |condition: &super::Condition| {
        explored.tally.outcomes.keys().any(|values| condition.holds(&|name| value(values, name)))
    };
    let had = test.condition.as_ref().is_some_and(had);
    let verdict = match (had, test.is_allowed.filter(|_| test.condition.is_some())) {
        _ if test.condition.is_none() && test.is_allowed.is_some() && !test.differs.is_empty() => Verdict::Differs,
        (true, Some(false)) => Verdict::Forbidden,
        (false, Some(true)) => Verdict::NotSeen,
        (_, Some(_)) => Verdict::Agrees,
        (_, None) => Verdict::Silent,
    };
    let (outside, missing) = match &test.all_outcomes {
        Some(all) => (&outcomes - all, all - &outcomes),
        None => (BTreeSet::new(), BTreeSet::new()),
    };
    let found = explored.found.iter().map(|found| found.title.clone()).collect();
    Ok(Report { extent: explored.extent, runs: explored.runs, outcomes, outside, missing, had, verdict, found })
}

/// Runs tests on several threads. The reports come in the order of the tests. A test that was not begun when `stop` was set
/// has `None`.
pub fn run_all(
    tests: &[Test],
    tso: bool,
    most: u64,
    jobs: usize,
    stop: &AtomicBool,
    done: &(impl Fn() + Sync),
) -> Vec<Option<Result<Report, String>>> {
    in_order(
        tests,
        jobs,
        stop,
        || (),
        |(), test| {
            let report = run(test, tso, most, stop);
            done();
            report
        },
    )
}
