//! Which single safeguards, switched on, prevent a finding.

use std::sync::atomic::AtomicBool;

use sim_mm::{KernelConfig, SAFEGUARDS, Safeguard};

use crate::explore::{Campaign, Goal};

/// Runs without the finding that it takes to say "prevented".
const RUNS: u64 = 2_000;

/// Steps to spend on a safeguard, about: of longer runs, fewer are asked.
const STEPS: u64 = 2_000_000;

/// The safeguards that `campaign`'s kernel lacks and any one of which makes `title` go away: with it
/// on, the run that found it and a sample of others find nothing of that kind.
///
/// A sample, not a proof: a safeguard that only makes the race rarer may be named too.
pub fn prevented_by(campaign: &Campaign<'_>, run: u64, title: &str) -> Vec<Safeguard> {
    let steps = campaign.trace(run).map_or(1, |trace| trace.steps.max(1));
    let runs = RUNS.min(STEPS / steps).max(1);
    let lacking = SAFEGUARDS.iter().map(|facts| facts.safeguard);
    let oracle = title.split(' ').next().unwrap_or(title);
    lacking
        .filter_map(|safeguard| switched_on(campaign.kernel, safeguard).map(|kernel| (safeguard, kernel)))
        .filter(|&(_, kernel)| {
            let changed = Campaign { kernel, runs, jobs: 1, ..*campaign };
            let finds = |trace: &crate::explore::Trace| {
                trace.findings.iter().any(|finding| finding.oracle.name() == oracle)
            };
            let this_run = changed.trace(run).is_ok_and(|trace| !finds(&trace));
            let others = || changed.explore(Goal::First(&finds), &AtomicBool::new(false), &|_| ());
            this_run && others().is_ok_and(|explored| explored.first.is_none())
        })
        .map(|(safeguard, _)| safeguard)
        .collect()
}

/// The kernel with the safeguard on, and with the design that comes with it; `None` if it has it already.
fn switched_on(kernel: KernelConfig, safeguard: Safeguard) -> Option<KernelConfig> {
    let on: Vec<Safeguard> =
        SAFEGUARDS.iter().map(|facts| facts.safeguard).filter(|s| kernel.safeguards.has(*s)).collect();
    let off: Vec<Safeguard> = SAFEGUARDS.iter().map(|f| f.safeguard).filter(|s| !on.contains(s)).collect();
    let with = [&on[..], &[safeguard]].concat();
    let without: Vec<Safeguard> = off.into_iter().filter(|s| *s != safeguard).collect();
    let plain = KernelConfig::new(kernel.version, &without, &with, None, None);
    let cow_reuse = if safeguard == Safeguard::CowReuseCounts { plain.cow_reuse } else { kernel.cow_reuse };
    let gup_protect = if safeguard == Safeguard::GupIrqOff { plain.gup_protect } else { kernel.gup_protect };
    let changed = KernelConfig { cow_reuse, gup_protect, ..plain };
    (changed != kernel).then_some(changed)
}
