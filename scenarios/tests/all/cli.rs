//! The command line if things go wrong: exit codes, messages, records that somebody changed.

use std::path::Path;
use std::process::Output;

use crate::common::{fails, mmsim, text};

const RACE: [&str; 4] = ["run", "spec-ref-vs-reuse", "--without", "gup-pte-recheck"];

/// A record of the race, written into `folder`; its path and text.
fn record(folder: &Path) -> (String, String) {
    let output = mmsim(folder, &RACE);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    let path =
        stdout.lines().find_map(|line| line.strip_prefix("record: ")).expect("the record is named").to_owned();
    let written = std::fs::read_to_string(folder.join(&path)).expect("the record that was named is there");
    (path, written)
}

#[test]
fn wrong_usage_is_exit_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fails(folder.path(), &[], 2, "Usage");
    fails(folder.path(), &["frobnicate"], 2, "unrecognized subcommand");
    fails(folder.path(), &["run"], 2, "<SCENARIO>");
    fails(folder.path(), &["run", "spec-ref-vs-reuse", "--without", "gup-pte-rechek"], 2, "gup-pte-recheck");
    for (release, says) in [
        ("5", "it is a series of releases; choose one from `v5.0` to `v5.19`"),
        ("v6.x", "choose one from `v6.0` to `v6.19`"),
        ("v9.99", "it is no release that mmsim knows; releases are `v2.6.27` to `v2.6.39`,"),
        ("v2.6.26", "it is no release that mmsim knows; releases are `v2.6.27` to `v2.6.39`,"),
        ("v5.4.12", "it is no mainline release; the nearest is `v5.4`; write `v5.4`"),
    ] {
        fails(folder.path(), &["run", "spec-ref-vs-reuse", "--kernel", release], 2, says);
    }
    let too_old = "`gup_fast_only` came with v2.6.31, and the kernel is of v2.6.30";
    fails(folder.path(), &["run", "gup-return-values", "--kernel", "2.6.30"], 3, too_old);
    fails(folder.path(), &["run", "spec-ref-vs-reuse", "--case", "nothing"], 2, "it has recheck, no-recheck");
    fails(folder.path(), &["run", "spec-ref-vs-reuse", "--runs", "0"], 2, "0 is not in");
    let both = ["run", "spec-ref-vs-reuse", "--with", "fork-flush", "--without", "fork-flush"];
    fails(folder.path(), &both, 2, "both --with and --without");
}

#[test]
fn a_scenario_that_is_none_is_exit_3() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fails(folder.path(), &["run", "spec-ref-vs-reus"], 3, "did you mean `spec-ref-vs-reuse`?");
    fails(folder.path(), &["run", "no-such-thing.json"], 3, "no-such-thing.json: No such file");
    fails(folder.path(), &["run", "."], 3, ".: Is a directory");
    std::fs::write(folder.path().join("not-text.json"), [0xff, 0xfe, 0]).expect("a writable folder");
    fails(folder.path(), &["describe", "not-text.json"], 3, "not-text.json:1:1: error: byte 0xff is not UTF-8");
    std::fs::write(folder.path().join("late.json"), b"{\n  \"n\xc3\xa4me\": \"\xe4\"").expect("a writable folder");
    for command in ["run", "replay", "test"] {
        let output = mmsim(folder.path(), &[command, "late.json"]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("late.json:2:12: error: byte 0xe4 is not UTF-8"), "{said}");
    }
    std::fs::write(folder.path().join("empty.json"), "{}").expect("a writable folder");
    fails(folder.path(), &["explore", "empty.json"], 3, "missing");
}

/// A file that is given to the wrong command is named, with the command that takes it.
#[test]
fn a_record_is_no_scenario_and_the_other_way_round() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, written) = record(folder.path());
    std::fs::write(folder.path().join("a name.json"), &written).expect("a writable folder");
    for command in ["run", "explore", "describe", "coverage"] {
        let output = mmsim(folder.path(), &[command, "a name.json"]);
        let expected = "a name.json:1:1: error: this is the record of a run, not a scenario: use `mmsim replay 'a name.json'`\n";
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(3), expected.to_owned()));
    }
    // A record may be larger than a scenario.
    let long = written.replacen("\"message\": \"", &format!("\"message\": \"{}", "x".repeat(1 << 19)), 1);
    std::fs::write(folder.path().join(&path), long).expect("a writable folder");
    fails(folder.path(), &["run", &path], 3, "this is the record of a run");
    std::fs::write(folder.path().join("scenario.json"), "{}").expect("a writable folder");
    fails(folder.path(), &["replay", "scenario.json"], 3, "`mmsim run` takes scenarios");
}

#[test]
fn what_cannot_be_set_up_is_said_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scenario = r#"{ "name": "s", "about": "Writes where nothing is.", "processes": [ { "name": "p", "setup": [
  { "mmap": { "as": "buf", "pages": 1 } },
  { "munmap": { "at": "buf" } },
  { "write": { "to": "0x10000", "value": 1 } } ] } ],
  "threads": [ { "name": "t", "process": "p", "cpu": 0, "run": [ "exit" ] } ],
  "cases": [ { "name": "c", "expect": "no-violation" } ] }"#;
    std::fs::write(folder.path().join("s.json"), scenario).expect("a writable folder");
    let place =
        "s.json:4:3: error: `write` failed with EFAULT while process `p` was set up\n  at processes[0].setup[2]\n";
    for command in ["run", "explore", "coverage"] {
        fails(folder.path(), &[command, "s.json"], 3, place);
    }
    let tested = text(&mmsim(folder.path(), &["test", "s.json"]).stdout);
    assert!(tested.contains("s.json:4:3: error: `write` failed with EFAULT"), "{tested}");
}

/// Names come from files and from the command line. They must not be able to change a terminal.
#[test]
fn what_nobody_sees_is_shown_and_what_is_long_is_cut() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, written) = record(folder.path());
    std::fs::write(folder.path().join("r.json"), written.replace("\"leak in", "\"\u{202e}leak in"))
        .expect("a writable folder");
    let long = "x".repeat(70_000);
    let long_file = written.replace("\"gup-pte-recheck\"", &format!("\"{long}\""));
    std::fs::write(folder.path().join(&path), long_file).expect("a writable folder");
    for args in [
        vec!["run", "no\u{202e}such\u{1b}[2J"],
        vec!["run", &long],
        vec!["run", "spec-ref-vs-reuse", "--case", &long],
        vec!["run", "spec-ref-vs-reuse", "--case", "a\u{2067}b"],
        vec!["replay", &path],
        vec!["replay", "r.json"],
        vec!["replay", "a\u{202e}.json"],
    ] {
        let output = mmsim(folder.path(), &args);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!([Some(2), Some(3)].contains(&output.status.code()), "{said}");
        assert!(said.len() < 1000 && said.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{said:?}");
    }
}

#[test]
fn a_record_replays_to_the_same_digest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, _) = record(folder.path());
    let replays: Vec<Output> = (0..2).map(|_| mmsim(folder.path(), &["replay", &path])).collect();
    assert_eq!(replays[0].status.code(), Some(0), "{}", text(&replays[0].stderr));
    assert!(text(&replays[0].stdout).contains("digest"));
    assert_eq!(replays[0].stdout, replays[1].stdout);
}

#[test]
fn a_record_that_was_changed_diverges_with_exit_5() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, written) = record(folder.path());
    let changed = |from: &str, to: &str| {
        assert!(written.contains(from), "{written}");
        std::fs::write(folder.path().join(&path), written.replacen(from, to, 1)).expect("a writable folder");
        let output = mmsim(folder.path(), &["replay", &path]);
        assert_eq!(output.status.code(), Some(5), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    };
    let parsed: serde_json::Value = serde_json::from_str(&written).expect("a record is JSON");
    let decision = parsed["decisions"][10].as_str().expect("a decision is text");
    let (answer, rest) = decision.split_once('/').expect("an answer of so many");
    let other = format!("{}/{rest}", if answer == "0" { 1 } else { 0 });
    let quoted = |decision: &str| format!("\"{decision}\"");
    let at = parsed["decisions"].as_array().expect("a list").iter().position(|d| d == decision);
    let output = changed(&quoted(decision), &quoted(&other));
    let expected = format!("diverged: decision {}", at.expect("it is in the list"));
    assert!(output.contains(&expected) && output.contains(&format!("expected `{other}`")), "{output}");
    let output = changed("\"flush\": \"noipi\"", "\"flush\": \"ipi\"");
    assert!(output.contains("diverged: decision"), "{output}");
    let output = changed("\"expect\": \"leak", "\"expect\": \"refcount");
    assert!(output.contains("the verdict: expected `refcount in gup_pte_range"), "{output}");
}

#[test]
fn a_record_that_is_none_is_exit_3() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, written) = record(folder.path());
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a writable folder");
    fails(folder.path(), &["replay", "missing.json"], 3, "missing.json: No such file");
    write("truncated.json", &written[..written.len() / 2]);
    fails(folder.path(), &["replay", "truncated.json"], 3, "truncated.json:");
    write("old.json", &written.replace("mmsim-record-3", "mmsim-record-0"));
    fails(folder.path(), &["explain", "old.json"], 3, "replay it with the build that wrote it");
    write("other.json", &written.replace("\"pages\": 1", "\"pages\": 2"));
    fails(folder.path(), &["replay", "other.json"], 3, "a record of another scenario");
    write("unknown.json", &written.replacen("\"gup-pte-recheck\"", "\"gup-pte-rechek\"", 1));
    fails(folder.path(), &["replay", "unknown.json"], 3, "no safeguard `gup-pte-rechek`");
    write("decision.json", &written.replacen("\"0/2 ", "\"7/2 ", 1));
    fails(folder.path(), &["replay", "decision.json"], 3, "answer 7 is out of range, of 2");
    write("list.json", "[]");
    fails(folder.path(), &["replay", "list.json"], 3, "not a record");
    fails(folder.path(), &["replay", "."], 3, "Is a directory");
    assert!(folder.path().join(path).exists());
}

#[test]
fn a_record_that_cannot_be_written_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("file"), "").expect("a writable folder");
    let args = [&RACE[..], &["--out", "file/folder"]].concat();
    fails(folder.path(), &args, 1, "its record could not be written to file/folder");
}

#[test]
fn what_is_small_is_searched_whole_if_nobody_says_how() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let small = r#"{ "name": "small", "about": "Two writes.", "machine": { "cpus": 2 }, "kernel": { "version": "v5.0" },
        "processes": [ { "name": "p", "setup": [ { "mmap": { "as": "buf", "pages": 1 } },
            { "write": { "to": "buf", "value": 1 } } ] } ],
        "threads": [ { "name": "a", "process": "p", "cpu": 0, "run": [ { "write": { "to": "buf", "value": 2 } } ] },
            { "name": "b", "process": "p", "cpu": 1, "run": [ { "read": { "from": "buf" } } ] } ],
        "cases": [ { "name": "usual", "expect": "no-violation" },
            { "name": "sampled", "explore": { "runs": 9 }, "expect": "no-violation" } ] }"#;
    std::fs::write(folder.path().join("small.json"), small).expect("a writable folder");
    for (args, says) in [
        (&["run", "small.json", "--case", "usual"][..], "no violation, verified: "),
        (&["run", "small.json", "--case", "sampled"], "no violation in 9 runs, sampled"),
        (&["run", "small.json", "--case", "usual", "--strategy", "pos"], "runs, sampled"),
        (&["run", "small.json", "--flush", "ipi"], "on average, verified: "),
        (&["run", "small.json", "--flush", "ipi", "--runs", "9"], "sampled by portfolio"),
        (&["explore", "small.json"], "on average, verified: "),
        (&["explore", "small.json", "--runs", "9"], "sampled by portfolio"),
        (&["test", "small.json"], "  usual    ok  no violation, verified: "),
    ] {
        let output = mmsim(folder.path(), args);
        let stdout = text(&output.stdout);
        assert!(output.status.success() && stdout.contains(says), "{args:?}: {stdout}");
    }
    let whole = mmsim(folder.path(), &["test", "small.json"]);
    for shard in ["1/2", "2/2"] {
        mmsim(folder.path(), &["test", "small.json", "--shard", shard, "--out", "parts"]);
    }
    assert_eq!(text(&mmsim(folder.path(), &["merge", "parts"]).stdout), text(&whole.stdout));
}

#[test]
fn what_the_search_before_a_sample_finds_is_told_if_the_sample_finds_nothing() {
    use mmsim::case::{Budget, Verdict, judge};
    use mmsim::scenario::ExploreSpec;
    let loaded = mmsim::library::open("spec-ref-vs-reuse").expect("the library is good");
    let case = loaded.scenario.cases.iter().find(|case| case.name == "no-recheck").expect("it has that case");
    let judged = |runs| {
        let mut case = case.clone();
        case.explore = ExploreSpec { runs: Some(runs), ..ExploreSpec::default() };
        let none = std::sync::atomic::AtomicBool::new(false);
        judge(&loaded.scenario, &case, Budget::default(), &none, &|_| ()).expect("it can be set up")
    };
    let (few, many) = (judged(1), judged(2_000));
    assert_eq!((few.verdict, many.verdict), (Verdict::AsExpected, Verdict::AsExpected));
    assert!(few.explored.searched.is_some() && few.trace.is_some(), "one run does not find it");
    // If the sample finds it, the run has the same number as always.
    assert_eq!((many.explored.searched, many.explored.first), (None, Some(348)));
}

#[test]
fn a_record_that_cannot_be_written_hides_no_finding() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("file"), "").expect("a writable folder");
    let args = |out| {
        let found = ["explore", "gupfast-vs-table-free", "--without", "gup-irq-off", "--runs", "300"];
        mmsim(folder.path(), &[&found[..], out].concat())
    };
    let (written, unwritten, unasked) =
        (args(&["--out", "out"]), args(&["--out", "file/folder"]), args(&["--no-record"]));
    assert_eq!(text(&unwritten.stdout), text(&unasked.stdout), "all findings are told");
    let findings = text(&written.stdout).matches("    record: ").count();
    assert!(findings > 1, "{}", text(&written.stdout));
    assert_eq!(text(&unwritten.stderr).matches("its record could not be written").count(), findings);
    assert_eq!(unwritten.status.code(), Some(1));
}

/// The texts after a word and a colon, in the lines that begin with these.
fn told(stdout: &str, word: &str) -> Vec<String> {
    let prefix = format!("{word}: ");
    // A command that is too long goes on in the next line as a shell joins it. A path stands on the next line.
    let stdout = stdout.replace(" \\\n        ", " ").replace(":\n        ", ": ");
    stdout.lines().filter_map(|line| Some(line.trim_start().strip_prefix(&prefix)?.to_owned())).collect()
}

#[test]
fn a_folder_for_records_is_made_and_the_command_is_one_for_a_shell() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = [&RACE[..], &["--out", "it's new/below"]].concat();
    let stdout = text(&mmsim(folder.path(), &args).stdout);
    let (files, commands) = (told(&stdout, "record"), told(&stdout, "replay"));
    assert!(files[0].starts_with("it's new/below/") && folder.path().join(&files[0]).is_file(), "{stdout}");
    assert_eq!(commands[0], format!("mmsim replay \"{}\"", files[0]));
    let words = shlex::split(&commands[0]).expect("a shell takes it");
    assert_eq!(mmsim(folder.path(), &[&words[1], &words[2]]).status.code(), Some(0));
}

/// This holds for a search that threads share, too: with findings, and when the budget ends it in the middle of a thread's work.
#[test]
fn a_search_prints_the_same_for_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for search in [
        ["slow-gup-vs-zap", "--strategy=exhaustive", "--runs=3500", "--outcomes"],
        ["two-faults-one-table", "--strategy=exhaustive", "--runs=2500", "--without=pte-alloc-recheck"],
    ] {
        let explore = |jobs: &str| {
            let options = ["--format=json", "--no-record", "--jobs", jobs];
            text(&mmsim(folder.path(), &[&["explore"], &search[..], &options].concat()).stdout)
        };
        let alone = explore("1");
        assert!(alone.contains("\"runs\""), "{alone}");
        assert!(["2", "3"].into_iter().all(|jobs| explore(jobs) == alone), "{search:?}");
    }
}

#[test]
fn exploring_writes_a_record_of_each_finding() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = "spec-ref-vs-reuse";
    for (out, how, seeds) in [
        ("sampled", vec!["--without", "gup-pte-recheck", "--runs", "3000"], true),
        ("searched", vec!["--case", "no-recheck", "--strategy", "exhaustive"], false),
    ] {
        let args = [&["explore", name, "--out", out], &how[..]].concat();
        let output = mmsim(folder.path(), &args);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{stdout}{}", text(&output.stderr));
        assert_eq!(stdout.contains("first with seed"), seeds, "{stdout}");
        let files = told(&stdout, "record");
        assert!(files.len() > 1 && files.iter().all(|file| file.starts_with(out)), "{stdout}");
        for (file, command) in files.iter().zip(told(&stdout, "replay")) {
            assert_eq!(command, format!("mmsim replay {file}"));
            let replayed = mmsim(folder.path(), &["replay", file]);
            let title = text(&replayed.stdout).lines().next().map(str::to_owned).unwrap_or_default();
            let title = title.strip_prefix("replayed: ").expect("it is exact").to_owned();
            assert!(stdout.contains(&format!("  {title}  ")), "{title} is not in\n{stdout}");
        }
        let none = text(&mmsim(folder.path(), &[&args[..2], &how[..], &["--no-record"]].concat()).stdout);
        assert!(told(&none, "record").is_empty() && told(&none, "replay").is_empty(), "{none}");
    }
    fails(folder.path(), &["explore", name, "--case", "no-rechek"], 2, "did you mean `no-recheck`?");
    let without = r#"{ "name": "s", "about": "No cases.", "processes": [ { "name": "p" } ],
  "threads": [ { "name": "t", "process": "p", "cpu": 0, "run": [ "exit" ] } ] }"#;
    std::fs::write(folder.path().join("s.json"), without).expect("a writable folder");
    for command in ["run", "explore"] {
        fails(folder.path(), &[command, "s.json", "--case", "x"], 2, "`s` has no cases: leave out `--case`");
    }
}

#[test]
fn each_strategy_has_a_line_of_help() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let help = text(&mmsim(folder.path(), &["explore", "--help"]).stdout);
    for line in ["- portfolio:  Samples: PCT", "- states:     Searches: every schedule"] {
        assert!(help.contains(line), "no {line:?} in\n{help}");
    }
    assert!(!text(&mmsim(folder.path(), &["replay", "--help"]).stdout).contains("- states:"));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let explore = |jobs: &str| {
        let args =
            ["explore", "spec-ref-vs-reuse", "--without", "gup-pte-recheck", "--runs", "3000", "--jobs", jobs];
        text(&mmsim(folder.path(), &args).stdout)
    };
    let run = |jobs: &str| text(&mmsim(folder.path(), &[&RACE[..], &["--jobs", jobs]].concat()).stdout);
    assert_eq!(explore("1"), explore("3"));
    assert_eq!(run("1"), run("4"));
}

#[test]
fn documents_for_programs_are_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let commands: [&[&str]; 8] = [
        &["list"],
        &["safeguards"],
        &["safeguards", "--table", "gup-pte-recheck"],
        &["describe", "spec-ref-vs-reuse"],
        &["run", "vmsplice-child-reads-parent", "--runs", "200"],
        &["run", "spec-ref-vs-reuse", "--without", "gup-pte-recheck"],
        &["explore", "spec-ref-vs-reuse", "--runs", "100"],
        &["bench", "--runs", "100"],
    ];
    for command in commands {
        let output = mmsim(folder.path(), &[command, &["--format", "json"]].concat());
        let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&output.stdout);
        assert!(parsed.is_ok(), "{command:?}: {parsed:?}\n{}", text(&output.stdout));
    }
}

#[test]
fn each_command_offers_the_formats_that_it_has() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let formats = ["text", "json", "jsonl", "ktap", "junit", "report"];
    let has = [
        (vec!["run", "vmsplice"], 2),
        (vec!["explore", "vmsplice"], 2),
        (vec!["mmu", "walk"], 2),
        (vec!["test", "--library"], 5),
        (vec!["merge", "file"], 5),
        (vec!["explain", "file"], 2),
    ];
    for (command, number) in has {
        let explains = command[0] == "explain";
        let help = text(&mmsim(folder.path(), &[&command[..], &["--help"]].concat()).stdout);
        for (i, format) in formats.into_iter().enumerate() {
            let offered = i < number || explains && format == "report";
            assert_eq!(help.contains(&format!("- {format}:")), offered, "{command:?} and {format}:\n{help}");
            if !offered {
                let says = format!("invalid value '{format}' for '--format <FORMAT>'");
                fails(folder.path(), &[&command[..], &["--format", format]].concat(), 2, &says);
            }
        }
    }
    assert!(!text(&mmsim(folder.path(), &["man", "--help"]).stdout).contains("--format"));
    let before = mmsim(folder.path(), &["--format", "json", "list"]);
    assert_eq!(before.stdout, mmsim(folder.path(), &["list", "--format", "json"]).stdout);
}

#[test]
fn colours_can_be_had_and_done_without() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let escapes = |args: &[&str]| text(&mmsim(folder.path(), args).stdout).contains('\x1b');
    assert!(!escapes(&["list"]), "a pipe gets no colours");
    assert!(escapes(&["list", "--color", "always"]));
    assert!(!escapes(&["list", "--color", "never"]));
}

#[test]
fn what_other_tools_want_to_know_is_printed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prints = |args: &[&str]| {
        let output = mmsim(folder.path(), args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        text(&output.stdout)
    };
    // An option that comes from a row of a table works like any other option.
    assert!(prints(&["completions", "bash"]).contains("--cow-reuse"));
    assert!(prints(&["man"]).contains(".TH mmsim"));
    assert!(prints(&["man", "run"]).contains("cow\\-reuse"));
    fails(folder.path(), &["man", "walk-the-dog"], 2, "there is no command `walk-the-dog`");
    let schema: serde_json::Value = serde_json::from_str(&prints(&["schema"])).expect("a schema is JSON");
    assert_eq!(schema, mmsim::scenario::schema());
    assert_eq!(Some(&schema), serde_json::from_str(&prints(&["schema", "--format", "json"])).ok().as_ref());
}

/// With `--verbose`, each case is reported with its campaign and the time that it took.
#[test]
fn verbose_runs_tell_their_spans() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = |args: &[&str]| text(&mmsim(folder.path(), args).stderr);
    let run = ["run", "vmsplice-child-reads-parent", "--case", "mapcount", "--no-record"];
    assert!(!said(&run).contains("campaign"), "nobody asked");
    let said = said(&[&run[..], &["-v", "--color", "never"]].concat());
    assert!(said.contains("case{") && said.contains("campaign{") && said.contains("time.busy"), "{said}");
    assert!(!said.contains('\x1b'), "{said:?}");
}

/// A scenario of `verdicts/`.
fn verdicts(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts").join(name);
    path.to_str().expect("a path of the project").to_owned()
}

#[test]
fn a_check_that_never_had_a_value_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = verdicts("never-checked.json");
    let never = "checks[0] was never checked: no run had a value `x`";
    let failed = |runs: &str| format!("(threads[0].run[1]) failed with EFAULT in {runs}");
    for (args, says) in [
        (vec!["run", &file, "--case", "sampled"], vec!["UNCHECKED", never, &failed("100 of 100 runs")]),
        (vec!["run", &file, "--case", "searched"], vec!["UNCHECKED", never, &failed("1 of 1 run")]),
        (vec!["run", &file, "--kernel", "v5.9", "--runs", "50"], vec![never, &failed("50 of 50 runs")]),
        (vec!["explore", &file, "--runs", "50", "--jobs", "2"], vec![never, &failed("50 of 50 runs")]),
        (vec!["test", &file], vec![never, &failed("100 of 100 runs")]),
    ] {
        let output = mmsim(folder.path(), &args);
        // No line is wider than a terminal.
        let stdout = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stdout}{}", text(&output.stderr));
        for says in says {
            assert!(stdout.contains(says), "{args:?} does not say {says:?}, but\n{stdout}");
        }
    }
    let output = mmsim(folder.path(), &["run", &file, "--case", "sampled", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let case = &document["cases"][0];
    assert_eq!((&case["verdict"], &case["unchecked"]), (&"unchecked".into(), &serde_json::json!([0])));
    assert_eq!(case["failed"][0]["errno"], "EFAULT");
    assert_eq!(case["failed"][0]["runs"], 100);
}

#[test]
fn an_operation_that_fails_now_and_then_is_told_and_no_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = mmsim(folder.path(), &["run", &verdicts("sometimes-refused.json")]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    let lines: Vec<&str> = stdout.lines().filter(|line| line.contains("failed with EFAULT in")).collect();
    assert_eq!(lines.len(), 2, "{stdout}");
    assert!(!stdout.contains("never checked") && !lines[0].contains("in 100 of 100"), "{stdout}");
}
