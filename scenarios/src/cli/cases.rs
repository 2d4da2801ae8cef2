//! Running cases and telling how each came out.

use std::sync::atomic::{AtomicBool, Ordering};

use super::output::{BAD, DOUBT, GOOD, HEAD, styled, thousands};
use super::race::Race;
use super::run_args::Args;
use super::{Exit, Failure, Output};
use crate::case::{Budget, Report, Verdict, configuration, judge};
use crate::explore::{Campaign, Explored, Extent};
use crate::library::Loaded;
use crate::oracle::Finding;
use crate::scenario::{Case, Expect, Scenario};
use crate::world::{told_failed, told_unchecked};

/// Runs the cases one after the other. A violation that was not expected is shown in full.
pub(crate) fn run(
    args: &Args,
    loaded: &Loaded,
    cases: &[&Case],
    output: &mut Output,
    stop: &AtomicBool,
) -> Result<Exit, Failure> {
    let scenario = &loaded.scenario;
    args.effort.check(cases.iter().map(|case| args.effort.apply(case.explore)))?;
    output.text(&styled(HEAD, &scenario.name));
    let width = cases.iter().map(|case| case.name.len()).max().unwrap_or(0);
    let mut worst = if cases.is_empty() { Exit::NothingRan } else { Exit::AsExpected };
    let mut as_expected = 0;
    let mut documents = Vec::new();
    for &case in cases {
        let budget = Budget {
            runs: args.effort.runs,
            seed: args.effort.seed,
            stride: 1,
            jobs: usize::from(args.effort.jobs),
        };
        let mut case = case.clone();
        case.explore = args.effort.apply(case.explore);
        let bar = output.progress_of(case.explore.into(), &case.name, budget.runs_for(&case));
        let report = judge(scenario, &case, budget, stop, &|runs| bar.inc(runs)).map_err(Failure::bad_input)?;
        bar.finish_and_clear();
        output.prose(&line(&case, &report, width));
        tell(scenario, &report.explored, report.finding.is_some(), output);
        let mut shown = serde_json::Value::Null;
        match report.verdict {
            Verdict::AsExpected => as_expected += 1,
            Verdict::Inconclusive if worst != Exit::Violation => worst = Exit::Inconclusive,
            Verdict::Inconclusive => {}
            Verdict::Absent | Verdict::Unchecked => worst = Exit::Violation,
            Verdict::Violation => {
                worst = Exit::Violation;
                shown = show(args, loaded, &case, &report, output)?;
            }
        }
        documents.push(document(scenario, &case, &report, shown));
        if stop.load(Ordering::Relaxed) {
            output.note("interrupted; the cases that follow did not run");
            worst = if worst == Exit::Violation { worst } else { Exit::Inconclusive };
            break;
        }
    }
    output.text(&format!("{as_expected} of {} cases as expected", cases.len()));
    output.json(&serde_json::json!({ "scenario": scenario.name, "cases": documents }));
    Ok(worst)
}

/// Says which operations failed, and which checks had nothing to check. If the runs ended in a finding that was expected,
/// it says neither.
pub(super) fn tell(scenario: &Scenario, explored: &Explored, found: bool, output: &mut Output) {
    if found {
        return;
    }
    for check in explored.tally.unchecked() {
        output.prose(&format!("    {}", styled(BAD, &told_unchecked(scenario, check))));
    }
    for (how, runs) in explored.tally.failed_how(scenario) {
        output.prose(&format!("    {}", told_failed(&how, runs, explored.tally.runs)));
    }
}

fn show(
    args: &Args,
    loaded: &Loaded,
    case: &Case,
    report: &Report,
    output: &mut Output,
) -> Result<serde_json::Value, Failure> {
    let (Some(trace), Some(finding), Some(run)) = (&report.trace, &report.finding, report.explored.first) else {
        return Ok(serde_json::Value::Null);
    };
    let (machine, kernel) = configuration(&loaded.scenario, case);
    let strategy = report.explored.by(case.explore.into());
    let campaign = Campaign::new(&loaded.scenario, machine, kernel, strategy, 1);
    let race = Race { campaign: &campaign, loaded, case: Some(case.name.clone()), run };
    output.text("");
    let shown = race.show(trace.clone(), finding, args.records.folder(), output)?;
    output.text("");
    Ok(shown)
}

/// `  no-recheck   leak in gup_pte_range / do_anonymous_page, run 872   as expected`
fn line(case: &Case, report: &Report, width: usize) -> String {
    let explored = &report.explored;
    let nothing = match &case.expect {
        Expect::NoViolation => "no violation".to_owned(),
        Expect::Violation { any_of, .. } => format!("no {}", any_of.join(" or ")),
    };
    let what = match (&report.finding, explored.extent) {
        (Some(finding), _) => format!("{}, after {} runs", finding.title(), thousands(explored.runs)),
        (None, Extent::Sampled) => format!("{nothing} in {} runs, sampled", thousands(explored.runs)),
        (None, extent) => format!("{nothing}, {extent}"),
    };
    let expected: Option<String> = report.finding.as_ref().map(Finding::title);
    let others: Vec<&str> = explored
        .found
        .iter()
        .map(|found| found.title.as_str())
        .filter(|title| Some(*title) != expected.as_deref())
        .take(3)
        .collect();
    let also = if others.is_empty() { String::new() } else { format!(" (also: {})", others.join(", ")) };
    let (style, word) = match report.verdict {
        Verdict::AsExpected => (GOOD, "ok"),
        Verdict::Violation => (BAD, "UNEXPECTED"),
        Verdict::Absent => (BAD, "ABSENT"),
        Verdict::Unchecked => (BAD, "UNCHECKED"),
        Verdict::Inconclusive => (DOUBT, "INCONCLUSIVE"),
    };
    format!("  {:width$}  {}  {what}{also}", case.name, styled(style, word))
}

fn document(scenario: &Scenario, case: &Case, report: &Report, shown: serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "case": case.name,
        "verdict": match report.verdict {
            Verdict::AsExpected => "as-expected",
            Verdict::Violation => "violation",
            Verdict::Absent => "absent",
            Verdict::Unchecked => "unchecked",
            Verdict::Inconclusive => "inconclusive",
        },
        "found": report.finding.as_ref().map(Finding::title),
        "seed": report.explored.first.filter(|_| report.explored.by(case.explore.into()).samples()),
        "runs": report.explored.runs,
        "steps": report.explored.steps,
        "sampled": report.finding.is_none() && report.explored.extent == Extent::Sampled,
        "extent": report.explored.extent.document(),
        "failed": report.explored.tally.document(scenario),
        "unchecked": report.explored.tally.unchecked(),
        "race": shown,
    })
}
