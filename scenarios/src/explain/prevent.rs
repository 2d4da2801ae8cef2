//! Which safeguards make a finding go away if they are switched on. Those of one commit are also tried together,
//! if none of them does it alone.
//!
//! Another kernel takes other steps. *The same schedule* under that kernel is the course of the run ([`Follow`]):
//! each CPU goes on to the line of code that the course has next for it, in the order of the course. A step that
//! only the changed kernel has comes when the next known step of its CPU is due. A step that the changed kernel
//! does not have is left out. When the course has ended, every CPU goes on to its end. A safeguard prevents the
//! schedule if that run finds nothing by the same oracle. This is one computed run, and no chance is in it.
//!
//! A safeguard may prevent one schedule and not the race: the race may still go wrong in another schedule. So
//! other schedules are sampled as a second opinion. That is no proof.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;

use sim_gup::CATALOGUE;
use sim_mm::{KernelConfig, Safeguard, never_built};

use crate::course::{Course, Follow};
use crate::explore::{Campaign, Goal, Strategy, Trace};
use crate::oracle::Finding;
use crate::world::World;

/// The number of other schedules to look at.
const RUNS: u64 = 2_000;

/// About how many steps are spent on them for each safeguard. If runs are longer, there are fewer of them.
const STEPS: u64 = 2_000_000;

/// What prevents a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prevention {
    /// A safeguard, or several of one commit that prevent it together.
    pub safeguards: Vec<Safeguard>,
    /// The number of other schedules that were looked at.
    pub others: u64,
    /// Whether none of them ended in the finding either.
    pub holds: bool,
}

/// The safeguards that the kernel of `campaign` lacks, and that prevent a finding by the same oracle in the schedule of
/// `trace` if they are switched on.
pub fn prevented_by(campaign: &Campaign<'_>, trace: &Trace, finding: &Finding) -> Vec<Prevention> {
    let course = Course::of(trace);
    let finds = |trace: &Trace| trace.findings.iter().any(|found| found.oracle() == finding.oracle());
    let this_schedule = |kernel: KernelConfig| {
        let Ok(world) = World::new(campaign.scenario, campaign.machine, kernel) else { return false };
        let mut executor = world.executor();
        let (source, _) = Follow::source(course.clone(), &world);
        !finds(&Trace::glance(&world, &mut executor, source))
    };
    let others = |kernel: KernelConfig| {
        let runs = RUNS.min(STEPS / trace.steps.max(1)).max(1);
        let changed = Campaign { kernel, runs, seed: 0, jobs: 1, strategy: Strategy::Portfolio, ..*campaign };
        let explored = changed.explore(Goal::First(&finds), &AtomicBool::new(false), &|_| ());
        (runs, explored.is_ok_and(|explored| explored.first.is_none()))
    };
    let prevention = |safeguards: Vec<Safeguard>| {
        let kernel = switched_on(campaign.kernel, &safeguards).filter(|kernel| this_schedule(*kernel))?;
        let (others, holds) = others(kernel);
        Some(Prevention { safeguards, others, holds })
    };
    let mut prevented: Vec<Prevention> =
        CATALOGUE.safeguards().filter_map(|safeguard| prevention(vec![safeguard])).collect();
    let alone: Vec<Safeguard> = prevented.iter().flat_map(|one| one.safeguards.clone()).collect();
    let groups = came_together().into_iter().filter(|group| !group.iter().any(|one| alone.contains(one)));
    prevented.extend(groups.filter_map(prevention));
    prevented
}

/// The groups of safeguards that one commit brought together.
fn came_together() -> Vec<Vec<Safeguard>> {
    let mut groups: BTreeMap<&str, Vec<Safeguard>> = BTreeMap::new();
    for safeguard in CATALOGUE.safeguards() {
        if let Some(commit) = safeguard.commit {
            groups.entry(commit).or_default().push(safeguard);
        }
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

impl fmt::Display for Prevention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.safeguards.iter().map(|safeguard| safeguard.key).collect();
        f.write_str(&keys.join(" + "))
    }
}

/// The text about it: the safeguards that also prevented every other schedule, and those that only prevent this schedule. If
/// there is none, the text says that.
pub fn told(prevented: &[Prevention]) -> Vec<String> {
    if prevented.is_empty() {
        return vec!["prevented by: no safeguard that is modelled".to_owned()];
    }
    let keys = |holds: bool| {
        let those = prevented.iter().filter(|prevention| prevention.holds == holds);
        those.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let lines = [("prevented by: ", keys(true)), ("prevented in this schedule, not in others, by: ", keys(false))];
    lines.into_iter().filter(|(_, keys)| !keys.is_empty()).map(|(word, keys)| format!("{word}{keys}")).collect()
}

/// A remark on a finding, if no kernel of that release ever ran on such a machine.
pub fn reservation(world: &World<'_>) -> Option<String> {
    let config = &world.kernel().config;
    never_built(config.kernel.version, &config.platform).map(|what| format!("note: {what}"))
}

/// The kernel with the safeguards on, and with the designs that come with them. `None`, if it has them already.
fn switched_on(kernel: KernelConfig, safeguards: &[Safeguard]) -> Option<KernelConfig> {
    let changed = safeguards.iter().fold(kernel, |kernel, safeguard| kernel.with(CATALOGUE, *safeguard));
    (changed != kernel).then_some(changed)
}
