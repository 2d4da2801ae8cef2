//! The plain translation of random structures: how it ends, where it leads, and what it leaves in the entries. It is compared
//! with the rules of the SDM as tables. The walker of a CPU must give the same.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::common::manual::{self, Kind, Mode, Outcome, Registers};
use crate::common::random::{self, as_access};
use crate::common::{Machine, cases, hardware};
use proptest::bool::weighted;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::{TestCaseError, TestCaseResult, TestRunner};
use sim_mmu::{Controls, Cr3, Entry, Fault, Level, Pfn, TableMemory, VirtAddr, translate};

/// Words of memory by frame and index. What is not there is all ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Image(BTreeMap<(u64, u32), u64>);

impl TableMemory for Image {
    fn read(&mut self, _: Level, table: Pfn, index: u32) -> Entry {
        Entry(self.0.get(&(table.0, index)).copied().unwrap_or(u64::MAX))
    }
    fn mark(&mut self, level: Level, table: Pfn, index: u32, flags: u64) {
        let word = self.0.get_mut(&(table.0, index));
        *word.unwrap_or_else(|| panic!("{level:?} {index} of frame {} is no memory", table.0)) |= flags;
    }
}

#[derive(Clone, Debug)]
struct Case {
    controls: Controls,
    root: u64,
    va: u64,
    mode: Mode,
    kind: Kind,
    image: Image,
}

impl Case {
    fn registers(&self) -> Registers {
        Registers::new(&self.controls, self.root << 12, [9; 5])
    }

    fn translate(&self, image: &mut Image) -> Outcome {
        let access = as_access(self.mode, self.kind);
        match translate(&self.controls, Cr3::of(Pfn(self.root)), VirtAddr(self.va), access, image) {
            Ok(pa) => Outcome::At(pa.0),
            Err(Fault::Page(fault)) => {
                assert_eq!(fault.va, VirtAddr(self.va), "CR2");
                Outcome::Fault(fault.code)
            }
            Err(Fault::GeneralProtection) => Outcome::Protection,
        }
    }
}

/// One table after the other: each level's entry in one of `frames`, or, if `far`, anywhere below 2^52.
fn case(frames: u64, far: bool) -> impl Strategy<Value = Case> {
    let entry = (random::flags(), 0..frames, any::<u64>(), 0..8_u32, weighted(0.7));
    let entries = proptest::collection::vec(entry, 5);
    let indices = any::<[u32; 5]>().prop_map(|digits| digits.map(|digit| digit % 512));
    // Few indices, so that a table that is used at two levels is used with one entry too.
    let indices = prop_oneof![2 => indices, 1 => (0..512_u32).prop_map(|index| [index; 5])];
    let rest = (0..4096_u64, weighted(0.05), 0..frames);
    (random::controls(), random::access(), indices, entries, rest).prop_map(
        move |(controls, (mode, kind), indices, entries, (offset, odd, root))| {
            let levels = if controls.root_level() == Level::Pgd { 5 } else { 4 };
            let unused = 64 - 12 - 9 * levels;
            let page = indices.iter().take(levels as usize).fold(0, |page, index| page << 9 | u64::from(*index));
            let va = (((page << 12 | offset) << unused).cast_signed() >> unused).cast_unsigned();
            // Not canonical, if that is to be: a bit above the highest of the walk differs.
            let va = if odd { va ^ 1 << (64 - unused / 2) } else { va };
            let mut image = Image::default();
            let mut table = root;
            for (depth, (flags, near, noise, among, aligned)) in (0..levels).zip(entries) {
                let order = 9 * (levels - 1 - depth);
                let mut frame =
                    if far && among == 0 { noise >> 12 & ((1 << (controls.maxphyaddr - 12)) - 1) } else { near };
                let large = flags & Entry::PAGE_SIZE != 0 && (1..=2).contains(&(levels - 1 - depth));
                if large {
                    // Mostly with the bits clear that must be; bit 12 is PAT.
                    let low = if aligned { noise & 1 } else { noise & ((1 << order) - 1) };
                    frame = frame >> order << order | low;
                }
                image
                    .0
                    .insert((table, indices[depth as usize]), Entry::new(Pfn(frame), flags).0 | flags & 0xf << 48);
                table = frame;
            }
            Case { controls, root, va, mode, kind, image }
        },
    )
}

/// How walks end, as often as they do.
type Ends = RefCell<BTreeMap<&'static str, u32>>;

fn check(case: &Case, ends: &Ends) -> TestCaseResult {
    let registers = case.registers();
    let mut image = case.image.clone();
    let told = case.translate(&mut image);
    if !manual::is_canonical(&registers, case.va) {
        *ends.borrow_mut().entry("not canonical").or_default() += 1;
        prop_assert_eq!(told, Outcome::Protection);
        prop_assert_eq!(&image, &case.image, "an address that is not canonical is not translated");
        return Ok(());
    }
    let read = |table, index| case.image.0.get(&(table, index)).copied().unwrap_or(u64::MAX);
    let walked = manual::walk(&registers, registers.root(), case.va, Some((case.mode, case.kind)), read);
    let (end, expected) = match &walked.end {
        Ok(page) => {
            let offset = case.va & (page.pages * 4096 - 1);
            let sizes = [(1, "4K"), (512, "2M"), (512 * 512, "1G")];
            let size = sizes.iter().find(|(pages, _)| *pages == page.pages).expect("one of three sizes");
            (size.1, vec![Outcome::At(page.frame * 4096 + offset)])
        }
        Err(obstacle) => {
            let codes = manual::code(&registers, case.mode, case.kind, obstacle).map(Outcome::Fault);
            (obstacle.name(), codes.to_vec())
        }
    };
    *ends.borrow_mut().entry(end).or_default() += 1;
    prop_assert!(expected.contains(&told), "{:?}, not {:?}: {:?}", told, expected, walked);
    let flags: BTreeMap<(u64, u32), u64> = match &walked.end {
        Ok(_) => walked.flags(case.kind).fold(BTreeMap::new(), |mut all, (place, flags)| {
            *all.entry(place).or_default() |= flags;
            all
        }),
        // Whether the entries above the one that faults get A is not specified; nothing else changes.
        Err(_) => walked.steps.iter().map(|step| (step.place, 1 << 5)).collect(),
    };
    for (place, before) in &case.image.0 {
        let after = image.0[place];
        let full = before | flags.get(place).copied().unwrap_or(0);
        let right = after == full || walked.end.is_err() && after == *before;
        prop_assert!(right, "{place:?} was {before:#x} and is {after:#x}: {told:?} by {walked:?}");
    }
    Ok(())
}

#[track_caller]
fn check_all(cases_of: u32, strategy: impl Strategy<Value = Case>) {
    let ends = Ends::default();
    if let Err(failure) = TestRunner::new(cases(cases_of)).run(&strategy, |case| check(&case, &ends)) {
        panic!("{failure}");
    }
    let ends = ends.into_inner();
    assert_eq!(ends.len(), 7, "some ends were not seen: {ends:?}");
    let rare = ends.iter().find(|(_, seen)| **seen < cases_of / 100);
    assert!(rare.is_none(), "the cases are too much alike: {ends:?} of {cases_of}");
}

#[test]
fn translations_over_a_few_tables_follow_the_manual() {
    check_all(50_000, case(3, false));
}

#[test]
fn translations_over_tables_anywhere_follow_the_manual() {
    check_all(50_000, case(1 << 24, true));
}

proptest! {
    #![proptest_config(cases(3_000))]

    /// The same rules drive both; here both drive the same tables. What they leave is the same to the bit.
    #[test]
    fn the_walker_of_a_cpu_agrees_with_the_plain_translation(case in case(4, false)) {
        let mut hardware = hardware(512, 4);
        hardware.controls = case.controls;
        let machine = Machine::new(1, hardware);
        machine.preset_root(case.root);
        let mut image = case.image.clone();
        image.0.retain(|(frame, _), _| *frame < 4);
        for ((frame, index), word) in &image.0 {
            machine.set_word(*frame, *index, *word);
        }
        // What the image does not tell is zero in the machine's memory, and all ones outside it.
        for frame in 0..4 {
            for index in 0..512 {
                image.0.entry((frame, index)).or_insert(0);
            }
        }
        let told = case.translate(&mut image);
        let accessed = machine.access_for(0, case.mode, case.kind, case.va);
        prop_assert_eq!(accessed.outcome(), told, "{:?}", accessed);
        for ((frame, index), word) in &image.0 {
            let left = machine.word(*frame, *index);
            if left != *word {
                let text = format!("{index} of frame {frame} is {left:#x}, not {word:#x}: {accessed:?}");
                return Err(TestCaseError::fail(text));
            }
        }
    }
}
