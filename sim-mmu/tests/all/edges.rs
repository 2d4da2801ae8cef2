//! The ends of addresses: of the two halves of the linear address space, of the physical addresses of the processor, and of
//! memory.

use crate::common::manual::{Kind, Mode, Outcome};
use crate::common::{Accessed, Machine, OPEN, hardware};
use sim_mmu::{Cr4, DataOp, Entry, Hardware, Level, Pfn, UNWRITTEN, VirtAddr};

const RSVD_READ: Outcome = Outcome::Fault(0xd);

/// The levels of a walk from the root.
fn levels(machine: &Machine) -> &'static [Level] {
    if machine.cpu(0).controls().root_level() == Level::Pgd { &Level::WALK_LA57 } else { &Level::WALK }
}

/// A machine in which the tables at `frames` lead to `va`; the last frame is of data.
fn mapped(hardware: Hardware, va: u64, frames: &[u64]) -> Machine {
    let machine = Machine::new(1, hardware);
    for (level, pair) in levels(&machine).iter().zip(frames.windows(2)) {
        let index = machine.mmu.geometry.index(VirtAddr(va), *level);
        machine.set_word(pair[0], index, Entry::new(Pfn(pair[1]), OPEN).0);
    }
    machine.preset_root(frames[0]);
    machine
}

fn read(machine: &Machine, va: u64) -> Accessed {
    machine.access_for(0, Mode::User, Kind::Read, va)
}

#[test]
fn the_address_space_ends_between_its_halves() {
    for (five, bits) in [(false, 48), (true, 57)] {
        let lower_end = 1_u64 << (bits - 1);
        let upper = lower_end.wrapping_neg();
        for (inside, outside) in [
            (lower_end - 8, lower_end),
            (lower_end - 8, lower_end + 0x7ff8),
            (upper, upper - 8),
            (u64::MAX - 7, 1 << 63),
            (0, 1 << (bits - 1)),
            (0, 1 << bits),
            (0, 1 << 62),
        ] {
            let mut hardware = hardware(512, 6);
            hardware.controls.cr4.0 |= if five { Cr4::LA57 } else { 0 };
            let frames: Vec<u64> = if five { (0..6).collect() } else { (0..5).collect() };
            let machine = mapped(hardware, inside, &frames);
            let data = frames[frames.len() - 1];
            let accessed = read(&machine, inside);
            assert_eq!(accessed.outcome(), Outcome::At(data << 12 | inside & 0xfff), "{inside:#x}: {accessed:?}");
            let accessed = read(&machine, outside);
            assert_eq!(accessed.outcome(), Outcome::Protection, "{outside:#x}: {accessed:?}");
            assert!(accessed.events.is_empty(), "nothing is read for {outside:#x}: {accessed:?}");
            // What is canonical with five levels need not be with four.
            assert_eq!(read(&machine, 1 << 47).outcome() == Outcome::Protection, !five);
        }
    }
}

#[test]
fn an_entry_leads_anywhere_below_maxphyaddr_and_nowhere_above() {
    const VA: u64 = 0x5000;
    for maxphyaddr in [36, 37, 40, 51, 52] {
        let top = (1 << (maxphyaddr - 12)) - 1;
        let frames = [0, top - 3, top - 2, top - 1, top];
        let with_tables_at_the_top = || {
            let mut hardware = hardware(8, 2);
            hardware.controls.maxphyaddr = maxphyaddr;
            hardware.elsewhere = frames[1..].iter().rev().map(|frame| Pfn(*frame)).collect();
            mapped(hardware, VA, &frames)
        };
        let machine = with_tables_at_the_top();
        machine.set_word(top, 3, 77);
        let accessed = read(&machine, VA + 24);
        assert_eq!(
            (accessed.outcome(), accessed.value()),
            (Outcome::At(top << 12 | 24), Some(77)),
            "{accessed:?}"
        );
        for (level, frame) in Level::WALK.into_iter().zip(frames) {
            for bit in 12..52 {
                let machine = with_tables_at_the_top();
                let index = machine.mmu.geometry.index(VirtAddr(VA), level);
                machine.set_word(frame, index, machine.word(frame, index) | 1 << bit);
                let faults = read(&machine, VA).outcome() == RSVD_READ;
                if bit >= maxphyaddr {
                    assert!(faults, "bit {bit} of the {level:?} is reserved with MAXPHYADDR {maxphyaddr}");
                } else {
                    // All address bits are set up to the last few, so the frame is mostly the same.
                    let same = machine.word(frame, index) >> 12 & top == frames[5 - level as usize];
                    assert!(!same || !faults, "bit {bit} of the {level:?} with MAXPHYADDR {maxphyaddr}");
                }
            }
        }
    }
}

/// Outside memory no device answers, so all lines stay high. As an entry, such a value is present. With a MAXPHYADDR below 52
/// it has reserved bits set.
#[test]
fn a_table_outside_memory_is_full_of_reserved_bits() {
    for level in &Level::WALK[..3] {
        let machine = mapped(hardware(4, 8), 0, &[0, 1, 2, 3, 4]);
        machine.set_word(4 - *level as u64, 0, Entry::new(Pfn(1 << 20), OPEN).0);
        let accessed = read(&machine, 0);
        assert_eq!(accessed.outcome(), RSVD_READ, "{level:?}: {accessed:?}");
        let below = level.next().expect("the PTE is not among them");
        assert_eq!(accessed.levels().last(), Some(&below), "one level below: {accessed:?}");
    }
    let mut outside = hardware(4, 8);
    outside.controls.maxphyaddr = 52;
    let machine = mapped(outside, 0, &[0, 1, 2, 3, 4]);
    // With all 52 bits there is nothing reserved in a PTE.
    machine.set_word(2, 0, Entry::new(Pfn(1 << 39), OPEN).0);
    let accessed = read(&machine, 0);
    assert_eq!(accessed.outcome(), Outcome::At(0x000f_ffff_ffff_f000), "{accessed:?}");
    assert_eq!(accessed.value(), Some(UNWRITTEN));
    // XD is a line that stays high as well.
    assert_eq!(machine.access_for(0, Mode::User, Kind::Fetch, 0).outcome(), Outcome::Fault(0x15));
}

#[test]
fn outside_memory_reads_are_all_ones_and_writes_are_lost() {
    let machine = mapped(hardware(4, 8), 0, &[0, 1, 2, 3, 4]);
    let last = (1 << 28) - 1;
    // Behind the last frame, and at the highest address.
    for frame in [8, last] {
        machine.set_word(3, 0, Entry::new(Pfn(frame), OPEN).0);
        machine.run(0, machine.cpu(0).invlpg(VirtAddr(0)));
        let before = machine.memory();
        let written = machine.access(0, VirtAddr(8), DataOp::Write(7));
        assert_eq!((written.outcome(), written.value()), (Outcome::At(frame << 12 | 8), Some(7)), "{written:?}");
        assert_eq!(read(&machine, 8).value(), Some(UNWRITTEN), "what was written is not there");
        let set = |(before, after): (&u64, &u64)| after & !before;
        let after = machine.memory();
        let changes: Vec<u64> = before.iter().zip(&after).map(set).filter(|set| *set != 0).collect();
        let flags = Entry::ACCESSED | Entry::DIRTY;
        assert!(changes.iter().all(|set| set & !flags == 0), "memory changes: {changes:x?}");
        assert_eq!(machine.word(3, 0) & flags, flags, "the entry that maps it gets A and D");
    }
}

/// The last base page of a large page, and its last word.
#[test]
fn a_large_page_ends_with_its_last_frame() {
    const LARGE: u64 = OPEN | Entry::PAGE_SIZE;
    for (level, table, pages) in [(Level::Pmd, 2, 4_u64), (Level::Pud, 1, 16)] {
        let machine = mapped(hardware(4, 64), 0, &[0, 1, 2, 3, 4]);
        machine.set_word(table, 0, Entry::new(Pfn(32), LARGE | Entry::PAT_LARGE).0);
        let last = pages * 0x1000 - 8;
        let accessed = read(&machine, last);
        assert_eq!(accessed.outcome(), Outcome::At(32 << 12 | last), "{level:?}: {accessed:?}");
        assert_ne!(read(&machine, last + 8).outcome(), Outcome::At((32 << 12) + last + 8), "{level:?}");
        // Between PAT and the address all bits are reserved.
        for bit in 13..12 + pages.trailing_zeros() {
            machine.set_word(table, 0, 32 << 12 | LARGE | 1 << bit);
            machine.run(0, machine.cpu(0).invlpg(VirtAddr(0)));
            assert_eq!(read(&machine, 0).outcome(), RSVD_READ, "bit {bit} of the {level:?}");
        }
    }
}
