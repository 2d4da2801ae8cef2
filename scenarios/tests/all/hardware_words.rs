//! Bare instructions have the same outcomes in a scenario and in a program of `mmsim mmu litmus`. Both run on the same walker
//! and on the same caches, which may do everything that the architecture allows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use mmsim::explore::{Campaign, Exhaustive, Goal, Strategy as Way};
use mmsim::hardware::litmus::{Budget, Program, explore};
use mmsim::scenario::load;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};
use sim_mmu::Policy;

/// A step, on one of two CPUs. There is one page, whose entry leads to one of two frames. The entry above it leads to one of
/// two tables.
#[derive(Clone, Copy, Debug)]
enum Step {
    Read,
    /// The entry of the page, in the table that is used now.
    Set(usize),
    /// The entry that leads to a table.
    SetTable(usize),
    Invlpg,
    /// With a PCID, and bit 63.
    MovCr3(u16, bool),
    /// CR4.PCIDE.
    Pcide(bool),
    /// The type and a PCID.
    Invpcid(u64, u16),
    /// INVLPG on the other CPU, by an interrupt.
    Ipi,
}

/// The frames of a program: their numbers, and the value that a word of each has in a scenario.
const FRAMES: [(u64, u64); 2] = [(0x5000, 5), (0x6000, 6)];

/// The pages of a scenario that have these frames.
const PAGES: [&str; 2] = ["f", "f+1"];

/// The tables of a program. At the start the page has the frame of the same number in each.
const TABLES: [u64; 2] = [0x4000, 0x8000];

/// The pages of a scenario that are below these tables.
const BELOW: [&str; 2] = ["m", "m+2"];

/// The types of INVPCID as scenarios write them.
const TYPES: [&str; 4] = ["individual_address", "single_context", "all_contexts", "all_contexts_but_globals"];

/// A, D and the rights of an entry that maps a page, and of one that leads to a table.
const LEAF: u64 = 0x67;
const TABLE: u64 = 0x27;

fn as_program(steps: &[(u8, Step)]) -> Value {
    let word = |pa: u64, index: u64, value: u64| json!({ "pa": format!("{pa:x}"), "index": index, "value": format!("{value:x}") });
    let at = "1000";
    let mut table = 0;
    let mut step = |&(cpu, step): &(u8, Step)| match step {
        Step::Read => json!({ "cpu": cpu, "access": { "va": at, "kind": "r", "cpl": 3, "ac": 0 } }),
        Step::Set(frame) => json!({ "cpu": cpu, "store": word(TABLES[table], 1, FRAMES[frame].0 | LEAF) }),
        Step::SetTable(to) => {
            table = to;
            json!({ "cpu": cpu, "store": word(0x3000, 0, TABLES[to] | TABLE) })
        }
        Step::Invlpg => json!({ "cpu": cpu, "invlpg": at }),
        Step::MovCr3(pcid, preserve) => {
            json!({ "cpu": cpu, "mov_cr3": { "value": format!("{:x}", 0x1000 + u64::from(pcid)), "preserve": preserve } })
        }
        Step::Pcide(on) => json!({ "cpu": cpu, "mov_cr4": if on { "20020" } else { "20" } }),
        Step::Invpcid(kind, pcid) => json!({ "cpu": cpu, "invpcid": { "type": kind, "pcid": pcid, "va": at } }),
        Step::Ipi => json!({ "cpu": 1 - cpu, "invlpg": at }),
    };
    json!({
        "test": "agreement", "cpu": { "cr0": "80010001", "cr4": "20", "efer": "d00" }, "cr3": "1000",
        "memory": [
            word(0x1000, 0, 0x2000 | TABLE), word(0x2000, 0, 0x3000 | TABLE), word(0x3000, 0, TABLES[0] | TABLE),
            word(TABLES[0], 1, FRAMES[0].0 | LEAF), word(TABLES[1], 1, FRAMES[1].0 | LEAF),
        ],
        "program": steps.iter().map(&mut step).collect::<Vec<_>>(),
        // So every tuple of outcomes is reported as one that is not allowed.
        "joint_allowed": [],
    })
}

fn of_program(steps: &[(u8, Step)]) -> BTreeSet<Vec<u64>> {
    let program = Program::parse(&as_program(steps).to_string()).unwrap_or_else(|error| panic!("{error}"));
    let report = explore(&program, Policy::Adversarial { duplicates: true }, None, Budget::Exhaustive(1_000_000));
    assert!(report.complete, "{steps:?}");
    let value = |outcome: &String| {
        let frame = FRAMES.iter().find(|(pa, _)| *outcome == format!("pa:{pa:x}"));
        frame.unwrap_or_else(|| panic!("{outcome} in {steps:?}")).1
    };
    report.not_joint.iter().map(|tuple| tuple.iter().map(value).collect()).collect()
}

/// Steps in a row on one CPU become a thread. Each thread begins after the one before has ended.
fn as_scenario(steps: &[(u8, Step)]) -> String {
    let mut threads: Vec<Value> = Vec::new();
    let mut reads = 0;
    let mut last = None;
    for &(cpu, step) in steps {
        if last != Some(cpu) {
            let mut thread =
                json!({ "name": format!("t{}", threads.len()), "process": "p", "cpu": cpu, "run": [] });
            if let Some(before) = threads.len().checked_sub(1) {
                thread["after"] = format!("t{before}").into();
            }
            threads.push(thread);
            last = Some(cpu);
        }
        let operation = match step {
            Step::Read => {
                reads += 1;
                json!({ "read": { "from": "m+5", "as": format!("r{:02}", reads - 1) } })
            }
            Step::Set(frame) => json!({ "set_entry": { "of": "m+5", "to": PAGES[frame] } }),
            Step::SetTable(to) => json!({ "set_entry": { "of": "m+5", "to": BELOW[to], "level": "pmd" } }),
            Step::Invlpg => json!({ "invlpg": { "at": "m+5" } }),
            Step::MovCr3(pcid, preserve) => json!({ "mov_cr3": { "pcid": pcid, "preserve": preserve } }),
            Step::Pcide(on) => json!({ "mov_cr4": { "pcide": on } }),
            Step::Invpcid(0, pcid) => {
                json!({ "invpcid": { "type": "individual_address", "pcid": pcid, "at": "m+5" } })
            }
            Step::Invpcid(1, pcid) => json!({ "invpcid": { "type": "single_context", "pcid": pcid } }),
            Step::Invpcid(kind, _) => json!({ "invpcid": { "type": TYPES[kind as usize] } }),
            Step::Ipi => json!({ "ipi_invlpg": { "at": "m+5" } }),
        };
        let run = threads.last_mut().and_then(|thread| thread["run"].as_array_mut());
        run.expect("a thread was begun").push(operation);
    }
    // With two entries in each of the lowest tables, `m` and `m+2` and `m+4` are below three entries.
    let setup = json!([
        { "mmap": { "as": "m", "pages": 6, "at": "0x10000" } }, { "mmap": { "as": "f", "pages": 2, "at": "0x20000" } },
        { "write": { "to": "f", "value": FRAMES[0].1 } }, { "write": { "to": "f+1", "value": FRAMES[1].1 } },
        { "write": { "to": "m", "value": 0 } }, { "set_entry": { "of": "m+1", "to": "f" } },
        { "write": { "to": "m+2", "value": 0 } }, { "set_entry": { "of": "m+3", "to": "f+1" } },
        { "set_entry": { "of": "m+5", "to": "m", "level": "pmd" } },
    ]);
    let scenario = json!({
        "name": "agreement", "about": "Bare instructions.",
        // The program sets PCIDE itself.
        "kernel": { "design": { "pcid": "off" } },
        "machine": {
            "cpus": 2, "entries_per_table": { "pte": 2, "pmd": 8, "pud": 8, "p4d": 4 },
            "platform": { "speculative_walk": "on" },
        },
        "processes": [{ "name": "p", "setup": setup }], "threads": threads,
    });
    scenario.to_string()
}

fn of_scenario(steps: &[(u8, Step)]) -> BTreeSet<Vec<u64>> {
    let scenario = load("agreement", &as_scenario(steps)).unwrap_or_else(|error| panic!("{error}"));
    let kernel = scenario.kernel.resolve();
    let campaign = Campaign {
        outcomes: true,
        ..Campaign::new(&scenario, scenario.machine, kernel, Way::Exhaustive(Exhaustive::TRACES), 200_000)
    };
    let explored = campaign.explore(Goal::All, &AtomicBool::new(false), &|_| ()).expect("it can be set up");
    assert!(explored.extent.is_verified() && explored.found.is_empty(), "{steps:?}: {:?}", explored.found);
    // Threads are in the order of their steps, and so are their values.
    let value = |value: &Option<u64>| value.expect("each read is reached");
    explored.tally.outcomes.keys().map(|values| values.iter().map(value).collect()).collect()
}

fn step() -> impl Strategy<Value = (u8, Step)> {
    let what = prop_oneof![
        8 => Just(Step::Read),
        4 => (0..2_usize).prop_map(Step::Set),
        2 => (0..2_usize).prop_map(Step::SetTable),
        1 => Just(Step::Invlpg),
        2 => (0..2_u16, any::<bool>()).prop_map(|(pcid, preserve)| Step::MovCr3(pcid, preserve)),
        2 => any::<bool>().prop_map(Step::Pcide),
        2 => (0..4_u64, 0..2_u16).prop_map(|(kind, pcid)| Step::Invpcid(kind, pcid)),
        1 => Just(Step::Ipi),
    ];
    (0..2_u8, what)
}

proptest! {
    #![proptest_config(Config {
        cases: 200, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default()
    })]

    #[test]
    fn a_scenario_shows_what_a_program_shows(steps in vec(step(), 1..8)) {
        let (program, scenario) = (of_program(&steps), of_scenario(&steps));
        let mut told = String::new();
        for (cpu, step) in &steps {
            write!(told, "cpu{cpu} {step:?}; ").expect("a string takes everything");
        }
        prop_assert_eq!(program, scenario, "{}", told);
    }
}
