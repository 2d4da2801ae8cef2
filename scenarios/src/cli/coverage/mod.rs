//! `mmsim coverage`: what did a campaign explore?

mod document;
mod surveyed;
mod table;

use std::sync::atomic::Ordering;

use super::configure::{Configure, Effort};
use super::interrupt::Interrupts;
use super::{Exit, Failure, Output, run};
use crate::case::configuration;
use crate::coverage::{Coverage, survey};
use crate::explore::{Campaign, Strategy};
use crate::library::{self, Loaded};
use crate::scenario::MachineSpec;
use sim_mm::KernelConfig;
use surveyed::Surveyed;

/// Traced runs cost some ten times as much as others.
const RUNS: u64 = 2_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Scenarios: paths of files, or names that `mmsim list` shows.
    #[arg(value_name = "SCENARIO", required_unless_present = "library")]
    scenarios: Vec<String>,
    /// Every scenario of the library.
    #[arg(long, conflicts_with = "scenarios")]
    library: bool,
    /// Surveys only this case of each scenario, with the changes of other options. Without it every case is surveyed. If
    /// other options change the kernel or the machine, the scenario with these changes is surveyed instead.
    #[arg(long)]
    case: Option<String>,
    /// Names the lines that were never stepped.
    #[arg(long)]
    lines: bool,
    /// Names every pair of routines that raced, not only the most frequent.
    #[arg(long)]
    races: bool,
    #[command(flatten)]
    configure: Configure,
    #[command(flatten)]
    effort: Effort,
}

/// One kernel on one machine, to be surveyed.
struct Subject<'l> {
    name: String,
    loaded: &'l Loaded,
    machine: MachineSpec,
    kernel: KernelConfig,
}

/// Surveys what the arguments name, one kernel after the other.
pub(crate) fn run(args: &Args, output: &mut Output, interrupts: &Interrupts) -> Result<Exit, Failure> {
    args.configure.check()?;
    let names: Vec<String> = match args.library {
        true => library::entries().into_iter().map(|entry| entry.name.to_owned()).collect(),
        false => args.scenarios.clone(),
    };
    let opened: Result<Vec<Loaded>, Failure> =
        names.iter().map(|name| library::open(name).map_err(Failure::bad_input)).collect();
    let opened = opened?;
    let subjects: Result<Vec<Vec<Subject<'_>>>, Failure> =
        opened.iter().map(|loaded| subjects(args, loaded)).collect();
    let subjects: Vec<Subject<'_>> = subjects?.into_iter().flatten().collect();
    let runs = args.effort.runs.unwrap_or(RUNS);
    let strategy: Strategy = args.effort.explore()?.into();
    if !strategy.samples() {
        return Err(Failure {
            exit: Exit::Usage,
            message: "coverage is that of a sample: `mmsim explore` says what a search for all schedules covers"
                .to_owned(),
        });
    }
    let seed = args.effort.seed;
    let stop = interrupts.watch();
    let mut all =
        Surveyed { strategy, seed, coverage: Coverage::default(), schedules: Vec::new(), interrupted: false };
    let bar = output.progress("coverage", runs * subjects.len() as u64);
    for Subject { name, loaded, machine, kernel } in subjects {
        let jobs = usize::from(args.effort.jobs);
        let scenario = &loaded.scenario;
        let campaign = Campaign { seed, jobs, ..Campaign::new(scenario, machine, kernel, strategy, runs) };
        let surveyed = survey(&campaign, stop, &|runs| bar.inc(runs)).map_err(Failure::bad_input)?;
        all.coverage.add(&surveyed.coverage);
        all.schedules.push((name, surveyed.schedules));
        if stop.load(Ordering::Relaxed) {
            all.interrupted = true;
            break;
        }
    }
    bar.finish_and_clear();
    for line in table::lines(&all, args.lines, args.races) {
        output.text(&line);
    }
    output.json(&document::of(&all));
    Ok(match (all.coverage.runs, all.interrupted) {
        (_, true) => Exit::Inconclusive,
        (0, false) => Exit::NothingRan,
        _ => Exit::AsExpected,
    })
}

/// The kernels and machines that a scenario is to be surveyed with.
fn subjects<'l>(args: &Args, loaded: &'l Loaded) -> Result<Vec<Subject<'l>>, Failure> {
    let scenario = &loaded.scenario;
    let case = args.case.as_deref().map(|name| run::find_case(loaded, name)).transpose()?;
    if args.configure.changes() || scenario.cases.is_empty() {
        let (mut machine, mut kernel) = (scenario.machine, scenario.kernel.clone());
        if let Some(case) = case {
            (machine, kernel) = (machine.changed(&case.machine), kernel.changed(&case.kernel));
        }
        let machine = machine.changed(&args.configure.machine_change());
        let kernel = kernel.changed(&args.configure.kernel_change()).resolve();
        return Ok(vec![Subject { name: scenario.name.clone(), loaded, machine, kernel }]);
    }
    let cases = scenario.cases.iter().filter(|each| case.is_none_or(|case| case.name == each.name));
    let subject = |case| {
        let (machine, kernel) = configuration(scenario, case);
        Subject { name: format!("{}/{}", scenario.name, case.name), loaded, machine, kernel }
    };
    Ok(cases.map(subject).collect())
}
