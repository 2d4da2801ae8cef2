//! The walk of four levels, on random tables: which accesses complete, the error codes of the others,
//! and which flags the walk leaves behind, against the rules as a table.

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::pin;

use common::{Machine, OPEN, alone, cases, lines, step};
use proptest::bool::weighted;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq};
use proptest::sample::select;
use proptest::test_runner::{TestCaseResult, TestRunner};
use sim_mmu::{DataOp, Entry, Event, Level, PageFault, Pfn, VirtAddr};

/// Tables and data live in the same few frames, so that one may be taken for the other.
const FRAMES: u64 = 5;

/// What R/W and U/S of the entries, taken together, allow to user code. `&` is over all levels.
/// (R/W &, U/S &, a read may, a write may)
const RIGHTS: [(bool, bool, bool, bool); 4] = [
    (false, false, false, false),
    (true, false, false, false),
    (false, true, true, false),
    (true, true, true, true),
];

/// How a walk ends. The error codes are figures 4-12 of the SDM: P, W/R, U/S, RSVD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Completed,
    NotPresent,
    Reserved,
    Denied,
}

const ENDS: [(End, u32); 4] =
    [(End::Completed, 0), (End::NotPresent, 0b0000), (End::Reserved, 0b1001), (End::Denied, 0b0001)];

/// Words of memory by frame and index.
type Image = BTreeMap<(u64, u32), u64>;

#[derive(Clone, Debug)]
struct Case {
    entries: u32,
    root: u64,
    va: VirtAddr,
    write: Option<u64>,
    image: Image,
}

/// An entry that often lets a walk go on.
fn entry() -> impl Strategy<Value = u64> {
    let flags = (weighted(0.95), weighted(0.8), weighted(0.9), weighted(0.05), weighted(0.1), weighted(0.03));
    (any::<u64>(), 0..FRAMES, flags).prop_map(|(noise, frame, (present, rw, user, huge, nx, outside))| {
        let ignored = Entry::ACCESSED | Entry::DIRTY | Entry::GLOBAL | 0x0e00 | 0x7ff0_0000_0000_0000;
        let frame = if outside { FRAMES + (noise >> 30) % 1000 } else { frame };
        let bits = [
            (present, Entry::PRESENT),
            (rw, Entry::RW),
            (user, Entry::USER),
            (huge, Entry::PAGE_SIZE),
            (nx, Entry::NX),
        ];
        let flags = bits.iter().filter(|(set, _)| *set).fold(noise & ignored, |flags, (_, bit)| flags | bit);
        Entry::new(Pfn(frame), flags).0
    })
}

fn case() -> impl Strategy<Value = Case> {
    let shape = (select(vec![2_u32, 4, 8, 512]), any::<[u32; 4]>(), any::<u32>());
    let words = proptest::collection::vec([entry(), entry(), entry(), entry()], FRAMES as usize);
    (shape, 0..FRAMES, any::<Option<u64>>(), words).prop_map(|((entries, digits, word), root, write, words)| {
        let indices = digits.map(|digit| digit % entries);
        let page = indices.iter().fold(0, |page, index| page * u64::from(entries) + u64::from(*index));
        // Canonical: the bits above those that the walk uses are copies of the highest that it uses.
        let unused = 52 - 4 * entries.trailing_zeros();
        let va = ((page << 12) + u64::from(word % entries) * 8) << unused;
        let va = VirtAddr((va.cast_signed() >> unused).cast_unsigned());
        let image = (0..)
            .zip(words)
            .flat_map(|(frame, words)| {
                indices.into_iter().zip(words).map(move |(index, word)| ((frame, index), word))
            })
            .collect();
        Case { entries, root, va, write, image }
    })
}

/// Follows the rules through an image of memory; answers how the walk ends, at which level, and the
/// frame it leads to. What it leaves in memory it leaves in the image.
fn reference(case: &Case, image: &mut Image) -> (End, Level, u64) {
    let digit = |level: Level| {
        let page = case.va.0 >> 12;
        (page / u64::from(case.entries).pow(level as u32 - 1) % u64::from(case.entries)) as u32
    };
    let mut table = case.root;
    let (mut all_rw, mut all_user) = (true, true);
    for level in [Level::P4d, Level::Pud, Level::Pmd, Level::Pte] {
        let place = (table, digit(level));
        let word = image[&place];
        let bit = |n: u32| word >> n & 1 == 1;
        let frame = word >> 12 & 0xff_ffff_ffff;
        if !bit(0) {
            return (End::NotPresent, level, 0);
        }
        if frame >= FRAMES || level != Level::Pte && bit(7) {
            return (End::Reserved, level, 0);
        }
        (all_rw, all_user) = (all_rw && bit(1), all_user && bit(2));
        if level == Level::Pte {
            let row = RIGHTS.iter().find(|(rw, user, ..)| (*rw, *user) == (all_rw, all_user)).expect("all four");
            if !(if case.write.is_some() { row.3 } else { row.2 }) {
                return (End::Denied, level, 0);
            }
        }
        let dirty = level == Level::Pte && case.write.is_some();
        image.insert(place, word | 1 << 5 | if dirty { 1 << 6 } else { 0 });
        table = frame;
    }
    (End::Completed, Level::Pte, table)
}

fn check(case: &Case, seen: &[Cell<u32>; 4]) -> TestCaseResult {
    let machine = Machine::new(1, case.entries, FRAMES);
    for ((frame, index), word) in &case.image {
        machine.set_word(*frame, *index, *word);
    }
    machine.mmu.preset_cr3(machine.cpu(0).id, Pfn(case.root));
    let mut image = case.image.clone();
    let (end, level, frame) = reference(case, &mut image);
    seen[end as usize].set(seen[end as usize].get() + 1);

    let word = (case.va.offset() / 8) as u32;
    let before = image.get(&(frame, word)).copied().unwrap_or(0);
    let accessed = machine.access(0, case.va, case.write.map_or(DataOp::Read, DataOp::Write));

    let code = ENDS[end as usize].1 | if case.write.is_some() { PageFault::W } else { 0 } | PageFault::U;
    let expected = match end {
        End::Completed => Ok(case.write.unwrap_or(before)),
        _ => Err(PageFault { va: case.va, code }),
    };
    prop_assert_eq!(&accessed.result, &expected, "{:?} at {:?}: {:?}", end, level, accessed);
    if let (End::Completed, Some(value)) = (end, case.write) {
        image.insert((frame, word), value);
    }
    for (place, expected) in &image {
        let actual = machine.word(place.0, place.1);
        // Whether a walk that faults leaves A in the entries above is not specified.
        let allowed = actual == *expected || end != End::Completed && actual == case.image[place];
        prop_assert!(
            allowed,
            "{end:?} at {level:?}: entry {} of frame {} is {}, not {}: {accessed:?}",
            place.1,
            place.0,
            Entry(actual),
            Entry(*expected),
        );
    }
    Ok(())
}

#[test]
fn walks_follow_the_rules() {
    let seen: [Cell<u32>; 4] = Default::default();
    let result = TestRunner::new(cases(4000)).run(&case(), |case| check(&case, &seen));
    if let Err(failure) = result {
        panic!("{failure}");
    }
    for (end, _) in ENDS {
        let seen = seen[end as usize].get();
        assert!(seen > 300, "only {seen} of 4000 walks end with {end:?}: the cases are too much alike");
    }
}

/// A walk that faults above the leaf has used the entries above, and may have set A there; it sets
/// nothing in the entry that stopped it, and D nowhere.
#[test]
fn a_write_that_faults_sets_no_dirty_flag() {
    let va = VirtAddr(0x5000);
    for flags in [0, Entry::PRESENT | Entry::USER, Entry::PRESENT | Entry::RW] {
        let machine = Machine::new(1, 4, 8);
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
    let machine = Machine::new(1, 4, 8);
    machine.build_tables(0, va);
    let (table, index) = machine.leaf(0, va);
    for frame in [5, 6] {
        machine.set_word(frame, 0, 10 * frame);
    }
    machine.set_word(table, index, Entry::new(Pfn(5), OPEN).0);
    let mut access = pin!(machine.cpu(0).access(va, DataOp::Read));
    let read_the_leaf = |event: &Event| matches!(event, Event::TableAccess { level: Level::Pte, .. });
    while !machine.take_events().iter().any(|(_, event)| read_the_leaf(event)) {
        step(access.as_mut());
    }
    machine.set_word(table, index, Entry::new(Pfn(6), OPEN).0);
    assert_eq!(alone(access), Ok(60), "{}", lines(&machine.take_events()));
    assert_eq!(machine.word(table, index), Entry::new(Pfn(6), OPEN | Entry::ACCESSED).0);
}
