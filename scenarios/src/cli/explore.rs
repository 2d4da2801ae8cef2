//! `mmsim explore`.

use std::sync::atomic::AtomicBool;

use super::configure::{Configure, Effort};
use super::output::{BAD, GOOD, styled, thousands};
use super::{Exit, Failure, Output};
use crate::case::{RUNS_TO_TRUST, RUNS_TO_VERIFY};
use crate::explore::{Campaign, Goal};
use crate::library;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A scenario: the path of a file, or a name that `mmsim list` shows.
    scenario: String,
    #[command(flatten)]
    configure: Configure,
    #[command(flatten)]
    effort: Effort,
}

/// Explores the scenario as its base says, with the options on top, to the end of the budget.
pub(crate) fn run(args: &Args, output: &mut Output, stop: &AtomicBool) -> Result<Exit, Failure> {
    args.configure.check()?;
    let loaded = library::open(&args.scenario).map_err(Failure::bad_input)?;
    let scenario = &loaded.scenario;
    let strategy = args.effort.explore()?;
    let usual = if strategy.samples() { RUNS_TO_TRUST } else { RUNS_TO_VERIFY };
    let campaign = Campaign {
        scenario,
        machine: scenario.machine.changed(&args.configure.machine_change()),
        kernel: scenario.kernel.changed(&args.configure.kernel_change()).resolve(),
        strategy,
        seed: args.effort.seed,
        stride: 1,
        runs: args.effort.runs.unwrap_or(usual),
        jobs: usize::from(args.effort.jobs),
    };
    let bar = output.progress_of(strategy, &scenario.name, campaign.runs);
    let explored = campaign.explore(Goal::All, stop, &|runs| bar.inc(runs)).map_err(Failure::bad_input)?;
    bar.finish_and_clear();
    output.text(&format!(
        "{}: {} runs of {} steps on average, {}{}",
        scenario.name,
        thousands(explored.runs),
        explored.steps.checked_div(explored.runs).unwrap_or(0),
        explored.how(campaign.strategy),
        if explored.interrupted { ", interrupted" } else { "" }
    ));
    for found in &explored.found {
        output.text(&format!(
            "  {}  {} runs, first with seed {}",
            styled(BAD, &found.title),
            thousands(found.times),
            found.run
        ));
    }
    if explored.found.is_empty() {
        output.text(&styled(GOOD, "  no violation"));
    }
    super::cases::tell(scenario, &explored, false, output);
    let unchecked = explored.tally.unchecked();
    output.json(&serde_json::json!({
        "failed": explored.tally.document(scenario),
        "unchecked": unchecked,
        "scenario": scenario.name,
        "strategy": campaign.strategy.to_string(),
        "seed": campaign.seed,
        "runs": explored.runs,
        "steps": explored.steps,
        "sampled": strategy.samples(),
        "extent": explored.extent.document(),
        "interrupted": explored.interrupted,
        "found": explored.found.iter().map(|found| serde_json::json!({
            "title": found.title, "runs": found.times, "seed": found.run,
        })).collect::<Vec<_>>(),
    }));
    Ok(match (explored.found.is_empty(), explored.is_cut()) {
        (false, _) => Exit::Violation,
        (true, true) => Exit::Inconclusive,
        (true, false) if !unchecked.is_empty() => Exit::Violation,
        (true, false) => Exit::AsExpected,
    })
}
