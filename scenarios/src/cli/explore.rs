//! `mmsim explore`.

use super::configure::{Configure, Effort};
use super::interrupt::Interrupts;
use super::output::{BAD, GOOD, HEAD, styled, thousands};
use super::race::{self, Race};
use super::run::find_case;
use super::run_args::Records;
use super::{Exit, Failure, Output};
use crate::case::{RUNS_TO_TRUST, RUNS_TO_VERIFY};
use crate::explore::{Campaign, Explored, Extent, Goal, Strategy};
use crate::json::shown;
use crate::library;
use crate::scenario::{ExploreSpec, Scenario};
use crate::shell::command;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A scenario: the path of a file, or a name that `mmsim list` shows.
    scenario: String,
    /// The kernel, the machine and the way to explore of this case; other options then change it.
    #[arg(long)]
    case: Option<String>,
    #[command(flatten)]
    configure: Configure,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    records: Records,
    /// Counts runs by their outcomes: the values that operations read, and those of memory at the end. A search for all
    /// schedules gives all outcomes, but how many of its runs have each outcome means nothing.
    #[arg(long)]
    outcomes: bool,
}

/// Explores the scenario as its base or a case says, with the options on top, to the end of the budget.
pub(crate) fn run(args: &Args, output: &mut Output, interrupts: &Interrupts) -> Result<Exit, Failure> {
    args.configure.check()?;
    let loaded = library::open(&args.scenario).map_err(Failure::bad_input)?;
    let scenario = &loaded.scenario;
    let case = args.case.as_deref().map(|name| find_case(&loaded, name)).transpose()?;
    let spec = args.effort.apply(case.map_or_else(ExploreSpec::default, |case| case.explore));
    args.effort.check([spec].into_iter())?;
    let stop = interrupts.watch();
    let strategy = Strategy::from(spec);
    let usual = if strategy.samples() { RUNS_TO_TRUST } else { RUNS_TO_VERIFY };
    let (mut machine, mut kernel) = (scenario.machine, scenario.kernel.clone());
    if let Some(case) = case {
        (machine, kernel) = (machine.changed(&case.machine), kernel.changed(&case.kernel));
    }
    let machine = machine.changed(&args.configure.machine_change());
    let kernel = kernel.changed(&args.configure.kernel_change()).resolve();
    let runs = args.effort.runs.or(spec.runs).unwrap_or(usual);
    let campaign = Campaign {
        seed: args.effort.seed,
        jobs: usize::from(args.effort.jobs),
        outcomes: args.outcomes,
        ..Campaign::new(scenario, machine, kernel, strategy, runs)
    };
    let bar = output.progress_of(strategy, &scenario.name, campaign.runs);
    let explored = campaign
        .explore_as_asked(spec.chosen, Goal::All, stop, &|runs| bar.inc(runs))
        .map_err(Failure::bad_input)?;
    bar.finish_and_clear();
    let strategy = explored.by(strategy);
    let campaign = Campaign { strategy, ..campaign };
    output.prose(&format!(
        "{}: {} runs of {} steps on average, {}{}",
        scenario.name,
        thousands(explored.runs),
        explored.steps.checked_div(explored.runs).unwrap_or(0),
        explored.how(campaign.strategy),
        if explored.interrupted { ", interrupted" } else { "" }
    ));
    let mut documents = Vec::new();
    for (i, found) in explored.found.iter().enumerate() {
        // Only a number that is a seed leads to the same run again.
        let seed = strategy.samples().then_some(found.run);
        let first = seed.map_or_else(String::new, |seed| format!(", first with seed {seed}"));
        let title = styled(BAD, &found.title);
        let runs = if found.times == 1 { "run" } else { "runs" };
        output.prose(&format!("  {title}  {} {runs}{first}", thousands(found.times)));
        let mut record = None;
        if let Some(folder) = args.records.folder() {
            let trace = campaign.first_of(&explored, i).map_err(Failure::bad_input)?;
            let case = case.map(|case| case.name.clone());
            let race = Race { campaign: &campaign, loaded: &loaded, case, run: found.run };
            // If one record cannot be written, the other findings are still reported.
            match race::write(&race.record(trace, &found.title)?, folder) {
                Ok(path) => {
                    let file = path.display().to_string();
                    output.prose(&format!("    record: {}", shown(&file)));
                    output.command("    replay", &command("replay", &file));
                    record = Some(file);
                }
                Err(failure) => output.error(&failure.message),
            }
        }
        documents.push(serde_json::json!({
            "title": found.title, "runs": found.times, "seed": seed, "record": record,
        }));
    }
    if explored.found.is_empty() {
        output.text(&styled(GOOD, "  no violation"));
    }
    super::cases::tell(scenario, &explored, false, output);
    if campaign.outcomes {
        outcomes(scenario, &explored, output);
    }
    let unchecked = explored.tally.unchecked();
    output.json(&serde_json::json!({
        "failed": explored.tally.document(scenario),
        "unchecked": unchecked,
        "outcomes": campaign.outcomes.then(|| outcomes_document(scenario, &explored)),
        "scenario": scenario.name,
        "strategy": campaign.strategy.to_string(),
        "seed": campaign.seed,
        "runs": explored.runs,
        "steps": explored.steps,
        "sampled": explored.extent == Extent::Sampled,
        "extent": explored.extent.document(),
        "interrupted": explored.interrupted,
        "found": documents,
    }));
    Ok(match (explored.found.is_empty(), explored.is_cut()) {
        (false, _) => Exit::Violation,
        (true, true) => Exit::Inconclusive,
        (true, false) if !unchecked.is_empty() => Exit::Violation,
        (true, false) => Exit::AsExpected,
    })
}

/// A line for each outcome, with the number of runs that had it.
fn outcomes(scenario: &Scenario, explored: &Explored, output: &mut Output) {
    let names = scenario.values();
    if names.is_empty() {
        output.prose(
            "  no operation reads a value under a name, and `final` names none of memory: there is one outcome",
        );
        return;
    }
    let outcomes = &explored.tally.outcomes;
    output.text(&styled(HEAD, &format!("  {}:", crate::json::counted(outcomes.len() as u64, "outcome"))));
    for (outcome, runs) in outcomes {
        let value = |value: &Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let values: Vec<_> =
            names.iter().zip(outcome).map(|(name, is)| format!("{name} = {}", value(is))).collect();
        output.prose(&format!("  {:>12}  {}", thousands(*runs), values.join(", ")));
    }
}

/// The same for programs.
fn outcomes_document(scenario: &Scenario, explored: &Explored) -> serde_json::Value {
    let outcomes = explored.tally.outcomes.iter();
    let outcomes = outcomes.map(|(values, runs)| serde_json::json!({ "values": values, "runs": runs }));
    serde_json::json!({ "observe": scenario.values(), "outcomes": outcomes.collect::<Vec<_>>() })
}
