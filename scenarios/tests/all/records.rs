//! Records: they replay to the digests that they hold, in every build profile. A file that is no record is refused, with a
//! sentence that says what to do.

use std::path::{Path, PathBuf};

use crate::common::{fails, mmsim, text};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records")
}

/// The records that are part of the project: file and text.
fn records() -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder()).expect("the folder is part of the project");
    let paths = files.map(|file| file.expect("a readable folder").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.to_string_lossy().ends_with(".mmsim.json")).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a text file");
        (path.to_string_lossy().into_owned(), text)
    };
    let records: Vec<_> = paths.into_iter().map(read).collect();
    assert!(records.len() >= 3, "there are records to replay");
    records
}

#[test]
fn a_record_replays_to_its_digests_in_any_build_profile() {
    for (file, _) in records() {
        let output = mmsim(&folder(), &["replay", &file, "--check-determinism"]);
        assert_eq!(output.status.code(), Some(0), "{file}: {}{}", text(&output.stdout), text(&output.stderr));
        assert!(text(&output.stdout).contains("twice the same"), "{}", text(&output.stdout));
    }
}

/// Texts of a record that are replaced, so that the record is wrong, each with the error that is reported.
const BAD: &[(&str, &str, &str)] = &[
    ("mmsim-record-3", "mmsim-record-4", "a newer build wrote it; replay it with the build that wrote it"),
    ("mmsim-record-3", "something-else", "not a record: its format is `something-else`"),
    ("\"format\": \"mmsim-record-3\"", "\"format\": 2", "its `format` is not text"),
    ("\"format\": \"mmsim-record-3\",", "", "not a record: it has no `format`"),
    ("\"matters\"", "\"matter\"", "unknown field `matter`"),
    ("\"steps\":", "\"steps\": -", "not a record"),
    ("\"name\": \"spec-ref-vs-reuse\"", "\"name\": \"another\"", "a record of another scenario"),
    ("\"gup-pte-recheck\"", "\"gup-pte-rechek\"", "this build knows no safeguard `gup-pte-rechek`"),
    ("\"cow_reuse\"", "\"cow_abuse\"", "kernel: this build knows no setting `cow_abuse`"),
    ("\"gup-pte-recheck\",", "\"gup-pte-recheck\", \"gup-irq-off\",", "names `gup-irq-off` as on and as off"),
    ("\"flush\": \"noipi\"", "\"flush\": \"pigeon\"", "machine.flush: this build knows no value `pigeon`"),
    (
        "\"cow_reuse\": \"mapcount\"",
        "\"cow_reuse\": \"luck\"",
        "kernel.cow_reuse: this build knows no value `luck`",
    ),
    ("\"version\": \"v5.0\"", "\"version\": \"five\"", "kernel.version: `five` is not the name of a release"),
    ("\"cpus\": 3", "\"cpus\": 0", "machine.cpus is out of range: 1 to 16"),
    ("\"cpus\": 3", "\"cpus\": 2", "thread `reuse` runs on CPU 2 of 2"),
    ("\"entries_per_table\": 4", "\"entries_per_table\": 3", "machine.entries_per_table is out of range"),
    ("\"frames\": 24", "\"frames\": 1", "machine.frames is out of range"),
    ("\"0/3 cpu0\"", "\"9/3 cpu0\"", "decisions[0]: answer 9 is out of range, of 3"),
    ("\"0/3 cpu0\"", "\"first\"", "decisions[0]: `first` is not of the form"),
];

#[test]
fn what_is_no_record_is_refused_with_the_file_and_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, good) = records().into_iter().find(|(file, _)| file.contains("spec-ref")).expect("it is there");
    let write = |text: &str| std::fs::write(folder.path().join("bad.json"), text).expect("a writable folder");
    for (from, to, says) in BAD {
        assert!(good.contains(from), "{from} is not in the record");
        write(&good.replacen(from, to, 1));
        for command in ["replay", "explain", "shrink"] {
            fails(folder.path(), &[command, "bad.json"], 3, "bad.json");
        }
        fails(folder.path(), &["replay", "bad.json"], 3, says);
    }
    for end in [0, 1, good.len() / 3, good.len() - 3] {
        write(&good[..end]);
        fails(folder.path(), &["replay", "bad.json"], 3, "bad.json:");
    }
}

/// The claims of a record about its run are checked. A record with a wrong claim is refused, with the place of the claim.
#[test]
fn what_a_record_says_of_itself_is_verified() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |text: &str| std::fs::write(folder.path().join("bad.json"), text).expect("a writable folder");
    for (_, good) in records() {
        let line_of = |key: &str| good.lines().position(|line| line.contains(key)).expect("it is in there") + 1;
        let record: serde_json::Value = serde_json::from_str(&good).expect("a record is JSON");
        let steps = record["steps"].as_u64().expect("a number");
        let longer = good.replacen(&format!("\"steps\": {steps}"), &format!("\"steps\": {}", steps + 1), 1);
        let (start, end) = {
            let start = good.find("\"matters\"").expect("it is in there");
            (start, start + good[start..].find("\"decisions\"").expect("it comes next"))
        };
        let fewer = format!("{}\"matters\": [[1, 1]],\n  {}", &good[..start], &good[end..]);
        for (text, line, says) in [
            (longer, line_of("\"steps\""), format!("`steps` is {}, but the run has {steps} steps", steps + 1)),
            (fewer, line_of("\"matters\""), "`matters` names steps 1, but the finding needs".to_owned()),
        ] {
            write(&text);
            for command in ["replay", "explain", "shrink"] {
                fails(folder.path(), &[command, "bad.json"], 3, &format!("bad.json:{line}:"));
                fails(folder.path(), &[command, "bad.json"], 3, &says);
            }
            assert_eq!(mmsim(folder.path(), &["test", "bad.json"]).status.code(), Some(3), "{says}");
        }
    }
}

/// A safeguard or a setting that a record does not name is younger than the record. The kernel has it as its release does.
#[test]
fn a_record_may_be_older_than_a_safeguard_or_a_setting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, good) = records().into_iter().find(|(file, _)| file.contains("spec-ref")).expect("it is there");
    let write = |text: &str| std::fs::write(folder.path().join("old.json"), text).expect("a writable folder");
    let design = "\"cow_reuse\": \"mapcount\",";
    assert!(good.contains(design) && good.contains("\"gup-irq-off\",") && good.contains("\"gup-pte-recheck\","));
    write(&good.replacen(design, "", 1).replacen("\"gup-irq-off\",", "", 1));
    assert_eq!(mmsim(folder.path(), &["replay", "old.json"]).status.code(), Some(0));
    // The kernel of this record differs from its release there, so the run is another.
    write(&good.replacen("\"gup-pte-recheck\",", "", 1));
    assert_eq!(mmsim(folder.path(), &["replay", "old.json"]).status.code(), Some(5));
}

#[test]
fn a_record_of_an_older_format_says_what_to_do() {
    let old = folder().join("format-1.json");
    let old = old.to_str().expect("a path of the project");
    for command in ["replay", "explain", "shrink"] {
        fails(&folder(), &[command, old], 3, "an older build wrote it; replay it with the build that wrote it");
    }
}

#[test]
fn a_replay_that_differs_says_where_and_a_prefix_goes_on_from_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, good) = records().into_iter().find(|(file, _)| file.contains("spec-ref")).expect("it is there");
    let record: serde_json::Value = serde_json::from_str(&good).expect("a record is JSON");
    let mut changed = record.clone();
    changed["decisions"][5] = "2/3 cpu2".into();
    std::fs::write(folder.path().join("r.json"), changed.to_string()).expect("a writable folder");
    let output = mmsim(folder.path(), &["replay", "r.json"]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{stdout}");
    assert!(stdout.contains("diverged: "), "{stdout}");
    let mut other = record;
    other["decisions"][7] = "0/9 cpu1".into();
    std::fs::write(folder.path().join("r.json"), other.to_string()).expect("a writable folder");
    let output = mmsim(folder.path(), &["replay", "r.json"]);
    let stdout = text(&output.stdout);
    assert!(stdout.contains("decision 7, at step 8 of CPU 1 in "), "{stdout}");
    assert!(stdout.contains("expected `0/9 cpu1`, found `0/3 cpu1`"), "{stdout}");
    let output = mmsim(folder.path(), &["replay", "--prefix", "r.json"]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}{}", text(&output.stderr));
    assert!(
        stdout.contains("the record goes 7 of ") && stdout.contains("found: leak in gup_pte_range"),
        "{stdout}"
    );
    let path = stdout.lines().find_map(|line| line.strip_prefix("record: ")).expect("the record is named");
    assert_eq!(mmsim(folder.path(), &["replay", path]).status.code(), Some(0));
}

#[test]
fn options_of_a_prefix_want_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fails(folder.path(), &["replay", "r.json", "--strategy", "pos"], 2, "--prefix");
    fails(folder.path(), &["replay", "r.json", "--prefix", "--cycles"], 2, "cannot be used with");
    fails(folder.path(), &["shrink"], 2, "<RECORD>");
}

/// The same schedule under another kernel: does it still fail there?
#[test]
fn a_record_is_replayed_under_another_kernel() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let race = ["run", "spec-ref-vs-reuse", "--without", "gup-pte-recheck"];
    assert_eq!(mmsim(folder.path(), &race).status.code(), Some(1));
    let files = std::fs::read_dir(folder.path()).expect("the folder is there");
    let name = files.filter_map(|file| file.ok()?.file_name().into_string().ok()).next().expect("a record");
    let replay = |more: &[&'static str]| {
        let output = mmsim(folder.path(), &[&["replay", &name], more].concat());
        let first = text(&output.stdout).lines().next().unwrap_or_default().to_owned();
        (output.status.code(), first)
    };
    let still = (Some(1), "still: leak in gup_pte_range / do_anonymous_page".to_owned());
    let not_there = (Some(0), "not there: no violation in this schedule".to_owned());
    assert_eq!(replay(&["--with", "gup-pte-recheck"]), not_there);
    // That release has all that it had.
    assert_eq!(replay(&["--kernel", "v5.9"]), not_there);
    assert_eq!(replay(&["--kernel", "v5.9", "--without", "gup-pte-recheck"]), still);
    // A safeguard that does not matter changes nothing, and leaves the rest of the kernel as it was.
    assert_eq!(replay(&["--without", "fork-flush"]), still);
    assert_eq!(replay(&["--debug-vm", "on"]), still);
    // Interrupts that are disabled hold up a flush by interrupt.
    assert_eq!(replay(&["--flush", "ipi"]), not_there);
    fails(folder.path(), &["replay", &name, "--kernel", "v5.9", "--prefix"], 2, "takes other steps");
}

#[test]
fn shrink_says_what_went_and_writes_a_record_that_replays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (file, _) in records() {
        let output = mmsim(folder.path(), &["shrink", &file]);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{stdout}{}", text(&output.stderr));
        for word in
            ["shrunk: ", "threads ", "operations ", "pages ", "cpus ", "switches ", "steps ", " lead to it"]
        {
            assert!(stdout.contains(word), "{word} in {stdout}");
        }
        let path = stdout.lines().find_map(|line| line.strip_prefix("record: ")).expect("the record is named");
        assert_eq!(mmsim(folder.path(), &["replay", path]).status.code(), Some(0));
        let report = mmsim(folder.path(), &["explain", path, "--format", "report"]);
        let report = text(&report.stdout);
        for word in
            ["BUG: mmsim: ", "Call trace: CPU ", "Machine: ", "Kernel: ", "Record: ", "Replay: mmsim replay "]
        {
            assert!(report.contains(word), "{word} in {report}");
        }
        // A file stands where the folder would be.
        let below = format!("{path}/folder");
        fails(folder.path(), &["shrink", path, "--out", &below], 3, &below);
    }
    fails(folder.path(), &["list", "--format", "report"], 2, "[possible values: text, json]");
    fails(folder.path(), &["--format", "report", "list"], 2, "`list` has no `--format report`; it has text, json");
}

#[test]
fn an_error_in_the_scenario_of_a_record_has_its_place_in_the_record() {
    use sha2::{Digest as _, Sha256};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, text) = records().remove(0);
    let mut record: serde_json::Value = serde_json::from_str(&text).expect("a record is JSON");
    record["scenario"]["threads"][0]["process"] = "nobody".into();
    let digest = Sha256::digest(record["scenario"].to_string().as_bytes());
    record["scenario_digest"] = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    for text in [format!("{record:#}"), record.to_string()] {
        std::fs::write(folder.path().join("r.mmsim.json"), &text).expect("a writable folder");
        let before = &text[..text.find("\"nobody\"").expect("it was just written")];
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
        let place = format!("r.mmsim.json:{}:{column}: error: ", before.matches('\n').count() + 1);
        for command in ["replay", "explain", "shrink"] {
            fails(folder.path(), &[command, "r.mmsim.json"], 3, &place);
        }
    }
}

#[test]
fn where_a_record_came_from_is_a_seed_or_the_run_of_a_search() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let race = ["run", "spec-ref-vs-reuse", "--without", "gup-pte-recheck"];
    for (strategy, has, has_not) in [("portfolio", "seed", "run"), ("exhaustive", "run", "seed")] {
        let args = [&race[..], &["--strategy", strategy, "--out", strategy]].concat();
        assert_eq!(mmsim(folder.path(), &args).status.code(), Some(1), "{strategy}");
        let mut files = std::fs::read_dir(folder.path().join(strategy)).expect("the folder was made");
        let file = files.next().expect("a record").expect("a readable folder").path();
        let record = std::fs::read_to_string(&file).expect("a record is text");
        let record: serde_json::Value = serde_json::from_str(&record).expect("a record is JSON");
        let from = &record["provenance"];
        assert!(from[has].is_u64() && from.get(has_not).is_none(), "{strategy}: {from}");
        assert_eq!(mmsim(folder.path(), &["replay", &file.to_string_lossy()]).status.code(), Some(0));
    }
}
