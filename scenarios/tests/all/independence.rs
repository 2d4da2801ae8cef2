//! What is found does not depend on what a scenario says of itself, nor on how it came to be written as it is.

use std::sync::atomic::AtomicBool;

use crate::common::{fails, mmsim, never_ends, text};
use mmsim::case::{Budget, Verdict, configuration, judge};
use mmsim::explore::{Campaign, Goal, Strategy};
use mmsim::library::{entries, open};
use mmsim::scenario::{Case, Expect, Scenario, load};
use mmsim::vary::variants;
use serde_json::{Value, json};

/// Runs of each case.
const RUNS: u64 = 20;

/// Runs of a case of a variant that expects no violation.
const RUNS_OF_VARIANT: u64 = 300;

/// The races that every variant is made of: those that the project was begun for.
const FIRST_RACES: [&str; 20] = [
    "gupfast-vs-table-free",
    "spec-ref-vs-reuse",
    "ref-on-frozen-page",
    "split-vs-gup",
    "gupfast-vs-thp-collapse",
    "head-changed-under-pin",
    "dirty-cow",
    "vmsplice-child-reads-parent",
    "reuse-breaks-pin",
    "pin-vs-fork",
    "huge-dirty-cow",
    "reference-overflow",
    "numa-moves-huge-page-vs-pin",
    "huge-page-changes-under-follow",
    "dump-without-lock",
    "unbind-vs-lockless-gup",
    "fault-lets-go-of-the-lock",
    "mlock-vs-munlock",
    "special-page-pinned",
    "gate-page-reference",
];

/// The scenario under another name, without its cases, its history, and what it says that it is about.
fn bare(text: &str) -> Scenario {
    let mut json: Value = serde_json::from_str(text).expect("a scenario is JSON");
    let fields = json.as_object_mut().expect("a scenario is an object");
    for field in ["about", "history", "cases"] {
        fields.remove(field);
    }
    fields.insert("name".to_owned(), json!("something-else"));
    load("bare", &json.to_string()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn findings_do_not_depend_on_names_and_expectations() {
    let mut violated = 0;
    for entry in entries() {
        let loaded = open(entry.name).expect("the library is good");
        let bare = bare(&loaded.text);
        let expects = |case: &&Case| case.expect != Expect::NoViolation && !never_ends(case);
        for case in loaded.scenario.cases.iter().filter(expects) {
            let (machine, kernel) = configuration(&loaded.scenario, case);
            let found = |scenario: &Scenario| {
                let campaign = Campaign::new(scenario, machine, kernel, Strategy::Portfolio, RUNS);
                let explored = campaign.explore(Goal::All, &AtomicBool::new(false), &|_| ());
                let found = explored.expect("the case can be set up").found;
                found.into_iter().map(|found| (found.title, found.run)).collect::<Vec<_>>()
            };
            let of_case = found(&loaded.scenario);
            violated += usize::from(!of_case.is_empty());
            assert_eq!(of_case, found(&bare), "{}/{}", entry.name, case.name);
        }
    }
    assert!(violated > 200, "only {violated} cases went wrong in {RUNS} runs");
}

#[test]
fn verdicts_stay_in_every_variant() {
    let (mut differ, mut made) = (Vec::new(), Vec::new());
    for name in FIRST_RACES {
        let loaded = open(name).expect("in the library");
        let json = serde_json::from_str(&loaded.text).expect("a scenario is JSON");
        for variant in variants(&json) {
            made.push(variant.name);
            let scenario =
                load(variant.name, &variant.json.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
            for case in scenario.cases.iter().filter(|case| !never_ends(case)) {
                let mut case = case.clone();
                if case.expect == Expect::NoViolation {
                    case.explore = mmsim::scenario::ExploreSpec {
                        chosen: true,
                        runs: Some(RUNS_OF_VARIANT),
                        ..Default::default()
                    };
                }
                let budget = Budget { jobs: 2, ..Budget::default() };
                let report = judge(&scenario, &case, budget, &AtomicBool::new(false), &|_| ())
                    .unwrap_or_else(|error| panic!("{name}-{}/{}: {error}", variant.name, case.name));
                if !matches!(report.verdict, Verdict::AsExpected | Verdict::Unchecked) {
                    let found = report.finding.map(|finding| finding.title());
                    differ.push(format!("{name}-{}/{}: {found:?}", variant.name, case.name));
                }
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    let times = |name: &str| made.iter().filter(|each| **each == name).count();
    assert_eq!((times("larger-tables"), times("more-cpus")), (20, 20));
    assert_eq!(times("other-actor"), 2, "races in which another system call does the same");
}

#[test]
fn the_command_line_prints_variants() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = mmsim(folder.path(), &["vary", "gate-page-reference", "--format", "json"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("one document");
    let names: Vec<&str> =
        printed.as_array().into_iter().flatten().filter_map(|each| each["name"].as_str()).collect();
    assert_eq!(names, ["larger-tables", "more-cpus"]);
    assert!(load("variant", &printed[0]["scenario"].to_string()).is_ok());
    let run = text(&mmsim(folder.path(), &["vary", "gate-page-reference", "--run", "--jobs", "2"]).stdout);
    assert!(run.contains("stays") && !run.contains("differs"), "{run}");
    fails(folder.path(), &["vary", "gate-page-referense"], 3, "did you mean");
    fails(folder.path(), &["vary", "gate-page-reference", "--runs", "2"], 2, "--run");
}
