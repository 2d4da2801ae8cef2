//! Random programs on a file of the disk: two threads use it in every way that there is, while reclaim takes pages and a flusher
//! writes them. No oracle finds anything, in any release.

use std::sync::atomic::AtomicBool;

use mmsim::case::{Budget, Verdict, judge};
use mmsim::scenario::load;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, proptest};
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};
use serde_json::{Value, json};

/// The pages of the file.
const PAGES: u64 = 2;

/// What a thread does with a page of the file, or with all of it.
const CALLS: [&str; 15] = [
    "read-ours",
    "write-ours",
    "read-mine",
    "write-mine",
    "pread",
    "pwrite",
    "fsync",
    "writeback",
    "fadvise",
    "truncate",
    "grow",
    "punch",
    "dontneed",
    "cold",
    "pageout",
];

const RELEASES: [&str; 7] = ["v2.6.32", "v3.10", "v4.11", "v5.4", "v5.17", "v6.15", "latest"];

fn call(name: &str, page: u64, value: u64) -> Value {
    let (ours, mine) = (format!("ours+{page}"), format!("mine+{page}"));
    match name {
        "read-ours" => json!({ "read": { "from": ours } }),
        "write-ours" => json!({ "write": { "to": ours, "value": value } }),
        "read-mine" => json!({ "read": { "from": mine } }),
        "write-mine" => json!({ "write": { "to": mine, "value": value } }),
        "pread" => json!({ "pread": { "file": "file", "page": page } }),
        "pwrite" => json!({ "pwrite": { "file": "file", "page": page, "value": value } }),
        "fsync" => json!({ "fsync": { "file": "file" } }),
        "writeback" => json!({ "writeback": { "file": "file" } }),
        "fadvise" => json!({ "fadvise_dontneed": { "file": "file" } }),
        "truncate" => json!({ "ftruncate": { "file": "file", "pages": page } }),
        "grow" => json!({ "ftruncate": { "file": "file", "pages": PAGES } }),
        "punch" => json!({ "punch_hole": { "file": "file", "page": page } }),
        "dontneed" => json!({ "madvise": { "at": ours, "pages": 1, "advice": "dontneed" } }),
        advice => json!({ "madvise": { "at": ours, "pages": 1, "advice": advice } }),
    }
}

/// Safeguards without which a release loses pages or writes by itself, as it did: each has a scenario of its own.
const SOUND: [&str; 5] =
    ["filemap-invalidate-lock", "zap-flush-dirty-locked", "zap-delay-rmap", "clear-refs-flush", "flush-barrier"];

/// Whether the release has the call.
fn exists(name: &str, release: &str) -> bool {
    let is_old = ["v2.6.32", "v3.10", "v4.11"].contains(&release);
    match name {
        "cold" | "pageout" => !is_old,
        "punch" => release != "v2.6.32",
        _ => true,
    }
}

#[derive(Clone, Debug)]
struct Program {
    release: &'static str,
    platform: Vec<(&'static str, &'static str)>,
    threads: [Vec<(&'static str, u64)>; 2],
    reclaims: u64,
}

fn program() -> impl Strategy<Value = Program> {
    let thread = || vec((select(&CALLS[..]), 0..PAGES), 2..5);
    let batches = select(&["off", "on"][..]);
    let devices = (select(&["plain", "checksums"][..]), select(&["sync", "off"][..]));
    let platform = (batches, select(&["sc", "tso"][..]), devices);
    // With deferred flushes every release loses writes: see the scenario `deferred-flush-vs-writeback`.
    let platform = platform.prop_map(|(lru, memory, (disk, swap))| {
        vec![("lru_batch", lru), ("memory", memory), ("disk", disk), ("swap", swap)]
    });
    (select(&RELEASES[..]), platform, [thread(), thread()], 1..4u64)
        .prop_map(|(release, platform, threads, reclaims)| Program { release, platform, threads, reclaims })
}

fn scenario(program: &Program) -> Value {
    let mut value = 100;
    let mut run = |calls: &[(&'static str, u64)]| -> Vec<Value> {
        let calls = calls.iter().filter(|(name, _)| exists(name, program.release));
        let mut run: Vec<Value> = calls
            .map(|(name, page)| {
                value += 1;
                call(name, *page, value)
            })
            .collect();
        run.push(json!("mfence"));
        run
    };
    let platform: serde_json::Map<String, Value> =
        program.platform.iter().map(|(knob, value)| ((*knob).to_owned(), json!(value))).collect();
    json!({
        "name": "program", "about": "A random program.",
        "machine": { "cpus": 3, "entries_per_table": 4, "frames": 48, "platform": platform },
        "kernel": { "version": program.release },
        "processes": [
            { "name": "p", "setup": [
                { "open": { "as": "file", "pages": PAGES, "holds": 7 } },
                { "mmap": { "as": "ours", "pages": PAGES, "flags": ["shared"], "file": "file" } },
                { "mmap": { "as": "mine", "pages": PAGES, "file": "file" } },
                { "write": { "to": "ours", "value": 8 } },
                { "read": { "from": "mine+1" } }
            ] },
            { "name": "kswapd" }
        ],
        "threads": [
            { "name": "one", "process": "p", "cpu": 0, "run": run(&program.threads[0]) },
            { "name": "other", "process": "p", "cpu": 1, "run": run(&program.threads[1]) },
            { "name": "reclaim", "process": "kswapd", "cpu": 2, "run": vec![json!("reclaim"); program.reclaims as usize] }
        ],
        "cases": [{ "name": "sound", "explore": { "runs": 24 }, "expect": "no-violation" }],
    })
}

/// What an oracle finds in some run of a program, with the program.
fn finding(program: &Program, without: &[&str]) -> Option<String> {
    let mut text = scenario(program);
    let with: Vec<&str> = SOUND.iter().copied().filter(|safeguard| !without.contains(safeguard)).collect();
    text["kernel"] = json!({ "version": program.release, "with": with, "without": without });
    let text = text.to_string();
    let scenario = load("program.json", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    let report = judge(&scenario, &scenario.cases[0], Budget::default(), &AtomicBool::new(false), &|_| ())
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    let finding = report.finding.map_or_else(String::new, |finding| finding.violation.to_string());
    (report.verdict != Verdict::AsExpected).then(|| format!("{:?} {finding}\n{text}", report.verdict))
}

proptest! {
    // The same programs each time.
    #![proptest_config(ProptestConfig { cases: 1000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost(program in program()) {
        if let Some(finding) = finding(&program, &[]) {
            return Err(TestCaseError::fail(finding));
        }
    }
}

/// The programs can find a defect: each of these safeguards is missed by one of them.
#[test]
fn a_missing_safeguard_is_noticed() {
    for safeguard in ["mkclean-flush", "truncate-wait-writeback"] {
        let mut runner = TestRunner::deterministic();
        let mut programs = std::iter::from_fn(|| program().new_tree(&mut runner).ok()).take(5_000);
        let noticed = programs.any(|program| finding(&program.current(), &[safeguard]).is_some());
        assert!(noticed, "nothing is wrong without {safeguard}");
    }
}
