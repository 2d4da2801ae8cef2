//! Random programs of translation: the machine has exactly the outcomes that the axioms allow.
//!
//! The axioms know no machine. They go through executions, and ask whether a relation has a cycle.

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use mmsim::litmus::{read_rows, run};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, proptest};
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};

/// An event of a thread, on one of two pages.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Read,
    Write,
    /// A write that finds D clear.
    WriteClean,
    Invlpg,
    Mfence,
}

type Thread = Vec<(Kind, usize)>;

fn event() -> impl Strategy<Value = (Kind, usize)> {
    let kinds = [Kind::Read, Kind::Read, Kind::Write, Kind::Write, Kind::WriteClean, Kind::Invlpg, Kind::Mfence];
    (proptest::sample::select(kinds.to_vec()), 0..2_usize)
}

/// The row of two threads. Before its event `remap`, the first thread stores to the entry of page 0, and drops what it has
/// cached of the page. If `asks`, the first INVLPG of that page on the other thread belongs to this store. If `synonym`, the
/// page leads to the frame of page 1 from then on.
fn row(threads: &[Thread; 2], remap: usize, asks: bool, synonym: bool) -> Value {
    let (mut texts, mut pages, mut dirty, mut invalidates) =
        (Vec::new(), [Vec::new(), Vec::new()], Vec::new(), Vec::new());
    let mut next = 0;
    let mut name = || {
        next += 1;
        format!("e{}", next - 1)
    };
    let mut store = None;
    for (nth, thread) in threads.iter().enumerate() {
        let mut list = Vec::new();
        for (at, (kind, page)) in thread.iter().enumerate() {
            if nth == 0 && at == remap {
                let (wpte, invlpg) = (name(), name());
                list.extend([format!("WPTE {wpte}"), format!("INVLPG {invlpg}")]);
                pages[0].extend([wpte.clone(), invlpg.clone()]);
                invalidates.push(json!([wpte, invlpg]));
                store = Some(wpte);
            }
            let name = name();
            let word = match kind {
                Kind::Read => "R",
                Kind::Write | Kind::WriteClean => "W",
                Kind::Invlpg => "INVLPG",
                Kind::Mfence => "F",
            };
            list.push(format!("{word} {name}"));
            match kind {
                Kind::WriteClean => dirty.push(format!("dirty({name})")),
                Kind::Invlpg if nth == 1 && *page == 0 && asks && invalidates.len() == 1 => {
                    invalidates.extend(store.iter().map(|store| json!([store, name])));
                }
                _ => {}
            }
            if !matches!(kind, Kind::Mfence) {
                pages[*page].push(name);
            }
        }
        texts.push(list);
    }
    let same_va = |names: &Vec<String>| -> Vec<Value> {
        let Some(first) = names.first() else { return Vec::new() };
        names[1..].iter().map(|other| json!([first, other])).collect()
    };
    let same: Vec<Value> = pages.iter().flat_map(same_va).collect();
    let access = |names: &Vec<String>| {
        let is_access = |name: &&String| {
            texts.iter().flatten().any(|text| *text == format!("R {name}") || *text == format!("W {name}"))
        };
        names.iter().find(is_access).cloned()
    };
    let one = access(&pages[0]).zip(access(&pages[1])).filter(|_| synonym);
    let same_pa: Vec<Value> = one.into_iter().map(|(first, second)| json!([first, second])).collect();
    json!({
        "id": "random", "kind": "elt", "threads": texts, "same_va": same, "same_pa": same_pa, "dirty": dirty,
        "invalidates_for": invalidates,
    })
}

proptest! {
    #![proptest_config(Config {
        cases: 100, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default()
    })]

    #[test]
    fn the_machine_has_the_outcomes_of_the_axioms(
        first in vec(event(), 1..4),
        second in vec(event(), 1..3),
        remap in 0..3_usize,
        asks in any::<bool>(),
        synonym in any::<bool>(),
    ) {
        let row = row(&[first, second], remap, asks, synonym);
        let (_, test) = read_rows(&row.to_string()).pop().expect("a line");
        let test = test.unwrap_or_else(|error| panic!("{error} in {row}"));
        let report = run(&test, true, 1_000_000, &AtomicBool::new(false)).unwrap_or_else(|error| panic!("{error}: {row}"));
        let mut told = String::new();
        for (what, outcomes) in [("outside", &report.outside), ("missing", &report.missing)] {
            write!(told, "{what} {outcomes:?} of {:?}; ", test.observe).expect("a string takes everything");
        }
        prop_assert!(report.is_complete() && report.found.is_empty(), "{:?} in {row}", report.found);
        prop_assert!(report.outside.is_empty() && report.missing.is_empty(), "{told}in {row}");
    }
}
