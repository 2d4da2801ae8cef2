//! `mmsim test` and `mmsim merge`: the reports in each format, from one piece or from several shards.

use std::path::Path;

use crate::common::{fails, mmsim, text};
use quick_xml::events::Event;

const FORMATS: [&str; 5] = ["text", "json", "jsonl", "ktap", "junit"];

/// A folder with `suite/`: two scenarios, and a record of a race in `suite/regressions/`.
fn suite() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let regressions = folder.path().join("suite/regressions");
    std::fs::create_dir_all(&regressions).expect("a writable folder");
    for name in ["quiet.json", "verdicts.json"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite").join(name);
        std::fs::copy(file, folder.path().join("suite").join(name)).expect("a writable folder");
    }
    let args = ["run", "suite/verdicts.json", "--case", "wrongly-trusted", "--out", "suite/regressions"];
    assert_eq!(mmsim(folder.path(), &args).status.code(), Some(1));
    folder
}

/// Runs `mmsim`, checks its exit code, answers stdout.
#[track_caller]
fn says(folder: &Path, args: &[&str], code: i32) -> String {
    let output = mmsim(folder, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a writable folder");
    std::fs::write(path, content).expect("a writable folder");
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect("the file was written")
}

/// Writes the results of all shards but those in `without`; answers the names of the files.
fn shards(folder: &Path, of: u64, options: &[&str], without: &[u64]) -> Vec<String> {
    let mut files = Vec::new();
    for index in (1..=of).filter(|index| !without.contains(index)) {
        let shard = format!("{index}/{of}");
        mmsim(folder, &[&["test", "suite", "--shard", &shard, "--out", "parts"], options].concat());
        files.push(format!("parts/shard-{index}-of-{of}.mmsim-shard.json"));
    }
    files
}

/// How each item came out, by the JSON lines.
fn statuses(lines: &str) -> Vec<(String, String)> {
    let parsed = lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON"));
    let word = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let items = parsed.filter(|value: &serde_json::Value| value.get("item").is_some());
    items.map(|value| (word(&value, "item"), word(&value, "status"))).collect()
}

#[test]
fn every_case_comes_out_as_it_is() {
    let folder = suite();
    let told = statuses(&says(folder.path(), &["test", "suite", "--format", "jsonl"], 1));
    let of = |item: &str| told.iter().find(|(name, _)| name.contains(item)).map(|(_, status)| status.as_str());
    let expected = [
        ("writes", "passed"),
        (".mmsim.json", "passed"),
        ("recheck", "passed"),
        ("no-recheck", "passed"),
        ("wrongly-trusted", "failed"),
        ("never-found", "inconclusive"),
    ];
    assert_eq!(told.len(), expected.len());
    for (item, status) in expected {
        assert_eq!(of(item), Some(status), "{item}");
    }
    let doubt = ["test", "suite", "--skip", "verdicts/wrongly-*"];
    assert!(says(folder.path(), &doubt, 6).contains("1 inconclusive, 1 skipped"));
    says(folder.path(), &[&doubt[..], &["--skip", "*/never-found"]].concat(), 0);
}

/// The lines that are wider than the width without a terminal, although they have a blank at which they could be broken.
fn too_wide(told: &str) -> Vec<&str> {
    let wide = told.lines().filter(|line| line.chars().count() > 80);
    wide.filter(|line| line.trim_end_matches('\\').split_whitespace().count() > 1).collect()
}

#[test]
fn no_line_for_people_is_wider_than_their_terminal() {
    let folder = suite();
    let long = format!("{{ \"name\": \"wide\", \"abuot\": \"{}\" }}", "many words ".repeat(40));
    write(folder.path(), "suite/wide.json", &long);
    let commands: [(&[&str], i32); 4] = [
        (&["test", "suite"], 1),
        (&["test", "suite", "--out", "a-folder-with-a-long-name/and-a-folder-in-it"], 1),
        (&["explore", "gupfast-vs-table-free", "--without", "gup-irq-off", "--runs", "200"], 1),
        (&["explore", "tasks-share-a-cpu", "--strategy", "exhaustive"], 0),
    ];
    for (command, code) in commands {
        let told = says(folder.path(), command, code);
        assert!(too_wide(&told).is_empty(), "{command:?}: {:#?}", too_wide(&told));
    }
}

#[test]
fn names_of_files_are_shown_as_they_can_be_seen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let quiet = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/quiet.json"));
    let quiet = quiet.expect("a file of the project");
    // A bell, a line of its own, a colour, and a mark that turns the direction of writing.
    write(folder.path(), "suite/a\u{7}b\nok 1 c\u{1b}[31m\u{202e}d.json", &quiet);
    write(folder.path(), "suite/bad\u{7}\u{202e}\n.json", "{}");
    write(folder.path(), "suite/regressions/bad\u{9b}\u{2066}.mmsim.json", "{}");
    for format in FORMATS {
        let told = mmsim(folder.path(), &["test", "suite", "--format", format]);
        for part in [text(&told.stdout), text(&told.stderr)] {
            let unseen = |c: &char| c.is_control() && !matches!(c, '\n' | '\t') || "\u{202e}\u{2066}".contains(*c);
            let raw: Vec<char> = part.chars().filter(unseen).collect();
            assert!(raw.is_empty(), "{format}: {part:?}");
            assert!(!part.lines().any(|line| line.starts_with("ok 1 c")), "{format}: {part}");
        }
    }
}

#[test]
fn an_unfinished_search_is_not_a_pass() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let search = |runs| text(&mmsim(folder.path(), &["test", "tasks-share-a-cpu", "--runs", runs]).stdout);
    let line = |told: &str| told.lines().find(|line| line.contains("cooperative")).unwrap_or_default().to_owned();
    let (cut, whole) = (line(&search("2")), line(&search("100")));
    assert!(cut.contains("INCONCLUSIVE  no violation, not verified, about "), "{cut}");
    assert!(whole.contains("ok  no violation, verified: "), "{whole}");
}

#[test]
fn merged_shards_are_what_one_machine_says() {
    let folder = suite();
    let folder = folder.path();
    for of in [1, 2, 3, 5] {
        let files = shards(folder, of, &[], &[]);
        let files: Vec<&str> = files.iter().rev().map(String::as_str).collect();
        for format in FORMATS {
            let how = ["--format", format, "--out", "out"];
            let whole = says(folder, &[&["test", "suite"], &how[..]].concat(), 1);
            let merged = says(folder, &[&["merge"], &files[..], &how].concat(), 1);
            assert_eq!(whole, merged, "{format} of {of}");
        }
    }
    assert!(says(folder, &["merge", "parts", "--junit", "x.xml"], 3).is_empty(), "parts of several divisions");
    assert!(!folder.join("x.xml").exists());
}

/// A search is divided too: one that does all, one that runs out of its budget, one that finds what is expected, and one that
/// finds what is not.
#[test]
fn merged_searches_are_what_one_machine_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let suites: [(&[&str], &str, &[u64]); 4] = [
        (&["fork-vs-cached-writes"], "100000", &[2, 5]),
        (&["freed-table"], "2500", &[1, 2, 3, 5]),
        (&["slow-gup-vs-zap", "two-flushes"], "2100", &[3]),
        (&["spec-ref-vs-reuse"], "100000", &[2, 3]),
    ];
    let mut divided = 0;
    for (names, runs, divisions) in suites {
        let how = [&["test"], names, &["--strategy", "exhaustive", "--runs", runs, "--format", "json"]].concat();
        let whole = mmsim(folder, &[&how[..], &["--jobs", "1"]].concat());
        let threads = mmsim(folder, &[&how[..], &["--jobs", "3"]].concat());
        assert_eq!(text(&whole.stdout), text(&threads.stdout), "{names:?} on three threads");
        for of in divisions {
            let parts = format!("{}-{runs}-{of}", names[0]);
            for index in 1..=*of {
                let shard = format!("{index}/{of}");
                let jobs = if index % 2 == 0 { "2" } else { "1" };
                mmsim(folder, &[&how[..], &["--shard", &shard, "--out", &parts, "--jobs", jobs]].concat());
                let part = read(folder, &format!("{parts}/shard-{index}-of-{of}.mmsim-shard.json"));
                divided += part.matches("\"pieces\": [").count();
            }
            let merged = mmsim(folder, &["merge", &parts, "--format", "json"]);
            assert_eq!(text(&whole.stdout), text(&merged.stdout), "{names:?}, {runs} runs, {of} shards");
            assert_eq!(whole.status.code(), merged.status.code(), "{names:?}, {runs} runs, {of} shards");
        }
    }
    assert!(divided > 20, "searches that are through in a moment are not divided: {divided}");
}

#[test]
fn merged_shards_stop_where_one_machine_stops() {
    let folder = suite();
    let options = ["--max-failures", "1", "--seed", "5", "--xfail", "*/never-found: too few runs"];
    let whole = says(folder.path(), &[&["test", "suite"], &options[..]].concat(), 1);
    assert!(whole.contains("--max-failures 1 is reached") && whole.contains("1 not reached"), "{whole}");
    shards(folder.path(), 3, &options, &[]);
    assert_eq!(says(folder.path(), &["merge", "parts"], 1), whole);
}

#[test]
fn merging_keeps_the_shortest_record_of_a_finding() {
    let folder = suite();
    shards(folder.path(), 3, &[], &[]);
    says(folder.path(), &["merge", "parts", "--out", "kept"], 1);
    let mut steps = Vec::new();
    for entry in std::fs::read_dir(folder.path().join("parts")).expect("a readable folder") {
        let name = entry.expect("a readable folder").file_name().into_string().expect("names are ASCII");
        let record: serde_json::Value = serde_json::from_str(&read(folder.path(), &format!("parts/{name}")))
            .expect("results and records are JSON");
        if let Some(count) = record["steps"].as_u64() {
            steps.push((record["expect"].to_string(), count, name));
        }
    }
    steps.sort();
    steps.dedup_by(|later, first| later.0 == first.0);
    assert!(!steps.is_empty());
    for (title, _, name) in steps {
        assert!(folder.path().join("kept").join(&name).exists(), "{title}: {name} is not kept");
        says(folder.path(), &["replay", &format!("kept/{name}")], 0);
    }
}

#[test]
fn what_does_not_belong_together_is_not_merged() {
    let folder = suite();
    let folder = folder.path();
    let files = shards(folder, 3, &[], &[2]);
    let (first, third) = (files[0].as_str(), files[1].as_str());
    fails(folder, &["merge", first, third, first], 3, "both are shard 1/3");
    fails(folder, &["merge", first, third], 1, "shard 2 of 3 is missing");
    assert!(says(folder, &["merge", first, third], 1).contains("INCONCLUSIVE"));
    says(folder, &["test", "suite", "--shard", "2/2", "--out", "two"], 1);
    fails(folder, &["merge", first, "two"], 3, "one is of 3 shards, the other of 2");
    says(folder, &["test", "suite", "--shard", "2/3", "--out", "seed", "--seed", "9"], 1);
    fails(folder, &["merge", first, "seed"], 3, "--seed differs: 0 and 9");
    write(folder, "suite/quiet.json", &read(folder, "suite/quiet.json").replace("\"value\": 2", "\"value\": 3"));
    says(folder, &["test", "suite", "--shard", "2/3", "--out", "edited"], 1);
    fails(folder, &["merge", first, "edited"], 3, "the content of suite/quiet.json/writes differs");
    write(folder, "cut.json", &read(folder, first)[..200]);
    fails(folder, &["merge", "cut.json"], 3, "cut.json:");
    write(folder, "old.json", &read(folder, first).replace("mmsim-shard-2", "mmsim-shard-0"));
    fails(folder, &["merge", "old.json"], 3, "merge them with the build that wrote them");
    write(folder, "changed.json", &read(folder, first).replacen("\"runs\": 500", "\"runs\": 501", 1));
    fails(folder, &["merge", "changed.json"], 3, "its digest differs");
    fails(folder, &["merge", "suite"], 3, "no results of shards in this folder");
    fails(folder, &["merge", "nothing.json"], 3, "nothing.json: No such file");
}

#[test]
fn missing_shards_leave_doubt() {
    let folder = suite();
    let options = ["--skip", "verdicts/wrongly-trusted", "--skip", "verdicts/never-found"];
    shards(folder.path(), 4, &options, &[2, 3]);
    fails(folder.path(), &["merge", "parts"], 6, "shards 2 and 3 of 4 are missing");
}

#[test]
fn a_shard_is_one_of_so_many() {
    let folder = suite();
    for shard in ["0/2", "3/2", "1/0", "x"] {
        fails(folder.path(), &["test", "suite", "--out", "o", "--shard", shard], 2, "expected K/N");
    }
    fails(folder.path(), &["test", "suite", "--shard", "1/2"], 2, "--out <DIR>");
}

#[test]
fn threads_change_nothing() {
    let folder = suite();
    for format in FORMATS {
        let jobs = |jobs| says(folder.path(), &["test", "suite", "--format", format, "--jobs", jobs], 1);
        assert_eq!(jobs("1"), jobs("4"), "{format}");
    }
}

#[test]
fn a_cut_journal_is_taken_up() {
    let folder = suite();
    let args = ["test", "suite", "--out", "out", "--resume", "journal"];
    let whole = says(folder.path(), &args, 1);
    let journal = read(folder.path(), "journal");
    assert_eq!(journal.lines().count(), 7, "a head and six items");
    for cut in [0, 10, journal.len() / 2, journal.len() - 3, journal.len()] {
        write(folder.path(), "journal", &journal[..cut]);
        std::fs::remove_dir_all(folder.path().join("out")).expect("the records were written there");
        assert_eq!(says(folder.path(), &args, 1), whole, "cut at {cut}");
        assert_eq!(read(folder.path(), "journal"), journal, "cut at {cut}");
        let records = std::fs::read_dir(folder.path().join("out")).expect("the folder was made").count();
        assert_eq!(records, 1, "the record is there again, cut at {cut}");
    }
    fails(folder.path(), &["test", "suite", "--resume", "journal", "--seed", "1"], 3, "journal:1: the journal of");
    write(folder.path(), "journal", &journal.replacen("{\"item\"", "{\"itme\"", 1));
    fails(folder.path(), &args, 3, "journal:2: ");
    write(folder.path(), "notes", "not ours");
    fails(folder.path(), &["test", "suite", "--resume", "notes"], 3, "not a journal");
    assert_eq!(read(folder.path(), "notes"), "not ours");
}

#[test]
fn time_that_is_over_leaves_doubt() {
    let folder = suite();
    let args = ["test", "suite", "--time", "0s", "--format", "ktap"];
    let told = says(folder.path(), &args, 6);
    assert!(told.contains("# SKIP not reached: the time is over") || told.contains("the time is over"), "{told}");
    fails(folder.path(), &["test", "suite", "--time", "soon"], 2, "--time");
}

#[test]
fn ktap_counts_what_it_announces() {
    let folder = suite();
    let xfail = ["--xfail", "verdicts/wrongly-trusted: a known race", "--xfail", "quiet/writes"];
    let args = ["test", "suite", "--format", "ktap", "--skip", "verdicts/recheck: slow"];
    let told = says(folder.path(), &[&args[..], &xfail].concat(), 1);
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("KTAP version 1"));
    let mut announced: [Option<usize>; 2] = [None, None];
    let mut counted = [0, 0];
    for line in lines {
        let level = usize::from(line.starts_with("  "));
        let line = line.trim_start();
        if let Some(number) = line.strip_prefix("1..") {
            announced[level] = number.parse().ok();
            counted[level] = 0;
        }
        if let Some(rest) = line.strip_prefix("not ok ").or_else(|| line.strip_prefix("ok ")) {
            counted[level] += 1;
            assert!(rest.starts_with(&format!("{} ", counted[level])), "out of order: {line}");
            if level == 0 {
                assert_eq!(announced[1], Some(counted[1]), "{told}");
            }
        }
    }
    assert_eq!(announced[0], Some(counted[0]), "{told}");
    for line in [
        "  not ok 1 writes # XPASS no violation in 7 runs, sampled; it was to fail: known to fail",
        "  ok 1 recheck # SKIP slow",
        "  not ok 4 never-found # inconclusive: no leak in 300 runs, sampled",
        "# Totals: pass:2 fail:0 xfail:1 xpass:1 skip:1 error:1",
    ] {
        assert!(told.lines().any(|told| told == line), "no {line:?} in\n{told}");
    }
    assert!(told.contains("ok 3 wrongly-trusted # XFAIL a known race: leak in gup_pte_range"), "{told}");
}

#[test]
fn junit_is_well_formed() {
    let folder = suite();
    write(folder.path(), "suite/<&\u{1}\".json", "{");
    says(folder.path(), &["test", "suite", "--junit", "out.xml", "--ktap", "out.ktap", "--json", "out.json"], 1);
    let xml = read(folder.path(), "out.xml");
    let mut reader = quick_xml::Reader::from_str(&xml);
    reader.config_mut().check_end_names = true;
    let mut cases = 0;
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Eof => break,
            Event::Start(start) | Event::Empty(start) => {
                cases += usize::from(start.name().as_ref() == "testcase");
                for attribute in start.attributes() {
                    attribute.expect("well-formed attributes");
                }
            }
            _ => {}
        }
    }
    assert_eq!(cases, 7);
    assert!(xml.contains("tests=\"7\" failures=\"1\" errors=\"2\" skipped=\"0\""), "{xml}");
    assert!(read(folder.path(), "out.ktap").ends_with("error:2\n"));
    serde_json::from_str::<serde_json::Value>(&read(folder.path(), "out.json")).expect("a JSON document");
}

/// Times are shown only if somebody asks for them, because they differ from call to call.
#[test]
fn junit_has_times_if_somebody_asks() {
    let folder = suite();
    let xml =
        |more: &[&str]| mmsim(folder.path(), &[&["test", "suite", "--format", "junit"], more].concat()).stdout;
    let (plain, timed) = (text(&xml(&[])), text(&xml(&["--times"])));
    assert!(!plain.contains("time="), "{plain}");
    let times = |line: &str| {
        let (_, time) = line.split_once(" time=\"")?;
        time.split_once('"')?.0.parse::<f64>().ok()
    };
    let elements = timed.lines().filter(|line| line.contains("<test"));
    assert!(elements.clone().count() > 4 && elements.clone().all(|line| times(line).is_some()), "{timed}");
    let without: String = timed
        .lines()
        .map(|line| match line.split_once(" time=\"") {
            Some((before, rest)) => format!("{before}{}\n", rest.split_once('"').map_or("", |(_, after)| after)),
            None => format!("{line}\n"),
        })
        .collect();
    assert_eq!(without, plain, "all else is the same");
}

#[test]
fn what_is_bad_does_not_stop_the_rest() {
    let folder = suite();
    write(folder.path(), "suite/bad.json", "{ \"name\": 7 }");
    write(folder.path(), "suite/regressions/cut.mmsim.json", "{ \"format\":");
    #[cfg(unix)]
    std::os::unix::fs::symlink("loop", folder.path().join("suite/loop")).expect("a writable folder");
    let skip = ["test", "suite", "nothing.json", "--skip", "verdicts/*"];
    let told = says(folder.path(), &skip, 3);
    for expected in ["suite/bad.json:1:", "cut.mmsim.json:1:", "nothing.json: No such file", "writes  ok"] {
        assert!(told.contains(expected), "no {expected:?} in\n{told}");
    }
    #[cfg(unix)]
    assert!(told.contains("suite/loop: "), "{told}");
    says(folder.path(), &["test", "suite"], 1);
}

#[test]
fn a_record_that_does_not_hold_has_failed() {
    let folder = suite();
    let regressions = folder.path().join("suite/regressions");
    let entry = std::fs::read_dir(regressions).expect("a readable folder").next().expect("a record");
    let path = entry.expect("a readable folder").path();
    let record = std::fs::read_to_string(&path).expect("a readable record");
    std::fs::write(&path, record.replacen("\"expect\": \"leak", "\"expect\": \"refcount", 1)).expect("writable");
    let told = says(folder.path(), &["test", "suite/regressions"], 1);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("FAILED diverged: the verdict: expected `refcount"), "{told}");
    assert!(told.contains("replay: mmsim replay suite/regressions/"), "{told}");
}

#[test]
fn nothing_to_run_is_exit_4() {
    let folder = suite();
    std::fs::create_dir(folder.path().join("empty")).expect("a writable folder");
    fails(folder.path(), &["test", "empty"], 4, "no case and no record in empty");
    fails(folder.path(), &["test", "suite/quiet.json", "--skip", "*"], 4, "nothing ran");
    fails(folder.path(), &["test"], 2, "<PATH>");
    fails(folder.path(), &["test", "suite", "--skip", "quiet/nothing"], 2, "names no case");
    fails(folder.path(), &["test", "suite", "--skip", "[a"], 2, "--skip");
    fails(folder.path(), &["run", "quiet", "--format", "ktap"], 2, "[possible values: text, json]");
}

#[test]
fn files_that_cannot_be_written_are_said() {
    let folder = suite();
    let quiet = ["test", "suite/quiet.json"];
    fails(
        folder.path(),
        &[&quiet[..], &["--junit", "no/such/x.xml"]].concat(),
        3,
        "no/such/x.xml cannot be written",
    );
    write(folder.path(), "file", "");
    fails(folder.path(), &[&quiet[..], &["--out", "file/out"]].concat(), 3, "file/out");
    #[cfg(target_os = "linux")]
    {
        fails(folder.path(), &[&quiet[..], &["--junit", "/dev/full"]].concat(), 3, "/dev/full cannot be written");
        let told = says(folder.path(), &[&quiet[..], &["--ktap", "/dev/stdout"]].concat(), 0);
        assert!(told.contains("KTAP version 1") && told.contains("2 passed"), "{told}");
    }
}
