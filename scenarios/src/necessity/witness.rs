//! Cases that go wrong, and so can show that a safeguard is needed.

use std::sync::atomic::AtomicBool;

use sim_core::source::{Replay, Source};
use sim_gup::CATALOGUE;
use sim_mm::{Choices, Group, KernelConfig, Safeguard, SafeguardSet};

use crate::case::{Budget, configuration, matching};
use crate::explore::{Campaign, Goal, Trace};
use crate::scenario::{Case, Expect, KernelSpec, MachineSpec, Scenario};
use crate::world::SetupError;

/// A kernel that is said to find nothing is run at least so often. If the kernel that goes wrong needed more runs to do so, it is run
/// that often.
const CONTROL_RUNS: u64 = 500;

/// A case that expects a violation.
pub(super) struct Candidate<'l> {
    scenario: &'l Scenario,
    case: &'l Case,
    machine: MachineSpec,
    kernel: KernelConfig,
    /// The safeguards that the case takes away from its kernel: the release has them with the same designs.
    taken: Vec<Safeguard>,
}

/// How a kernel comes to lack a safeguard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The case takes it away.
    Taken,
    /// The case takes nothing away. Its release does not have the safeguard.
    ByRelease,
}

/// A case that goes wrong.
pub(super) struct Witness<'c, 'l> {
    candidate: &'c Candidate<'l>,
    hit: Hit,
}

/// The violation of a case.
struct Hit {
    /// What it is.
    title: String,
    /// Whether it comes in the run in which each CPU runs until it must wait.
    is_plain: bool,
    /// The number of runs that it took.
    runs: u64,
    /// The safeguards that the kernel lacks, and at whose places the code came by.
    missed: SafeguardSet,
}

impl<'l> Candidate<'l> {
    /// A case as a candidate, if it expects a violation.
    pub(super) fn of(scenario: &'l Scenario, case: &'l Case) -> Option<Candidate<'l>> {
        let (machine, kernel) = configuration(scenario, case);
        let whole = whole(&scenario.kernel.changed(&case.kernel));
        let is_taken = |safeguard: &Safeguard| whole.is_in_force(*safeguard) && !kernel.is_in_force(*safeguard);
        let taken = CATALOGUE.safeguards().filter(is_taken).collect();
        (case.expect != Expect::NoViolation).then_some(Candidate { scenario, case, machine, kernel, taken })
    }

    /// Whether its kernel lacks a safeguard in that way.
    pub(super) fn lacks(&self, safeguard: Safeguard, how: Lack) -> bool {
        match how {
            Lack::Taken => self.taken.contains(&safeguard),
            Lack::ByRelease => self.taken.is_empty() && !self.kernel.is_in_force(safeguard),
        }
    }

    /// Runs the case, as it says. It is a witness if it goes wrong as it expects.
    pub(super) fn run(&self, stop: &AtomicBool) -> Result<Option<Witness<'_, 'l>>, SetupError> {
        let hit = match self.watch(self.kernel, &self.case.expect, Source::First)? {
            Some((title, missed)) => Some(Hit { title, is_plain: true, runs: 1, missed }),
            None => self.hit(stop)?,
        };
        Ok(hit.map(|hit| Witness { candidate: self, hit }))
    }

    fn hit(&self, stop: &AtomicBool) -> Result<Option<Hit>, SetupError> {
        let runs = Budget::default().runs_for(self.case);
        let Some((runs, trace)) = self.explore(self.kernel, &self.case.expect, runs, stop)? else {
            return Ok(None);
        };
        let again = Source::Replay(Replay::strict(trace.answers()));
        let watched = self.watch(self.kernel, &self.case.expect, again)?;
        Ok(watched.map(|(title, missed)| Hit { title, is_plain: false, runs, missed }))
    }

    /// One run: what it finds, and the safeguards that it missed.
    fn watch(
        &self,
        kernel: KernelConfig,
        expect: &Expect,
        source: Source,
    ) -> Result<Option<(String, SafeguardSet)>, SetupError> {
        let world = self.campaign(kernel, 1).world()?;
        let trace = Trace::glance(&world, &mut world.executor(), source);
        let consulted = world.kernel().safeguard_use.consulted();
        let is_missed = |safeguard: &Safeguard| consulted.has(*safeguard) && !kernel.is_in_force(*safeguard);
        let missed = CATALOGUE.safeguards().filter(is_missed).collect();
        Ok(matching(expect, &trace).map(|finding| (finding.title(), missed)))
    }

    /// The first run that finds it, with the number of runs up to there.
    fn explore(
        &self,
        kernel: KernelConfig,
        expect: &Expect,
        runs: u64,
        stop: &AtomicBool,
    ) -> Result<Option<(u64, Trace)>, SetupError> {
        let goal = Goal::First(&|trace| matching(expect, trace).is_some());
        let campaign = self.campaign(kernel, runs);
        let mut explored = campaign.explore(goal, stop, &|_| ())?;
        Ok(campaign.first(&mut explored)?.map(|trace| (explored.runs, trace)))
    }

    fn campaign(&self, kernel: KernelConfig, runs: u64) -> Campaign<'l> {
        Campaign::new(self.scenario, self.machine, kernel, self.case.explore.into(), runs)
    }
}

impl Witness<'_, '_> {
    /// `SCENARIO/CASE`
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.candidate.scenario.name, self.candidate.case.name)
    }

    /// What it finds.
    pub(super) fn finding(&self) -> &str {
        &self.hit.title
    }

    /// Whether it goes wrong in the run in which each CPU runs until it must wait.
    pub(super) fn is_plain(&self) -> bool {
        self.hit.is_plain
    }

    /// Whether its kernel lacks a safeguard in that way, and would have used it when it went wrong.
    pub(super) fn misses(&self, safeguard: Safeguard, how: Lack) -> bool {
        self.candidate.lacks(safeguard, how) && self.hit.missed.has(safeguard)
    }

    /// The safeguards that the case takes away beside this one.
    pub(super) fn others(&self, safeguard: Safeguard) -> Vec<Safeguard> {
        self.candidate.taken.iter().filter(|other| **other != safeguard).copied().collect()
    }

    /// Whether nothing at all is found if some of the safeguards are there again. It looks in the same way as for the violation, and not
    /// less.
    pub(super) fn is_clean_with(&self, back: &[Safeguard], stop: &AtomicBool) -> Result<bool, SetupError> {
        let kernel =
            back.iter().fold(self.candidate.kernel, |kernel, safeguard| kernel.with(CATALOGUE, *safeguard));
        let (nothing, runs) = (Expect::NoViolation, self.hit.runs.max(CONTROL_RUNS));
        Ok(self.candidate.watch(kernel, &nothing, Source::First)?.is_none()
            && self.candidate.explore(kernel, &nothing, runs, stop)?.is_none())
    }
}

/// The kernel with every safeguard of its release. A design that was chosen by name stays, unless a safeguard depends on it.
fn whole(spec: &KernelSpec) -> KernelConfig {
    let mut design = Choices::default();
    for setting in CATALOGUE.settings_of(Group::Design).filter(|setting| setting.implied.is_none()) {
        if let Some(place) = spec.design.name(setting).and_then(|name| setting.by_name(name)) {
            design.set(setting, place);
        }
    }
    KernelSpec { without: Vec::new(), design, ..spec.clone() }.resolve()
}
