//! Judging a case: compares what was expected of it with what exploring it found.

use std::sync::atomic::AtomicBool;

use sim_mm::KernelConfig;

use crate::explore::{Campaign, Explored, Extent, Goal, Trace};
use crate::oracle::Finding;
use crate::scenario::{Case, Expect, MachineSpec, Scenario};
use crate::world::SetupError;

/// The runs that a case gets if it does not say how many, and if it expects a violation.
pub const RUNS_TO_FIND: u64 = 200_000;

/// The runs that a case gets if it does not say how many, and if it expects no violation.
pub const RUNS_TO_TRUST: u64 = 50_000;

/// The runs that a search for all schedules gets if the case does not say how many.
pub const RUNS_TO_VERIFY: u64 = 2_000_000;

/// How a case came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As expected.
    AsExpected,
    /// A violation was found, and none was expected.
    Violation,
    /// No violation, but a check had nothing to check in any run.
    Unchecked,
    /// The expected violation does not exist: every schedule was explored.
    Absent,
    /// The budget did not suffice, or somebody asked for the end.
    Inconclusive,
}

/// The result of a case.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it came out.
    pub verdict: Verdict,
    /// The report of its exploration.
    pub explored: Explored,
    /// The run to show, as it was found. It has the finding that was expected, or one that was not.
    pub trace: Option<Trace>,
    /// The finding to show.
    pub finding: Option<Finding>,
}

/// The part of the budget that the command line decides.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Runs at the most.
    pub runs: Option<u64>,
    /// The number of the first run.
    pub seed: u64,
    /// See [`Campaign::stride`].
    pub stride: u64,
    /// Threads.
    pub jobs: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { runs: None, seed: 0, stride: 1, jobs: 1 }
    }
}

impl Budget {
    /// Runs that a case gets at the most.
    pub fn runs_for(&self, case: &Case) -> u64 {
        let usual = match case.expect {
            _ if case.explore.strategy.is_exhaustive() => RUNS_TO_VERIFY,
            Expect::NoViolation => RUNS_TO_TRUST,
            Expect::Violation { .. } => RUNS_TO_FIND,
        };
        self.runs.or(case.explore.runs).unwrap_or(usual)
    }
}

/// The machine and the kernel of a case.
pub fn configuration(scenario: &Scenario, case: &Case) -> (MachineSpec, KernelConfig) {
    (scenario.machine.changed(&case.machine), scenario.kernel.changed(&case.kernel).resolve())
}

/// The finding of a run that an expectation is about.
pub fn matching<'t>(expect: &Expect, trace: &'t Trace) -> Option<&'t Finding> {
    match expect {
        Expect::NoViolation => trace.findings.first(),
        Expect::Violation { any_of, routine } => trace.findings.iter().find(|finding| {
            any_of.iter().any(|id| id == finding.oracle().name())
                && routine.as_ref().is_none_or(|routine| finding.involves(routine))
        }),
    }
}

/// Explores a case and judges it.
///
/// # Errors
/// If the scenario cannot be set up.
pub fn judge(
    scenario: &Scenario,
    case: &Case,
    budget: Budget,
    stop: &AtomicBool,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Report, SetupError> {
    let _case = tracing::info_span!("case", scenario = scenario.name, name = case.name).entered();
    let (machine, kernel) = configuration(scenario, case);
    let campaign = Campaign {
        seed: budget.seed,
        stride: budget.stride,
        jobs: budget.jobs,
        ..Campaign::new(scenario, machine, kernel, case.explore.into(), budget.runs_for(case))
    };
    let mut explored = campaign.explore_as_asked(
        case.explore.chosen,
        Goal::First(&|trace| matching(&case.expect, trace).is_some()),
        stop,
        progress,
    )?;
    let trace = campaign.first(&mut explored)?;
    let finding = trace.as_ref().and_then(|trace| matching(&case.expect, trace)).cloned();
    let verdict = match (&case.expect, &finding) {
        (Expect::NoViolation, Some(_)) => Verdict::Violation,
        (Expect::Violation { .. }, Some(_)) => Verdict::AsExpected,
        (Expect::NoViolation, None) if explored.interrupted => Verdict::Inconclusive,
        (Expect::NoViolation, None) => match explored.extent {
            Extent::Sampled | Extent::Verified(_) if !explored.tally.unchecked().is_empty() => Verdict::Unchecked,
            Extent::Sampled | Extent::Verified(_) => Verdict::AsExpected,
            Extent::Cut { .. } => Verdict::Inconclusive,
        },
        (Expect::Violation { .. }, None) if explored.extent.is_verified() => Verdict::Absent,
        (Expect::Violation { .. }, None) => Verdict::Inconclusive,
    };
    Ok(Report { verdict, explored, trace, finding })
}
