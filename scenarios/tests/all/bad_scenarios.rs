//! The errors that the loader reports for bad scenarios. It never panics.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use mmsim::scenario::{Expect, StrategyName, load, schema};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sim_gup::safeguards::GUP_PTE_RECHECK;
use sim_mm::{Choices, Flush, Release};
use sim_mmu::Geometry;

use crate::common::Snapshots;

const EXAMPLE: &str = include_str!("../good/design-example.json");

/// `bad/NAME.json` gives `bad/NAME.stderr`.
#[test]
fn bad_files_give_the_expected_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let entries = fs::read_dir(&folder).expect("the folder of bad scenarios is part of the sources");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    let mut expected = Snapshots::default();
    let mut checked = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let name = format!("bad/{}", file.file_name().expect("a file has a name").to_string_lossy());
        let text = fs::read_to_string(file).expect("a readable file");
        let found =
            load(&name, &text).map_or_else(|errors| errors.to_string() + "\n", |_| "no error\n".to_owned());
        expected.compare(&file.with_extension("stderr"), found);
        checked += 1;
    }
    expected.all_hold();
    assert!(checked >= 16, "only {checked} files");
}

#[test]
fn the_example_loads() {
    let scenario = load("design-example.json", EXAMPLE).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(scenario.name, "spec-ref-vs-reuse");
    assert!(scenario.about.starts_with("Fast GUP pins a frame"));
    assert_eq!(scenario.history.commits, ["e286781d5f2e"]);
    assert_eq!(scenario.history.release.as_deref(), Some("v2.6.27"));
    assert_eq!(scenario.history.cve, None);
    let machine = scenario.machine;
    assert_eq!((machine.cpus, machine.geometry.uniform()), (3, Some(4)));
    assert_eq!((machine.frames, machine.refcount_bits), (24, 32));
    assert_eq!(machine.platform, Choices::default().with(Flush::NoIpi));
    assert_eq!(scenario.kernel.version, Some(Release::v(5, 0)));
    assert!(scenario.checks.is_empty());

    let setups: Vec<_> = scenario.processes.iter().map(|process| (&*process.name, process.setup.len())).collect();
    assert_eq!(setups, [("victim", 2), ("other", 1)]);
    let setup = &scenario.processes[0].setup;
    assert_eq!(setup[0].to_string(), "mmap 1 page rw as buf");
    assert_eq!(setup[1].to_string(), "write 1 to buf");
    assert_eq!(setup[1].path, "processes[0].setup[1]");

    let threads: Vec<_> = scenario.threads.iter().map(|t| (&*t.name, &*t.process, t.cpu)).collect();
    assert_eq!(threads, [("gup", "victim", 0), ("zap", "victim", 1), ("reuse", "other", 2)]);
    let run = |thread: usize| scenario.threads[thread].run.iter().map(ToString::to_string).collect::<Vec<_>>();
    let gup =
        ["get_user_pages_fast buf, 1 page, to read, as pin", "device reads page 0 of pin", "put_page each of pin"];
    assert_eq!(run(0), gup);
    assert_eq!(run(1), ["madvise buf, 1 page, MADV_DONTNEED"]);
    assert_eq!(run(2), ["write 42 to page"]);

    let cases: Vec<_> = scenario.cases.iter().map(|case| (&*case.name, case.explore.strategy)).collect();
    let (exhaustive, portfolio) = (StrategyName::Exhaustive, StrategyName::Portfolio);
    assert_eq!(cases, [("recheck", exhaustive), ("no-recheck", portfolio), ("ipi-blocks-the-free", exhaustive)]);
    assert_eq!(scenario.cases[0].expect, Expect::NoViolation);
    assert_eq!(scenario.cases[1].kernel.without, [GUP_PTE_RECHECK]);
    let any_of = vec!["leak".to_owned(), "frame-use-after-free".to_owned()];
    assert_eq!(scenario.cases[1].expect, Expect::Violation { any_of, routine: Some("gup_pte_range".to_owned()) });
    assert_eq!(scenario.cases[2].machine.platform, Choices::default().with(Flush::Ipi));
}

/// Every operation in its shortest and its longest form, and the defaults.
#[test]
fn every_operation_loads() {
    let text = include_str!("../good/every-operation.json");
    let scenario = load("every-operation.json", text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((scenario.machine.cpus, scenario.machine.geometry), (3, Geometry::default()));
    let exits: Vec<_> = scenario.threads.iter().map(|thread| thread.run.last().map(ToString::to_string)).collect();
    assert!(exits[1..].iter().all(|last| last.as_deref() == Some("exit")), "{exits:?}");
    assert_eq!(scenario.cases[0].explore.runs, Some(1_000_000_000));
}

/// What a mutation puts into the file.
fn patch() -> impl Strategy<Value = Vec<u8>> {
    let snippets = [
        "null",
        "true",
        "-1",
        "1e400",
        "1.5",
        "18446744073709551616",
        "0",
        "[]",
        "{}",
        "\"\"",
        "\"buf+1\"",
        "\"0xfffffffffffffff8\"",
        "\"exit\"",
        ",",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ":",
        "é",
        "\u{2028}",
        "{ \"fork\": { \"as\": \"victim\" } },",
        "{ \"mmap\": { \"as\": \"buf\", \"pages\": 34359738368 } },",
        "\"victim\"",
        "\"pin\"",
        "\"at\": \"0x7fffffffe000\",",
        "\"entries_per_table\": 2,",
    ];
    let snippet = prop::sample::select(snippets.to_vec()).prop_map(|snippet| snippet.as_bytes().to_vec());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..4), snippet]
}

/// Puts patches in the place of some bytes, and so deletes, inserts and replaces.
fn mutated(patches: &[(prop::sample::Index, usize, Vec<u8>)]) -> String {
    let mut bytes = EXAMPLE.as_bytes().to_vec();
    for (at, length, patch) in patches {
        let at = at.index(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, patch.iter().copied());
        bytes.push(b'\n');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A JSON value of the example, replaced.
fn replaced(which: prop::sample::Index, patch: &[u8]) -> String {
    let is_value = |(i, _): &(usize, &str)| EXAMPLE[..*i].trim_end().ends_with([':', '[', ',', '{']);
    let starts: Vec<(usize, &str)> = EXAMPLE.match_indices(['"', '{', '[', '1']).filter(is_value).collect();
    let start = starts[which.index(starts.len())].0;
    let mut values = serde_json::Deserializer::from_str(&EXAMPLE[start..]).into_iter::<serde_json::Value>();
    let end = values.next().map_or(start, |_| start + values.byte_offset());
    format!("{}{}{}", &EXAMPLE[..start], String::from_utf8_lossy(patch), &EXAMPLE[end..])
}

static SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&schema()).expect("the schema is one"));

/// Loads a text that may be anything. The result is a scenario that the schema accepts, or errors with their places.
fn load_something(text: &str) {
    let Err(errors) = load("f.json", text) else {
        let instance = serde_json::from_str(text).expect("it loads");
        assert!(SCHEMA.is_valid(&instance), "the schema refuses what loads: {text}");
        return;
    };
    assert!(!errors.errors.is_empty() && errors.to_string().len() < 1 << 20);
    for error in &errors.errors {
        let lost = (error.line, error.column) == (1, 1) && !error.path.is_empty();
        assert!(!lost, "no place is known for {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn mutilated_files_never_panic(
        patches in prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize, patch()), 1..4),
    ) {
        load_something(&mutated(&patches));
    }

    #[test]
    fn replaced_values_never_panic(which in any::<prop::sample::Index>(), patch in patch()) {
        load_something(&replaced(which, &patch));
    }
}
