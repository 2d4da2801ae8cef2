//! Coverage of campaigns for which the right answer is known.

use std::sync::atomic::AtomicBool;

use crate::common::{fails, mmsim, never_ends, text};
use mmsim::case::configuration;
use mmsim::coverage::{Coverage, Survey, survey};
use mmsim::explore::{Campaign, Strategy};
use mmsim::library::{entries, open};
use sim_gup::safeguards::GUP_IRQ_OFF;
use sim_gup::safeguards::GUP_PTE_RECHECK;

/// Runs of each survey.
const RUNS: u64 = 500;

/// Surveys a case of the library.
fn surveyed(scenario: &str, case: &str, jobs: usize) -> Survey {
    let scenario = open(scenario).expect("a scenario of the library").scenario;
    let case = scenario.cases.iter().find(|each| each.name == case).expect("a case of the scenario");
    let (machine, kernel) = configuration(&scenario, case);
    let strategy = Strategy::Portfolio;
    let campaign = Campaign { jobs, ..Campaign::new(&scenario, machine, kernel, strategy, RUNS) };
    survey(&campaign, &AtomicBool::new(false), &|_| ()).expect("the case can be set up")
}

#[test]
fn a_check_decides_only_in_a_kernel_that_has_it() {
    let with = surveyed("spec-ref-vs-reuse", "recheck", 1).coverage.safeguards.of(GUP_PTE_RECHECK);
    assert_eq!((with.in_force, with.missed), (RUNS, 0));
    assert!(0 < with.decided && with.decided < with.consulted, "{with:?}");
    let without = surveyed("spec-ref-vs-reuse", "no-recheck", 1).coverage.safeguards.of(GUP_PTE_RECHECK);
    assert_eq!((without.in_force, without.consulted, without.decided), (0, 0, 0));
    assert!(without.missed > 0, "{without:?}");
}

#[test]
fn a_design_decides_where_it_is_the_one_in_force() {
    let irq_off = |case| surveyed("gupfast-vs-table-free", case, 1).coverage.safeguards.of(GUP_IRQ_OFF);
    let (irq, preempt) = (irq_off("after-flush-irq"), irq_off("after-flush-preempt"));
    assert_eq!((irq.decided, irq.missed), (irq.consulted, 0));
    assert!(irq.decided > 0);
    assert_eq!((preempt.decided, preempt.in_force), (0, 0));
    assert!(preempt.missed > 0);
}

#[test]
fn routines_that_race_are_named_both_ways_round() {
    let pairs = surveyed("spec-ref-vs-reuse", "recheck", 1).coverage.races.pairs();
    let on_pte =
        pairs.iter().find(|pair| pair.object == "pte" && pair.routines == ["gup_pte_range", "zap_pte_range"]);
    let on_pte = on_pte.unwrap_or_else(|| panic!("not among {pairs:?}"));
    assert!(on_pte.first[0] > 0 && on_pte.first[1] > 0, "{on_pte:?}");
    // Accesses that a lock orders do not race: only the holder of the PTE lock changes an entry.
    let faults = surveyed("two-faults-one-page", "rechecked", 1).coverage.races.pairs();
    let locked = ["do_anonymous_page", "do_anonymous_page"];
    assert!(!faults.iter().any(|pair| pair.object == "pte" && pair.routines == locked), "{faults:?}");
}

#[test]
fn any_number_of_threads_covers_the_same() {
    for case in ["recheck", "no-recheck"] {
        let one = surveyed("spec-ref-vs-reuse", case, 1);
        assert_eq!(one, surveyed("spec-ref-vs-reuse", case, 3), "{case}");
        assert_eq!((one.coverage.runs, one.schedules.runs()), (RUNS, RUNS));
    }
}

#[test]
fn schedules_thin_out() {
    let schedules = surveyed("spec-ref-vs-reuse", "recheck", 1).schedules;
    let rows = schedules.thinning();
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 500]);
    assert!(rows.is_sorted_by(|a, b| a.1 <= b.1 && b.1 - a.1 <= b.0 - a.0), "{rows:?}");
    assert!(rows.iter().all(|(runs, distinct)| distinct <= runs));
    assert!(schedules.seen_once() <= schedules.distinct() && schedules.distinct() < RUNS);
    // One thread has one schedule.
    let alone = surveyed("gup-return-values", "as-promised", 1).schedules;
    assert_eq!((alone.distinct(), alone.seen_once()), (1, 0));
}

/// Every line that is stepped is one of the counted lines, in every scenario. The count stays the same.
#[test]
fn what_steps_is_what_is_counted() {
    let mut all = Coverage::default();
    let mut totals = Vec::new();
    for entry in entries() {
        let scenario = open(entry.name).expect("a scenario of the library").scenario;
        // A run that never ends steps the same lines again and again.
        for case in scenario.cases.iter().filter(|case| !never_ends(case)) {
            let (machine, kernel) = configuration(&scenario, case);
            let strategy = Strategy::Portfolio;
            let campaign = Campaign { jobs: 2, ..Campaign::new(&scenario, machine, kernel, strategy, 64) };
            let found = survey(&campaign, &AtomicBool::new(false), &|_| ()).expect("the case can be set up");
            totals.push(found.coverage.lines.files().iter().map(|file| file.total).sum::<usize>());
            all.add(&found.coverage);
        }
    }
    assert_eq!(all.lines.unknown(), []);
    totals.dedup();
    assert_eq!(totals.len(), 1, "{totals:?}");
    let fast =
        all.lines.files().into_iter().find(|file| file.file == "sim-gup/src/fast.rs").expect("has accesses");
    assert_eq!(fast.never, [], "the library steps the whole of the lockless walk");
    let stepped: usize = all.lines.files().iter().map(mmsim::coverage::FileLines::stepped).sum();
    let files = all.lines.files();
    let never: Vec<String> = files
        .iter()
        .filter(|file| !file.never.is_empty())
        .map(|file| format!("{}: {:?}", file.file, file.never))
        .collect();
    assert!(stepped * 10 > totals[0] * 9, "{stepped} of {}; never:\n{}", totals[0], never.join("\n"));
}

#[test]
fn the_command_line_tells_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["coverage", "spec-ref-vs-reuse", "--case", "recheck", "--runs", "200", "--jobs", "2"];
    let shown = text(&mmsim(folder.path(), &args).stdout);
    for word in
        ["safeguards: ", "gup-pte-recheck", "lines: ", "sim-gup/src/fast.rs", "races: ", "gup_pte_range", "unseen"]
    {
        assert!(shown.contains(word), "no {word:?} in\n{shown}");
    }
    assert!(!shown.contains("cpu.read_once"), "lines are not asked for:\n{shown}");
    let lines = text(&mmsim(folder.path(), &[&args[..], &["--lines"]].concat()).stdout);
    assert!(lines.contains("cpu.read_once"), "{lines}");
    let json = mmsim(folder.path(), &[&args[..], &["--format", "json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one document");
    assert_eq!(json["runs"], 200);
    assert_eq!(json["schedules"][0]["name"], "spec-ref-vs-reuse/recheck");
    let without = ["coverage", "spec-ref-vs-reuse", "--without", "gup-pte-recheck", "--runs", "200"];
    let without = text(&mmsim(folder.path(), &without).stdout);
    let recheck =
        without.lines().find(|line| line.trim_start().starts_with("gup-pte-recheck")).expect("was reached");
    assert!(recheck.contains(" - "), "it cannot decide: {recheck}");
    fails(folder.path(), &["coverage"], 2, "SCENARIO");
    fails(folder.path(), &["coverage", "--library", "spec-ref-vs-reuse"], 2, "cannot be used with");
    fails(folder.path(), &["coverage", "spec-ref-vs-resue"], 3, "did you mean");
    fails(folder.path(), &["coverage", "spec-ref-vs-reuse", "--case", "none"], 2, "it has recheck");
}

#[test]
fn races_are_looked_for_with_every_strategy() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["bench", "--races", "--seeds", "2", "--limit", "500", "spec-ref-vs-reuse", "--format", "json"];
    let json: serde_json::Value =
        serde_json::from_slice(&mmsim(folder.path(), &args).stdout).expect("one document");
    let races = json["races"].as_array().expect("a list");
    assert_eq!(races.len(), 6);
    for race in races {
        let strategies = race["strategies"].as_array().expect("a list");
        assert_eq!(strategies[0]["strategy"], "portfolio");
        assert!(strategies.iter().all(|strategy| strategy["runs"].as_array().is_some_and(|runs| runs.len() == 2)));
    }
    fails(folder.path(), &["bench", "--seeds", "2"], 2, "--races");
}
