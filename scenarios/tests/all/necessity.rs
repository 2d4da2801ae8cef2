//! The table of safeguards: each that GUP relies on is needed, and a case of the library shows it.

use std::sync::atomic::AtomicBool;

use crate::common::{fails, mmsim, text};
use mmsim::necessity::{Guard, Proof, Row, Wanted, Why, table};
use serde_json::Value;
use sim_gup::CATALOGUE;
use sim_mm::Safeguard;

/// The safeguards of GUP that no case of the library shows to be needed. The list may only become shorter.
///
/// Without the reference to the map of a device GUP uses a descriptor that is gone, but only if the device goes without unmapping its blocks first. Then GUP goes wrong with that
/// reference as well, in another way (`unbind-vs-gup/still-mapped`).
const NOT_SHOWN: &[&str] = &["follow-dev-pagemap"];

fn rows(safeguards: &[Safeguard], jobs: usize) -> Vec<Row> {
    let stop = AtomicBool::new(false);
    let rows = table(safeguards, Wanted { jobs, stop: &stop, progress: &|_, _| () });
    rows.expect("the library can be used").expect("nobody stopped it")
}

fn of_keys(keys: &[&str]) -> Vec<Safeguard> {
    keys.iter().map(|key| CATALOGUE.safeguard(key).expect("the key of a safeguard")).collect()
}

#[test]
fn each_safeguard_of_gup_is_needed() {
    let is_of_gup =
        |safeguard: &Safeguard| sim_gup::SAFEGUARDS.contains(safeguard) || !safeguard.guards.is_empty();
    let safeguards: Vec<Safeguard> = CATALOGUE.safeguards().filter(is_of_gup).collect();
    let rows = rows(&safeguards, 2);
    assert_eq!(rows.iter().map(|row| row.safeguard).collect::<Vec<_>>(), safeguards);
    let without: Vec<&str> = rows.iter().filter(|row| row.proof.is_none()).map(|row| row.safeguard.key).collect();
    let new: Vec<&&str> = without.iter().filter(|key| !NOT_SHOWN.contains(key)).collect();
    assert!(
        new.is_empty(),
        "no case of the library goes wrong for want of {new:?}: docs/adding.md, \"A safeguard\""
    );
    let shown: Vec<&&str> = NOT_SHOWN.iter().filter(|key| !without.contains(key)).collect();
    assert!(shown.is_empty(), "a case shows {shown:?} now: take them out of the list above");
}

#[test]
fn a_proof_says_what_shows_it() {
    let keys =
        ["gup-pte-recheck", "gup-table-recheck", "gup-slow-fallback", "touch-pmd-write", "follow-dev-pagemap"];
    let one = rows(&of_keys(&keys), 1);
    assert_eq!(one, rows(&of_keys(&keys), 3), "the number of threads changes nothing");
    let proofs: Vec<Option<(Why, String)>> =
        one.into_iter().map(|row| row.proof.map(|Proof { case, why, .. }| (why, case))).collect();
    let masks = Why::MaskedBy(of_keys(&["collapse-sync-ipi"]));
    let shown = |why, case: &str| Some((why, case.to_owned()));
    assert_eq!(
        proofs,
        [
            // In one schedule of many.
            shown(Why::Killed, "truncate-vs-lockless-gup/no-recheck"),
            // v6.1 brought both, and either is enough.
            shown(masks, "gupfast-vs-thp-collapse/neither"),
            // One thread is enough.
            shown(Why::Deterministic, "gup-return-values/no-fallback"),
            // The library has it by release alone.
            shown(Why::Killed, "huge-dirty-cow/v4.14"),
            None,
        ]
    );
}

#[test]
fn a_safeguard_names_guards_that_there_are() {
    let guards: Vec<Guard> = Guard::all().collect();
    assert_eq!(guards.len(), 148);
    assert!((1..).zip(&guards).all(|(number, guard)| Guard::of(number) == Some(*guard)));
    assert_eq!((Guard::of(0), Guard::of(149)), (None, None));
    for safeguard in CATALOGUE.safeguards() {
        assert!(safeguard.guards.is_sorted_by(|a, b| a < b), "{}: {:?}", safeguard.key, safeguard.guards);
        let is_one = |number: &u16| Guard::of(*number).is_some_and(|guard| guard.reason().is_none());
        assert!(safeguard.guards.iter().all(is_one), "{}: {:?}", safeguard.key, safeguard.guards);
    }
}

#[test]
fn the_command_line_tells_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["safeguards", "--table", "follow-ptl", "gup-table-recheck", "gup-secretmem", "follow-dev-pagemap"];
    let json = mmsim(folder.path(), &[&args[..], &["--jobs", "2", "--format", "json"]].concat());
    let json: Value = serde_json::from_slice(&json.stdout).expect("one document");
    let rows = json.as_array().expect("a list");
    // In the order of `mmsim safeguards`, and a row for each guard of each.
    let names: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row["key"].as_str().unwrap_or("null"), row["guard"].as_str().unwrap_or("null")))
        .collect();
    let expected = [
        ("follow-ptl", "G076"),
        ("follow-ptl", "G094"),
        ("gup-secretmem", "null"),
        ("gup-table-recheck", "G046"),
        ("follow-dev-pagemap", "G088"),
    ];
    assert_eq!(names, expected);
    assert_eq!(rows[0]["killed_by"], "slow-gup-vs-zap/unlocked");
    assert_eq!(rows[1]["killed_by"], rows[0]["killed_by"]);
    assert_eq!(rows[2]["deterministic"], "secretmem-in-a-batch/not-asked");
    assert_eq!(rows[3]["masked_by"], serde_json::json!(["collapse-sync-ipi"]));
    assert_eq!(rows[3]["case"], "gupfast-vs-thp-collapse/neither");
    let kinds = ["killed_by", "masked_by", "deterministic"];
    assert!(kinds.iter().all(|kind| rows[4].get(kind).is_none()), "{}", rows[4]);
    let shown = text(&mmsim(folder.path(), &args).stdout);
    assert!(shown.contains("masked by collapse-sync-ipi in gupfast-vs-thp-collapse/neither"), "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 75), "{shown}");
    fails(folder.path(), &["safeguards", "--jobs", "2"], 2, "--table");
    fails(folder.path(), &["safeguards", "gup-pte-rechek"], 2, "gup-pte-recheck");
}
