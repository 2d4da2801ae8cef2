//! Memory order: all schedules of tests from outside come to what x86-TSO allows, to all of it and to nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::{mmsim, text};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/litmus")
}

fn litmus(args: &[&str]) -> (Option<i32>, Value) {
    let output = mmsim(&folder(), &[&["litmus", "--format", "json"], args].concat());
    let parsed = serde_json::from_slice(&output.stdout);
    (output.status.code(), parsed.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr))))
}

/// Outcomes that the file lists and no machine can have: two XCHGs of one location that store 1 both read 1.
const IMPOSSIBLE: &[(&str, &[&[u64]])] = &[
    ("coat/testandset", &[&[1, 1]]),
    ("coat/testandset+earlyld", &[&[0, 1, 0, 1], &[0, 1, 1, 1], &[1, 1, 0, 1]]),
    ("coat/testandset2", &[&[1, 1]]),
    ("coat/testandset2+earlyld", &[&[0, 1, 0, 1], &[0, 1, 1, 1], &[1, 1, 0, 1]]),
];

#[test]
fn every_outcome_that_x86_allows_is_reached_and_no_other_is() {
    let (_, report) = litmus(&["x86-tso.jsonl.gz", "--jobs", "2"]);
    assert_eq!(report["programs"], 591);
    assert_eq!(report["complete"], 591, "each is proved");
    assert_eq!(
        (&report["outside"], &report["findings"], &report["verdicts_wrong"]),
        (&json!(0), &json!(0), &json!(0))
    );
    let tests = report["tests"].as_array().expect("a list");
    let missing: BTreeSet<(String, String)> = (tests.iter())
        .flat_map(|test| test["missing"].as_array().into_iter().flatten().map(move |outcome| (test, outcome)))
        .map(|(test, outcome)| (test["name"].as_str().unwrap_or_default().to_owned(), outcome.to_string()))
        .collect();
    let expected = IMPOSSIBLE.iter().flat_map(|(name, outcomes)| {
        outcomes.iter().map(move |outcome| ((*name).to_owned(), json!(outcome).to_string()))
    });
    assert_eq!(missing, expected.collect());
}

#[test]
fn sequential_consistency_adds_nothing() {
    let (_, report) = litmus(&["x86-tso.jsonl.gz", "--memory", "sc", "--jobs", "2"]);
    assert_eq!((&report["complete"], &report["outside"]), (&json!(591), &json!(0)));
    assert!(report["reached"].as_u64() < report["outcomes"].as_u64(), "some outcomes need a store buffer");
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let runs = ["1", "2", "3"].map(|jobs| litmus(&["x86-tso.jsonl.gz", "--only", "rems/BASIC", "--jobs", jobs]));
    assert!(runs[0].1["programs"].as_u64() > Some(0));
    assert!(runs.iter().all(|run| *run == runs[0]));
}

/// A file of the `herd` tool; and, of the scenario that it becomes, the same with `mmsim run`.
#[test]
fn a_test_is_a_scenario() {
    let (code, report) = litmus(&["SB.litmus"]);
    assert_eq!((code, &report["tests"][0]["had"]), (Some(0), &json!(true)));
    let (_, report) = litmus(&["SB.litmus", "--memory", "sc"]);
    assert_eq!(report["tests"][0]["had"], json!(false));
    let printed = mmsim(&folder(), &["litmus", "SB.litmus", "--scenario"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("sb.json"), &printed.stdout).expect("a file");
    let args = ["explore", "sb.json", "--strategy", "exhaustive", "--outcomes", "--format", "json", "--no-record"];
    let explored = mmsim(folder.path(), &args);
    let explored: Value = serde_json::from_slice(&explored.stdout).expect("JSON");
    assert_eq!(explored["outcomes"]["observe"], json!(["P0.EAX", "P1.EAX"]));
    assert_eq!(explored["outcomes"]["outcomes"].as_array().map(Vec::len), Some(4));
}

/// The random walk reaches what needs a store to be held back for long: here, over the walks of both first accesses.
#[test]
fn a_random_walk_holds_stores_back() {
    let folder = folder();
    let printed = mmsim(&folder, &["litmus", "SB.litmus", "--scenario"]);
    let work = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(work.path().join("sb.json"), &printed.stdout).expect("a file");
    let args = ["explore", "sb.json", "--strategy", "random", "--runs", "2000", "--outcomes", "--format", "json"];
    let explored = mmsim(work.path(), &[&args[..], &["--no-record"]].concat());
    let explored: Value = serde_json::from_slice(&explored.stdout).expect("JSON");
    let outcomes = explored["outcomes"]["outcomes"].as_array().expect("a list");
    let weak = outcomes.iter().find(|outcome| outcome["values"] == json!([0, 0])).expect("both loads came first");
    assert!(weak["runs"].as_u64() > Some(200), "{weak} of 2,000");
}

/// A thread that spins on a flag sees what was stored before it, and waits for ever if nobody sets it.
#[test]
fn user_code_waits_for_a_word() {
    let scenario = |writer: Value| {
        json!({
            "name": "spin", "about": "One thread spins until another has written.",
            "machine": { "cpus": 2, "platform": { "memory": "tso" } },
            "processes": [{ "name": "p", "setup": [
                { "mmap": { "as": "m", "pages": 1 } }, { "write": { "to": "m", "value": 0 } },
                { "write": { "to": "m[8]", "value": 0 } },
            ] }],
            "threads": [
                { "name": "reader", "process": "p", "cpu": 0, "run": [
                    { "wait_until": { "at": "m[8]", "as": "flag" } }, { "read": { "from": "m", "as": "data" } },
                ] },
                { "name": "writer", "process": "p", "cpu": 1, "run": writer },
            ],
        })
    };
    let explore = |writer: Value| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("spin.json"), scenario(writer).to_string()).expect("a file");
        let args =
            ["explore", "spin.json", "--strategy", "exhaustive", "--outcomes", "--format", "json", "--no-record"];
        let explored = mmsim(folder.path(), &args);
        serde_json::from_slice::<Value>(&explored.stdout).unwrap_or_else(|_| panic!("{}", text(&explored.stderr)))
    };
    let both = explore(json!([{ "write": { "to": "m", "value": 1 } }, { "write": { "to": "m[8]", "value": 2 } }]));
    assert_eq!(both["extent"]["verified"], true);
    let values: Vec<_> = both["outcomes"]["outcomes"].as_array().expect("a list").iter().collect();
    assert!(values.len() == 1 && values[0]["values"] == json!([2, 1]), "{values:?}");
    let none = explore(json!([{ "write": { "to": "m", "value": 1 } }]));
    assert_eq!(none["found"][0]["title"], "deadlock");
}

#[test]
fn what_is_wrong_is_said() {
    for (args, code, says) in [
        (vec!["litmus"], 2, "required arguments"),
        (vec!["litmus", "none.jsonl"], 3, "none.jsonl"),
        (vec!["litmus", "README.md"], 3, "README.md:1: error: expected value"),
        (vec!["litmus", "x86-tso.jsonl.gz", "--scenario"], 2, "choose one with `--only`"),
        (vec!["litmus", "x86-tso.jsonl.gz", "--only", "no such test"], 4, ""),
    ] {
        let output = mmsim(&folder(), &args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
    }
}
