//! Memory order: all schedules of tests from outside have the outcomes that x86-TSO allows, all of them and no others.

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

/// The rules of the SDM in which the source of a row and the SDM differ, each with who allows the outcome.
fn differences(test: &Value) -> BTreeSet<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let differs = test["differs"].as_array().into_iter().flatten();
    differs
        .flat_map(|one| one["rules"].as_array().into_iter().flatten().map(move |rule| (one, rule)))
        .map(|(one, rule)| (word(&one["allowed_by"]), format!("{} {}", word(&rule["rule"]), word(&rule["sdm"]))))
        .collect()
}

/// Tests of translation from outside. They are shapes without values. Each becomes a program with all outcomes that it must
/// have. One of them forbids what the SDM allows.
#[test]
fn rows_of_translation_come_to_what_their_source_says_or_the_sdm_says_why() {
    let (code, report) = litmus(&["elt.jsonl", "--jobs", "2"]);
    assert_eq!(code, Some(0));
    let sums = ["programs", "complete", "outside", "findings", "verdicts", "verdicts_wrong", "verdicts_differ"];
    assert_eq!(sums.map(|sum| report[sum].as_u64()), [23, 23, 0, 0, 23, 0, 1].map(Some), "{sums:?}");
    assert_eq!((report["outcomes"].as_u64(), &report["reached"]), (Some(111), &report["outcomes"]));
    for test in report["tests"].as_array().expect("a list") {
        let (said, rules): (Value, &[(&str, &str)]) = match test["name"].as_str() {
            Some("transform/mrf1") => (Value::Null, &[("sdm", "stale 4.10.2.3")]),
            _ => (json!(true), &[]),
        };
        assert_eq!(test["as_the_test_says"], said, "{test}");
        let rules = rules.iter().map(|(by, rule)| ((*by).to_owned(), (*rule).to_owned())).collect();
        assert_eq!(differences(test), rules, "{test}");
    }
}

/// Each rule in which source and SDM differ changes the outcomes of some row, and the machine agrees with the SDM.
#[test]
fn each_rule_of_the_sdm_is_seen_on_the_machine() {
    let (code, report) = litmus(&["own-elt.jsonl", "--jobs", "2"]);
    assert_eq!(code, Some(0));
    assert_eq!((&report["complete"], &report["outside"]), (&report["programs"], &json!(0)));
    assert_eq!((&report["reached"], &report["verdicts_wrong"]), (&report["outcomes"], &json!(0)));
    for (name, rules) in [
        ("fence-keeps-translations", &[][..]),
        ("older-after-newer", &[("sdm", "stale 4.10.2.3")]),
        ("invlpg-without-a-request", &[("source", "flush 4.10.4.1")]),
        ("walk-before-its-access", &[("source", "walk 4.10.2.2")]),
        ("dirty-of-a-remapped-page", &[("source", "dirty 4.8 and 8.1.2.1")]),
        ("dirty-before-remap", &[]),
        ("store-buffering-over-synonyms", &[]),
    ] {
        let tests = report["tests"].as_array().expect("a list");
        let test = tests.iter().find(|test| test["name"] == name).unwrap_or_else(|| panic!("{name}"));
        let rules = rules.iter().map(|(by, rule)| ((*by).to_owned(), (*rule).to_owned())).collect();
        assert_eq!(differences(test), rules, "{test}");
    }
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

/// A file of the `herd` tool. `mmsim run` gives the same result for the scenario that it becomes.
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

/// Tests in AT&T's syntax, and stores of loaded values. All schedules of each are run, and it has the right result.
#[test]
fn files_of_both_architectures_are_proved() {
    for (file, had, agrees, outcomes) in [
        ("SB+rdi.litmus", true, Value::Null, 4),
        ("MP+loaded.litmus", false, json!(true), 3),
        ("LB+loaded.litmus", true, Value::Null, 2),
    ] {
        let (code, report) = litmus(&[file]);
        let test = &report["tests"][0];
        assert_eq!((code, &test["complete"]), (Some(0), &json!(true)), "{test}");
        assert_eq!((&test["had"], &test["as_the_test_says"]), (&json!(had), &agrees), "{test}");
        assert_eq!(test["outcomes"].as_array().map(Vec::len), Some(outcomes), "{test}");
    }
}

/// The random walk reaches an outcome for which a store must be held back for long: here, over the walks of both first
/// accesses.
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

/// Explores a scenario of two threads, and answers its outcomes and findings. The first thread has the operations `waiter`.
fn two_threads(waiter: &Value, other: &Value) -> (Value, Value) {
    let scenario = json!({
        "name": "wait", "about": "One thread waits for what another does.",
        "machine": { "cpus": 2, "platform": { "memory": "tso", "speculative_walk": "on" } },
        "processes": [{ "name": "p", "setup": [
            { "mmap": { "as": "m", "pages": 3 } }, { "write": { "to": "m", "value": 0 } },
            { "write": { "to": "m+1", "value": 7 } }, { "set_entry": { "of": "m+2", "to": "m" } },
        ] }],
        "threads": [
            { "name": "waiter", "process": "p", "cpu": 0, "run": waiter },
            { "name": "other", "process": "p", "cpu": 1, "run": other },
        ],
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("wait.json"), scenario.to_string()).expect("a file");
    let args =
        ["explore", "wait.json", "--strategy", "exhaustive", "--outcomes", "--format", "json", "--no-record"];
    let explored = mmsim(folder.path(), &args);
    let parsed = serde_json::from_slice::<Value>(&explored.stdout);
    let explored = parsed.unwrap_or_else(|_| panic!("{}", text(&explored.stderr)));
    assert_eq!(explored["extent"]["verified"], true, "{explored}");
    let values = explored["outcomes"]["outcomes"].as_array().expect("a list").iter();
    let values = values.map(|outcome| outcome["values"].clone()).collect();
    let found = explored["found"].as_array().expect("a list").iter().map(|found| found["title"].clone()).collect();
    (Value::Array(values), Value::Array(found))
}

/// A thread waits for a value, or for any other, of a word or of some bytes of it.
#[test]
fn user_code_waits_for_a_value() {
    let wait = |fields: &str| -> Value {
        let fields: Value = serde_json::from_str(fields).expect("JSON");
        json!([{ "wait_until": fields }])
    };
    let counts = json!([
        { "write": { "to": "m", "value": 1 } }, { "write": { "to": "m", "value": 2 } },
        { "write": { "to": "m", "value": 3 } },
    ]);
    for (fields, outcomes, found) in [
        (r#"{ "at": "m", "as": "seen", "value": 3, "is": true }"#, json!([[3]]), json!([])),
        // The waiter may come too late to see the 2.
        (r#"{ "at": "m", "as": "seen", "value": 2, "is": true }"#, json!([[2]]), json!(["deadlock"])),
        (r#"{ "at": "m", "as": "seen" }"#, json!([[1], [2], [3]]), json!([])),
        (r#"{ "at": "m", "as": "seen", "value": 1 }"#, json!([[0], [2], [3]]), json!([])),
        (r#"{ "at": "m[0:1]", "as": "seen", "value": 3, "is": true }"#, json!([[3]]), json!([])),
        (r#"{ "at": "m[4:4]", "as": "seen", "value": 1, "is": true }"#, json!([]), json!(["deadlock"])),
    ] {
        assert_eq!(two_threads(&wait(fields), &counts), (outcomes, found), "{fields}");
    }
}

/// If the page moves while a thread waits, the thread would have to read elsewhere. Then it is not called a deadlock.
#[test]
fn a_wait_whose_page_moves_is_told_as_what_it_is() {
    let waiter = json!([{ "wait_until": { "at": "m+2", "as": "seen", "value": 7, "is": true } }]);
    let moves = json!([{ "set_entry": { "of": "m+2", "to": "m+1" } }, { "ipi_invlpg": { "at": "m+2" } }]);
    let (outcomes, found) = two_threads(&waiter, &moves);
    assert_eq!((outcomes, found), (json!([[7]]), json!(["lost-wait"])));
    let stays = json!([{ "invlpg": { "at": "m+2" } }]);
    assert_eq!(two_threads(&waiter, &stays).1, json!(["deadlock"]));
}

#[test]
fn what_is_wrong_is_said() {
    for (args, code, says) in [
        (vec!["litmus"], 2, "required arguments"),
        (vec!["litmus", "none.jsonl"], 3, "none.jsonl"),
        (vec!["litmus", "elt.jsonl", "--only", "ipi4", "--runs", "10"], 6, ""),
        (vec!["litmus", "README.md"], 3, "README.md:1: error: expected value"),
        (vec!["litmus", "x86-tso.jsonl.gz", "--scenario"], 2, "choose one with `--only`"),
        (vec!["litmus", "x86-tso.jsonl.gz", "--only", "no such test"], 4, ""),
    ] {
        let output = mmsim(&folder(), &args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
    }
}

/// A row of the kind `elt` that is no shape says what is wrong with it.
#[test]
fn a_row_of_translation_that_is_wrong_says_why() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (threads, more, says) in [
        (r#"["R x r0"]"#, "", "`R x r0` is not modelled: `WPTE e0`"),
        (r#"["RMW e0"]"#, "", "`RMW e0` is not modelled"),
        (r#"["R e0","W e0"]"#, "", "two events have the name `e0`"),
        (r#"["R e0","W a0"]"#, "", "`W a0`: names are all of events"),
        (r#"["WPTE a0","R a1"]"#, "", "`a0`: nothing says whose entry it is"),
        (r#"["R a1 walks a0","R a2 walks a0"]"#, "", "`a0` is the entry of `a1` and of `a2`"),
        (r#"["R e0"]"#, r#","same_va":[["e0","e1"]]"#, "there is no event `e1`"),
        (r#"["R e0"]"#, r#","walks":["e0"]"#, "`e0` is no `walk(EVENT)`"),
        (r#"["R e0"]"#, r#","dirty":["dirty(e0)"]"#, "`e0` is no such access"),
        (r#"["R e0","INVLPG e1"]"#, r#","invalidates_for":[["e0","e1"]]"#, "`e0` is not Wpte"),
        (r#"["R e0"]"#, r#","same_va":[["e0"]]"#, "invalid length 1"),
        ("", "", "it has 0 events"),
    ] {
        let threads = if threads.is_empty() { "[]".to_owned() } else { format!("[{threads}]") };
        let row = format!(r#"{{"id":"row","kind":"elt","threads":{threads}{more}}}"#);
        std::fs::write(folder.path().join("row.jsonl"), row).expect("a file");
        let output = mmsim(folder.path(), &["litmus", "row.jsonl"]);
        assert_eq!(output.status.code(), Some(3), "{threads}{more}");
        assert!(text(&output.stderr).contains(says), "{threads}{more}: {}", text(&output.stderr));
    }
}
