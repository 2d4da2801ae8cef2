//! The strategy `timed`: scenarios run as they would on a real machine.

use crate::common::{mmsim, text};

const VMSPLICE: [&str; 6] = ["run", "vmsplice-child-reads-parent", "--kernel", "v5.0", "--strategy", "timed"];

/// A race whose window is as wide as a system call is found. Its record needs no clock.
#[test]
fn what_a_machine_would_show_is_found_and_replays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let found = mmsim(folder.path(), &VMSPLICE);
    let stdout = text(&found.stdout);
    assert_eq!(found.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("found by timed in run"), "{stdout}");
    let record = stdout.lines().find_map(|line| line.strip_prefix("record: ")).expect("the record is named");
    let replayed = mmsim(folder.path(), &["replay", record]);
    assert_eq!(replayed.status.code(), Some(0), "{}{}", text(&replayed.stdout), text(&replayed.stderr));
}

#[test]
fn threads_of_the_host_change_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let told = |jobs| {
        let args = ["explore", "spec-ref-vs-reuse", "--strategy", "timed", "--runs", "500", "--jobs", jobs];
        text(&mmsim(folder.path(), &args).stdout)
    };
    assert!(told("1").contains("sampled by timed"), "{}", told("1"));
    assert_eq!(told("1"), told("3"));
}

#[test]
fn a_scenario_can_ask_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("timed.json");
    let scenario = r#"{ "name": "timed", "about": "Two threads write.",
        "machine": { "cpus": 2, "frames": 24 }, "kernel": { "version": "v5.0" },
        "processes": [ { "name": "p", "setup": [
            { "mmap": { "as": "buf", "pages": 1, "prot": "rw", "flags": ["private", "anonymous"] } } ] } ],
        "threads": [
            { "name": "a", "process": "p", "cpu": 0, "run": [ { "write": { "to": "buf", "value": 1 } } ] },
            { "name": "b", "process": "p", "cpu": 1, "run": [ { "write": { "to": "buf", "value": 2 } } ] } ],
        "cases": [ { "name": "c", "explore": { "strategy": "timed", "runs": 200 }, "expect": "no-violation" } ] }"#;
    std::fs::write(&path, scenario).expect("a writable folder");
    let output = mmsim(folder.path(), &["run", "timed.json"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    assert!(told.contains("200 runs"), "{told}");
}
