//! The simulated kernel compared with recorded ones.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::common::{mmsim, text};
use flate2::read::GzDecoder;
use mmsim::conform::{Score, compare_all, read};
use serde::{Deserialize, Serialize};

/// The part of the score of a file that is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    programs: u64,
    identical: u64,
    identical_to_first_unmodelled: u64,
    steps: u64,
    steps_identical: u64,
}

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("traces")
}

fn score(path: &Path) -> Kept {
    let file = File::open(path).expect("a trace");
    let traces = read(BufReader::new(GzDecoder::new(file))).expect("a readable trace");
    assert_eq!(traces.bad, [], "{}", path.display());
    let mut score = Score::default();
    let verdicts = compare_all(&traces.programs, None, 2, &AtomicBool::new(false), &|| ());
    for (program, verdict) in traces.programs.iter().zip(&verdicts) {
        score.add(program, verdict.as_ref().expect("nobody stopped it"));
    }
    let Score { programs, identical, identical_to_first_unmodelled, steps, steps_identical, .. } = score;
    Kept { programs, identical, identical_to_first_unmodelled, steps, steps_identical }
}

#[test]
fn no_score_falls_and_a_rise_is_recorded() {
    let kept = traces().join("scores.json");
    let before: BTreeMap<String, Kept> =
        serde_json::from_str(&fs::read_to_string(&kept).expect("the scores")).expect("scores");
    let files = fs::read_dir(traces()).expect("the folder of traces").map(|entry| entry.expect("an entry").path());
    let now: BTreeMap<String, Kept> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .map(|path| (path.file_name().expect("a file").to_string_lossy().into_owned(), score(&path)))
        .collect();
    for (file, before) in &before {
        let now = now.get(file).unwrap_or_else(|| panic!("{file} has a score and is not there"));
        assert!(
            now.identical >= before.identical && now.steps_identical >= before.steps_identical,
            "the score of {file} fell: a step that was like the recorded kernel's no longer is.\n\
             before: {before:?}\nnow:    {now:?}\n`mmsim conform {file}` says where programs diverge."
        );
    }
    let text = serde_json::to_string_pretty(&now).expect("numbers");
    assert!(before == now, "the score changed, and did not fall. Record it: write this to {kept:?}\n{text}");
}

/// A program of which every operation is modelled, and one that ends at once.
const TRACE: &str = r#"{"format":"mmrec-1","kernel":"6.18.0","win":"0x100000000000","pages":4096}
{"prog":1,"seed":1}
{"i":0,"p":0,"op":"mmap","a":{"pg":8,"n":4,"prot":"rw","kind":"anon","share":"private","flags":"fixed"},"r":{"ret":0},"o":{"0":{"vma":[[8,4,"rw-p","a",0,"rdwrmrmwmeac",{}]],"pg":[]}}}
{"i":1,"p":0,"op":"touch","a":{"pg":8,"n":2,"acc":"write","via":"user","val":7},"r":{"ret":0,"minflt":2,"acc":[[8,2,7]]},"o":{"0":{"vma":[[8,4,"rw-p","a",0,"rdwrmrmwmeac",{"anon":2}]],"pg":[[8,2,"pxAe",1,1,7]]}}}
{"i":2,"p":0,"op":"fork","a":{"child":1},"r":{"ret":0},"o":{"0":{"pg":[[8,2,"pA",1,2,7]]},"1":{"vma":[[8,4,"rw-p","a",0,"rdwrmrmwmeac",{"anon":2}]],"pg":[[8,2,"pA",1,2,7]]}}}
{"i":3,"p":1,"op":"touch","a":{"pg":7,"n":2,"acc":"write","via":"user","val":9},"r":{"ret":0,"minflt":1,"acc":[[7,1,"SEGV_MAPERR"],[8,1,9]]},"o":{"0":{"pg":[[8,1,"pxA",1,1,7],[9,1,"pA",2,2,7]]},"1":{"pg":[[8,1,"pxAe",3,1,9],[9,1,"pA",2,2,7]]}}}
{"i":4,"p":1,"op":"exit","a":{},"r":{"ret":0},"o":{"0":{"pg":[[8,2,"pxA",1,1,7]]}}}
{"i":5,"p":0,"op":"touch","a":{"pg":10,"n":1,"acc":"read","via":"user"},"r":{"ret":0,"minflt":1,"acc":[[10,1,0]]},"o":{"0":{"pg":[[8,2,"pxA",1,1,7],[10,1,"pZ",0,0,0]]}}}
{"i":6,"p":0,"op":"vmsplice","a":{"pg":9,"n":1,"slot":0},"r":{"ret":1},"o":{}}
{"i":7,"p":0,"op":"madvise","a":{"pg":8,"n":4,"adv":"DONTNEED"},"r":{"ret":0},"o":{"0":{"vma":[[8,4,"rw-p","a",0,"rdwrmrmwmeac",{}]],"pg":[]}}}
{"i":8,"p":0,"op":"pipe_read","a":{"slot":0,"n":3},"r":{"ret":1,"acc":[[0,1,7]]},"o":{}}
{"i":9,"p":0,"op":"munmap","a":{"pg":9,"n":1},"r":{"ret":0},"o":{"0":{"vma":[[8,1,"rw-p","a",0,"rdwrmrmwmeac",{}],[10,2,"rw-p","a",0,"rdwrmrmwmeac",{}]]}}}
{"prog":2,"seed":2}
{"i":0,"p":0,"op":"move_pages","a":{},"r":{"ret":0},"o":{"0":{"vma":[],"pg":[]}}}
"#;

/// A program on a machine with folios of 64 KiB: mappings of 16 pages are eligible, and those of 8 are not.
const FOLIOS: &str = r#"{"format":"mmrec-1","kernel":"6.18.0","win":"0x100000000000","pages":4096}
{"prog":1,"seed":1}
{"i":0,"p":0,"op":"mmap","a":{"pg":8,"n":8,"prot":"rw","kind":"anon","share":"private","flags":"fixed"},"r":{"ret":0},"o":{"0":{"vma":[[8,8,"rw-p","a",0,"rdwrmrmwmeac",{}]],"pg":[]}}}
{"i":1,"p":0,"op":"mmap","a":{"pg":32,"n":16,"prot":"rw","kind":"anon","share":"private","flags":"fixed"},"r":{"ret":0},"o":{"0":{"vma":[[8,8,"rw-p","a",0,"rdwrmrmwmeac",{}],[32,16,"rw-p","a",0,"rdwrmrmwmeac",{"te":1}]]}}}
{"i":2,"p":0,"op":"touch","a":{"pg":33,"n":1,"acc":"write","via":"user","val":7},"r":{"ret":0,"minflt":1,"acc":[[33,1,7]]},"o":{"0":{"vma":[[8,8,"rw-p","a",0,"rdwrmrmwmeac",{}],[32,16,"rw-p","a",0,"rdwrmrmwmeac",{"anon":16,"te":1}]],"pg":[[32,1,"pxTAe",1,1,0],[33,1,"pxTA",2,1,7],[34,14,"pxTA",3,1,0]]}}}
"#;

#[test]
fn mappings_tell_the_size_of_folios_and_an_option_says_another() {
    let steps = |args: &[&str]| {
        let (_, stdout, _) = conform(FOLIOS, &[args, &["--format", "json"]].concat());
        serde_json::from_str::<serde_json::Value>(&stdout).expect("one JSON document")["steps_identical"].as_u64()
    };
    assert_eq!(steps(&[]), Some(3));
    // Folios of 32 KiB fit into the mapping of 8 pages as well.
    assert_eq!(steps(&["--anon-orders", "32k"]), Some(0));
    assert_eq!(steps(&["--anon-orders", "none"]), Some(1));
}

/// Runs `mmsim conform` on a trace; answers the exit code, stdout and stderr.
fn conform(trace: &str, args: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("t.jsonl"), trace).expect("a file");
    let output = mmsim(folder.path(), &[&["conform", "t.jsonl"], args].concat());
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn json(trace: &str) -> serde_json::Value {
    let (_, stdout, _) = conform(trace, &["--format", "json"]);
    serde_json::from_str(&stdout).expect("one JSON document")
}

#[test]
fn a_program_is_identical_and_another_ends_at_what_is_not_modelled() {
    let score = json(TRACE);
    let numbers = ["programs", "identical", "identical_to_first_unmodelled", "steps", "steps_identical"];
    assert_eq!(numbers.map(|name| score[name].as_u64()), [2, 1, 1, 11, 10].map(Some), "{score:#}");
    assert_eq!(score["by_operation"]["move_pages"]["not_modelled"], 1);
    assert_eq!(conform(TRACE, &[]).0, 0);
    let (code, stdout, _) = conform(TRACE, &["--program", "1"]);
    assert!(code == 0 && stdout.contains("identical to the end"), "{stdout}");
}

#[test]
fn whatever_is_recorded_otherwise_diverges_under_its_own_name() {
    let first = |from: &str, to: &str| {
        assert!(TRACE.contains(from), "{from}");
        TRACE.replacen(from, to, 1)
    };
    for (trace, op, kind) in [
        (
            first(r#""r":{"ret":0},"o":{"0":{"vma":[[8,1,"#, r#""r":{"ret":1},"o":{"0":{"vma":[[8,1,"#),
            "munmap",
            "result",
        ),
        (first("SEGV_MAPERR", "SEGV_ACCERR"), "touch", "accesses"),
        (first(r#""minflt":2"#, r#""minflt":3"#), "touch", "faults"),
        (first("[[8,4,\"rw-p\"", "[[8,5,\"rw-p\""), "mmap", "mappings"),
        (first("rdwrmrmwmeac", "rdwrmrmwme"), "mmap", "mapping-flags"),
        (first(r#"{"anon":2}"#, r#"{"anon":3}"#), "touch", "statistics"),
        (first(r#"[[8,2,"pxAe",1,1,7]]"#, r#"[[8,1,"pxAe",1,1,7]]"#), "touch", "presence"),
        (first(r#"[8,1,"pxAe",3,1,9]"#, r#"[8,1,"pxAe",1,1,9]"#), "touch", "frame"),
        (first(r#"[[8,2,"pA",1,2,7]]"#, r#"[[8,2,"pA",1,3,7]]"#), "fork", "mapcount"),
        (first(r#"[[8,2,"pxA",1,1,7]]"#, r#"[[8,2,"pxAe",1,1,7]]"#), "exit", "exclusive"),
        (first(r#"[[8,2,"pxAe",1,1,7]]"#, r#"[[8,2,"pxTAe",1,1,7]]"#), "touch", "huge"),
        (first(r#"[[8,2,"pxAe",1,1,7]]"#, r#"[[8,2,"pxAeC",1,1,7]]"#), "touch", "page-flags"),
        (first(r#"[[8,2,"pxAe",1,1,7]]"#, r#"[[8,2,"pxAe",1,1,8]]"#), "touch", "contents"),
    ] {
        let score = json(&trace);
        assert_eq!(score["by_operation"][op]["diverged"][kind], 1, "{kind}: {score:#}");
        let (code, stdout, _) = conform(&trace, &["--program", "1"]);
        assert!(code == 1 && stdout.contains("<-- differs") && stdout.contains(kind), "{kind}: {stdout}");
    }
}

#[test]
fn a_step_that_is_not_reproducible_is_not_compared() {
    let trace =
        TRACE.replacen(r#""seed":1"#, r#""seed":1,"nondet_from":3"#, 1).replace("SEGV_MAPERR", "SEGV_ACCERR");
    let score = json(&trace);
    assert_eq!([&score["steps"], &score["identical"]].map(serde_json::Value::as_u64), [Some(4), Some(1)]);
}

#[test]
fn another_release_reuses_pages_by_another_rule() {
    let (code, stdout, _) = conform(TRACE, &["--program", "1", "--kernel", "v5.0"]);
    assert!(code == 1 && stdout.contains("exclusive"), "{stdout}");
}

#[test]
fn a_malformed_line_is_named_and_stops_no_other_program() {
    let lines: Vec<&str> = TRACE.lines().collect();
    for (line, instead, says) in [
        (4, "{", "EOF"),
        (4, "[]", "neither a header"),
        (4, lines[4], "i: step 2 where 1 is next"),
        (5, &lines[4].replace("\"child\":1", "\"child\":0"), "a.child"),
        (6, &lines[5].replace("\"p\":1", "\"p\":2"), "p: there is no process 2"),
        (8, &lines[7].replace("\"via\"", "\"by\""), "unknown field `by`"),
    ] {
        let mut lines = lines.clone();
        lines[line - 1] = instead;
        let (code, stdout, stderr) = conform(&lines.join("\n"), &["--format", "json"]);
        assert_eq!(code, 3, "{stderr}");
        assert!(stderr.contains(&format!("t.jsonl:{line}: error: ")) && stderr.contains(says), "{stderr}");
        let score: serde_json::Value = serde_json::from_str(&stdout).expect("one JSON document");
        assert_eq!(
            [&score["programs"], &score["left_out"], &score["bad_lines"]].map(|n| n.as_u64()),
            [Some(1); 3]
        );
    }
    assert_eq!(conform("", &[]).0, 4);
    assert_eq!(conform(TRACE, &["--program", "3"]).0, 4);
}

#[test]
fn threads_change_nothing() {
    let outputs = ["1", "3"].map(|jobs| conform(TRACE, &["--jobs", jobs]).1);
    assert_eq!(outputs[0], outputs[1]);
}
