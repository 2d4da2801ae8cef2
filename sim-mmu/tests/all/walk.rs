//! The walker of a CPU, on random tables of every shape: which accesses complete, what they read and
//! write, the error codes of the others, and which flags the walk leaves behind.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;

use crate::common::manual::{self, Kind, Mode, Outcome, Registers};
use crate::common::{Machine, OPEN, cases, hardware, index_bits, lines, random, step};
use proptest::array::uniform4;
use proptest::bool::weighted;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{TestCaseResult, TestRunner};
use sim_mmu::{Controls, DataOp, Entry, Event, Geometry, Hardware, Level, Pfn, UNWRITTEN, VirtAddr};

/// Tables and data live in the same few frames, so that one may be taken for the other.
const FRAMES: u64 = 5;

/// Words of memory by frame and index.
type Image = BTreeMap<(u64, u32), u64>;

#[derive(Clone, Debug)]
struct Case {
    geometry: Geometry,
    controls: Controls,
    root: u64,
    va: u64,
    mode: Mode,
    kind: Kind,
    value: u64,
    image: Image,
}

/// An entry that often lets a walk go on, mostly to a frame of memory.
fn entry() -> impl Strategy<Value = u64> {
    let frame = (0..FRAMES, FRAMES..1000, weighted(0.05));
    (random::flags(), frame)
        .prop_map(|(flags, (inside, beyond, outside))| (if outside { beyond } else { inside }) << 12 | flags)
}

fn case() -> impl Strategy<Value = Case> {
    let entries = || select(vec![2_u32, 4, 8, 512]);
    let sizes = prop_oneof![entries().prop_map(|entries| [entries; 4]), uniform4(entries())];
    let shape = (sizes, any::<[u32; 5]>(), any::<u32>(), 0..FRAMES);
    let words = proptest::collection::vec(proptest::collection::vec(entry(), 5), FRAMES as usize);
    (shape, random::controls(), random::access(), any::<u64>(), words).prop_map(
        |((entries, digits, word, root), controls, (mode, kind), value, words)| {
            let geometry = Geometry::of_levels(entries).expect("powers of two from 2 to 512");
            let root_first = Level::WALK_LA57.map(|level| geometry.entries(level));
            let levels = if controls.root_level() == Level::Pgd { 5 } else { 4 };
            let sizes = &root_first[5 - levels..];
            let indices: Vec<u32> = digits.iter().zip(sizes).map(|(digit, entries)| digit % entries).collect();
            let page =
                indices.iter().zip(sizes).fold(0, |page, (index, n)| page * u64::from(*n) + u64::from(*index));
            // Canonical: the bits above those that the walk uses are copies of the highest that it uses.
            let unused = 52 - sizes.iter().map(|entries| entries.trailing_zeros()).sum::<u32>();
            // A frame has as many words as the largest table has entries.
            let words_a_frame = geometry.most_entries();
            let va = ((page << 12) + u64::from(word % words_a_frame) * 8) << unused;
            let va = (va.cast_signed() >> unused).cast_unsigned();
            let places = (0..).zip(words).flat_map(|(frame, words)| {
                let places = indices.iter().map(move |index| (frame, *index));
                places.zip(words).collect::<Vec<_>>()
            });
            let image = places.collect();
            Case { geometry, controls, root, va, mode, kind, value, image }
        },
    )
}

/// How walks end, as often as they do.
type Ends = RefCell<BTreeMap<&'static str, u32>>;

fn check(case: &Case, ends: &Ends) -> TestCaseResult {
    let mut hardware = Hardware::new(case.geometry, FRAMES);
    hardware.controls = case.controls;
    let machine = Machine::new(1, hardware);
    for ((frame, index), word) in &case.image {
        machine.set_word(*frame, *index, *word);
    }
    machine.preset_root(case.root);
    let registers = Registers::new(&case.controls, case.root << 12, index_bits(case.geometry));
    let read = |frame, index| {
        let inside = if frame < FRAMES { 0 } else { UNWRITTEN };
        case.image.get(&(frame, index)).copied().unwrap_or(inside)
    };
    let walked = manual::walk(&registers, registers.root(), case.va, Some((case.mode, case.kind)), read);

    let data = if case.kind == Kind::Write { DataOp::Write(case.value) } else { random::as_data(case.kind) };
    let accessed = machine.access_as(0, random::privilege(case.mode), VirtAddr(case.va), data);
    let mut image = case.image.clone();
    let (end, expected) = match &walked.end {
        Ok(page) => {
            for (place, flags) in walked.flags(case.kind) {
                // Outside memory A and D are set already.
                if let Some(word) = image.get_mut(&place) {
                    *word |= flags;
                }
            }
            let frame = page.frame + (case.va >> 12) % page.pages;
            let word = (frame, (case.va >> 3 & 0x1ff) as u32);
            let before = image.get(&word).copied().unwrap_or(read(word.0, word.1));
            if case.kind == Kind::Write && frame < FRAMES {
                image.insert(word, case.value);
            }
            let value = if case.kind == Kind::Write { case.value } else { before };
            prop_assert_eq!(accessed.value(), Some(value), "{:?}", accessed);
            let end = if frame < FRAMES { "completed" } else { "outside memory" };
            (end, vec![Outcome::At(frame << 12 | case.va & 0xfff)])
        }
        Err(obstacle) => {
            let codes = manual::code(&registers, case.mode, case.kind, obstacle).map(Outcome::Fault);
            (obstacle.name(), codes.to_vec())
        }
    };
    *ends.borrow_mut().entry(end).or_default() += 1;
    prop_assert!(expected.contains(&accessed.outcome()), "not {:?}, by {:?}: {:?}", expected, walked, accessed);
    for ((frame, index), expected) in &image {
        let actual = machine.word(*frame, *index);
        let before = case.image.get(&(*frame, *index)).copied().unwrap_or(0);
        // Whether a walk that faults leaves A in the entries above is not specified.
        let used = walked.end.is_err() && walked.steps.iter().any(|step| step.place == (*frame, *index));
        let allowed = actual == *expected || used && actual == before | Entry::ACCESSED;
        prop_assert!(
            allowed,
            "{end}: entry {index} of frame {frame} is {}, not {}: {accessed:?}",
            Entry(actual),
            Entry(*expected),
        );
    }
    Ok(())
}

#[test]
fn walks_follow_the_rules() {
    const CASES: u32 = 8000;
    let ends = Ends::default();
    if let Err(failure) = TestRunner::new(cases(CASES)).run(&case(), |case| check(&case, &ends)) {
        panic!("{failure}");
    }
    let ends = ends.into_inner();
    let rare = ends.iter().find(|(_, seen)| **seen < CASES / 100);
    assert!(ends.len() == 5 && rare.is_none(), "the cases are too much alike: {ends:?} of {CASES}");
}

/// A walk that faults above the leaf has used the entries above, and may have set A there; it sets
/// nothing in the entry that stopped it, and D nowhere.
#[test]
fn a_write_that_faults_sets_no_dirty_flag() {
    let va = VirtAddr(0x5000);
    for flags in [0, Entry::PRESENT | Entry::USER, Entry::PRESENT | Entry::RW] {
        let machine = Machine::new(1, hardware(4, 8));
        machine.build_tables(0, va);
        let (table, index) = machine.leaf(0, va);
        machine.set_word(table, index, Entry::new(Pfn(5), flags).0);
        let accessed = machine.access(0, va, DataOp::Write(1));
        assert!(accessed.result.is_err(), "a write through {flags:#x}: {accessed:?}");
        assert_eq!(machine.word(table, index), Entry::new(Pfn(5), flags).0, "{accessed:?}");
    }
}

/// Somebody changes the entry between the walker's load and its locked update: the update must not
/// bring the old entry back, and the walk follows the new one.
#[test]
fn flags_are_set_only_in_the_entry_that_was_read() {
    let va = VirtAddr(0x5000);
    let machine = Machine::new(1, hardware(4, 8));
    machine.build_tables(0, va);
    let (table, index) = machine.leaf(0, va);
    for frame in [5, 6] {
        machine.set_word(frame, 0, 10 * frame);
    }
    machine.set_word(table, index, Entry::new(Pfn(5), OPEN).0);
    let mut access = pin!(machine.cpu(0).access(va, DataOp::Read));
    let read_the_leaf = |event: &Event| matches!(event, Event::TableAccess { level: Level::Pte, .. });
    while !machine.events().iter().any(|(_, event)| read_the_leaf(event)) {
        step(access.as_mut());
    }
    machine.set_word(table, index, Entry::new(Pfn(6), OPEN).0);
    let read = machine.run(0, access);
    assert_eq!(read, Ok(60), "{}", lines(&machine.events()));
    assert_eq!(machine.word(table, index), Entry::new(Pfn(6), OPEN | Entry::ACCESSED).0);
}

/// From its first read on the instruction is under way: it takes no interrupt until it retires or faults.
#[test]
fn interrupts_wait_for_an_access_that_walks() {
    let va = VirtAddr(0x5000);
    for (leaf, ends_well) in [(OPEN, true), (Entry::PRESENT, false)] {
        let machine = Machine::new(1, hardware(4, 8));
        machine.build_tables(0, va);
        let (table, index) = machine.leaf(0, va);
        machine.set_word(table, index, Entry::new(Pfn(5), leaf).0);
        let mut access = pin!(machine.cpu(0).access(va, DataOp::Read));
        step(access.as_mut());
        assert!(machine.cpu(0).irqs_enabled(), "nothing was read yet");
        for _ in 0..6 {
            step(access.as_mut());
            assert!(!machine.cpu(0).irqs_enabled(), "the walk is under way: {}", lines(&machine.events()));
        }
        assert_eq!(machine.run(0, access).is_ok(), ends_well);
        assert!(machine.cpu(0).irqs_enabled(), "it has ended: {}", lines(&machine.events()));
    }
}
