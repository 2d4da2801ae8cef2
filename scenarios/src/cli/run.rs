//! `mmsim run`.

use std::sync::atomic::AtomicBool;

use super::interrupt::Interrupts;
use super::output::thousands;
use super::race::Race;
pub(crate) use super::run_args::Args;
use super::{Exit, Failure, Output, cases};
use crate::case::{RUNS_TO_FIND, RUNS_TO_VERIFY};
use crate::explore::{Campaign, Extent, Goal, Strategy};
use crate::json::{did_you_mean, quote};
use crate::library::{self, Loaded};
use crate::scenario::Case;

/// Runs the cases. If options change the kernel or the machine, runs that kernel on that machine instead.
pub(crate) fn run(args: &Args, output: &mut Output, interrupts: &Interrupts) -> Result<Exit, Failure> {
    args.configure.check()?;
    let loaded = library::open(&args.scenario).map_err(Failure::bad_input)?;
    let case = args.case.as_deref().map(|name| find_case(&loaded, name)).transpose()?;
    let stop = interrupts.watch();
    if args.configure.changes() || (loaded.scenario.cases.is_empty() && case.is_none()) {
        return one(args, &loaded, case, output, stop);
    }
    let chosen: Vec<&Case> = match case {
        Some(case) => vec![case],
        None => loaded.scenario.cases.iter().collect(),
    };
    cases::run(args, &loaded, &chosen, output, stop)
}

pub(super) fn find_case<'l>(loaded: &'l Loaded, name: &str) -> Result<&'l Case, Failure> {
    loaded.scenario.cases.iter().find(|case| case.name == name).ok_or_else(|| {
        let names: Vec<&str> = loaded.scenario.cases.iter().map(|case| case.name.as_str()).collect();
        Failure {
            exit: Exit::Usage,
            message: match names.as_slice() {
                [] => format!("`{}` has no cases: leave out `--case`", loaded.scenario.name),
                _ => {
                    let meant =
                        did_you_mean(name, names.iter().copied()).map_or(String::new(), |meant| meant + " ");
                    let names = names.join(", ");
                    format!("`{}` has no case {}; {meant}it has {names}", loaded.scenario.name, quote(name))
                }
            },
        }
    })
}

/// One kernel on one machine: looks for a violation, and shows the first.
fn one(
    args: &Args,
    loaded: &Loaded,
    case: Option<&Case>,
    output: &mut Output,
    stop: &AtomicBool,
) -> Result<Exit, Failure> {
    let scenario = &loaded.scenario;
    let (mut machine, mut kernel) = (scenario.machine, scenario.kernel.clone());
    if let Some(case) = case {
        (machine, kernel) = (machine.changed(&case.machine), kernel.changed(&case.kernel));
    }
    let spec = args.effort.explore()?;
    let strategy = Strategy::from(spec);
    let usual = if strategy.samples() { RUNS_TO_FIND } else { RUNS_TO_VERIFY };
    let machine = machine.changed(&args.configure.machine_change());
    let kernel = kernel.changed(&args.configure.kernel_change()).resolve();
    let campaign = Campaign {
        seed: args.effort.seed,
        jobs: usize::from(args.effort.jobs),
        ..Campaign::new(scenario, machine, kernel, strategy, args.effort.runs.unwrap_or(usual))
    };
    let bar = output.progress_of(strategy, &scenario.name, campaign.runs);
    let mut explored = campaign
        .explore_as_asked(spec.chosen, Goal::First(&|_| true), stop, &|runs| bar.inc(runs))
        .map_err(Failure::bad_input)?;
    bar.finish_and_clear();
    if let Some(run) = explored.first {
        let trace = campaign.first(&mut explored).map_err(Failure::bad_input)?;
        let found = trace.and_then(|trace| Some((trace.findings.first()?.clone(), trace)));
        let Some((finding, trace)) = found else {
            panic!("simulator defect: run {run} found something, and does not find it again");
        };
        let case = case.map(|case| case.name.clone());
        let campaign = Campaign { strategy: explored.by(campaign.strategy), ..campaign };
        let race = Race { campaign: &campaign, loaded, case, run };
        let shown = race.show(trace, &finding, args.records.folder(), output)?;
        output.json(&shown);
        return Ok(Exit::Violation);
    }
    let word = if explored.interrupted { "interrupted after" } else { "no violation in" };
    output.prose(&format!(
        "{}: {word} {} runs of {} steps on average, {}",
        scenario.name,
        thousands(explored.runs),
        explored.steps.checked_div(explored.runs).unwrap_or(0),
        explored.how(campaign.strategy)
    ));
    cases::tell(scenario, &explored, false, output);
    let unchecked = explored.tally.unchecked();
    output.json(&serde_json::json!({
        "failed": explored.tally.document(scenario), "unchecked": unchecked,
        "title": null, "runs": explored.runs, "steps": explored.steps,
        "sampled": explored.extent == Extent::Sampled, "extent": explored.extent.document(),
        "interrupted": explored.interrupted,
    }));
    Ok(match (explored.is_cut(), unchecked.is_empty()) {
        (true, _) => Exit::Inconclusive,
        (false, false) => Exit::Violation,
        (false, true) => Exit::AsExpected,
    })
}
