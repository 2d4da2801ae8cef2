//! `mmsim vary`.

use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use super::configure::threads;
use super::interrupt::Interrupts;
use super::output::{BAD, DOUBT, GOOD, HEAD, styled};
use super::{Exit, Failure, Output};
use crate::case::{Budget, Verdict, judge};
use crate::library;
use crate::scenario::{Scenario, load};
use crate::table::{Side, Table};
use crate::vary::{Variant, variants};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A scenario: the path of a file, or a name that `mmsim list` shows.
    scenario: String,
    /// Runs the cases of each variant, instead of printing it.
    #[arg(long)]
    run: bool,
    /// The most runs of a case.
    #[arg(long, requires = "run", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// The number of threads, which never changes a result. Without it there is one for each processor.
    #[arg(long, short, requires = "run", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

/// Prints variants of a scenario, or runs them.
pub(crate) fn run(args: &Args, output: &mut Output, interrupts: &Interrupts) -> Result<Exit, Failure> {
    let loaded = library::open(&args.scenario).map_err(Failure::bad_input)?;
    let json: Value = serde_json::from_str(&loaded.text).map_err(Failure::bad_input)?;
    let variants = variants(&json);
    let mut documents = Vec::new();
    let mut exit = Exit::AsExpected;
    let stop = interrupts.watch();
    for variant in &variants {
        output.text(&styled(HEAD, variant.name));
        output.prose(&format!("  {}", variant.about));
        let mut document = json!({ "name": variant.name, "about": variant.about });
        if args.run {
            let (cases, ended) = run_variant(args, variant, output, stop)?;
            document["cases"] = cases;
            exit = if exit == Exit::AsExpected { ended } else { exit };
        } else {
            output.text(&format!("{:#}", variant.json));
            document["scenario"] = variant.json.clone();
        }
        documents.push(document);
    }
    output.json(&Value::Array(documents));
    Ok(exit)
}

/// The cases of a variant, each with what came of it; and how the command ends for that.
fn run_variant(
    args: &Args,
    variant: &Variant,
    output: &mut Output,
    stop: &AtomicBool,
) -> Result<(Value, Exit), Failure> {
    let scenario: Scenario = load(variant.name, &format!("{:#}", variant.json)).map_err(Failure::bad_input)?;
    let jobs = threads(args.jobs);
    let budget = Budget { runs: args.runs, jobs, ..Budget::default() };
    let mut table = Table::new(2, [Side::Left, Side::Left, Side::Left]);
    let mut documents = Vec::new();
    let mut exit = Exit::AsExpected;
    for case in &scenario.cases {
        let report = judge(&scenario, case, budget, stop, &|_| ()).map_err(Failure::bad_input)?;
        let found = match &report.finding {
            Some(finding) => format!("{}, after {} runs", finding.title(), report.explored.runs),
            None => format!("no violation in {} runs, {}", report.explored.runs, report.explored.extent),
        };
        // Whether it stays, what is said of that, and how the command ends for it.
        let (stays, told, ended) = match report.verdict {
            Verdict::AsExpected => (Some(true), styled(GOOD, "stays"), Exit::AsExpected),
            Verdict::Inconclusive | Verdict::Unchecked => (None, styled(DOUBT, "not known"), Exit::Inconclusive),
            Verdict::Violation | Verdict::Absent => (Some(false), styled(BAD, "differs"), Exit::Violation),
        };
        if exit == Exit::AsExpected || ended == Exit::Violation {
            exit = ended;
        }
        table.row([case.name.clone(), told, found.clone()]);
        documents.push(json!({ "case": case.name, "stays": stays, "found": found }));
    }
    table.wrapped(output.width()).iter().for_each(|line| output.text(line));
    Ok((Value::Array(documents), exit))
}
