//! A small world of page tables with four entries each, for programs about caches.

use std::collections::BTreeSet;

use sim_mmu::{Cr4, Entry, Hardware, Policy, Vendor};

use super::manual::{Act, Outcome};
use super::{Machine, OPEN, Reached, assert_exactly, hardware, over_all_choices};

/// Flags of entries.
pub(crate) const RO: u64 = Entry::PRESENT | Entry::USER;
pub(crate) const DIRTY: u64 = OPEN | Entry::ACCESSED | Entry::DIRTY;
pub(crate) const LARGE: u64 = OPEN | Entry::PAGE_SIZE;
pub(crate) const GLOBAL: u64 = OPEN | Entry::GLOBAL;

/// The PML4s of two address spaces; with five levels the PML5s above them.
pub(crate) const ROOT: u64 = 0;
pub(crate) const OTHER_ROOT: u64 = 1;
pub(crate) const ROOT5: u64 = 34;
pub(crate) const OTHER_ROOT5: u64 = 35;
/// Tables that can take the place of those below `ROOT`: PDPT, PD and PT.
pub(crate) const OTHER_PDPT: u64 = 33;
pub(crate) const OTHER_PD: u64 = 32;
pub(crate) const OTHER_PT: u64 = 7;
/// The page table of `C` and of `D`.
pub(crate) const PT_C: u64 = 5;
pub(crate) const FRAMES: u64 = 36;

/// Two pages of one page table; one of the next page table, directory, and pointer table.
pub(crate) const A: u64 = 0x0000;
pub(crate) const B: u64 = 0x1000;
pub(crate) const C: u64 = 0x4000;
pub(crate) const D: u64 = 0x1_0000;
pub(crate) const E: u64 = 0x4_0000;
/// Their frames.
pub(crate) const FRAME_A: u64 = 8;
pub(crate) const FRAME_B: u64 = 9;
pub(crate) const FRAME_C: u64 = 10;
/// What `A` and `B` lead to through `OTHER_PT`.
pub(crate) const OTHER_A: u64 = 13;
pub(crate) const OTHER_B: u64 = 14;
/// First frames of a page of 4, and of one of 16 base pages.
pub(crate) const LARGE_FRAME: u64 = 8;
pub(crate) const HUGE_FRAME: u64 = 16;

/// The entries that lead to `A`, and others.
pub(crate) const PML5E: (u64, u32) = (ROOT5, 0);
pub(crate) const PML4E: (u64, u32) = (ROOT, 0);
pub(crate) const PDPTE: (u64, u32) = (2, 0);
pub(crate) const PDE: (u64, u32) = (3, 0);
pub(crate) const PTE: (u64, u32) = (4, 0);
pub(crate) const PTE_B: (u64, u32) = (4, 1);
pub(crate) const PDE_C: (u64, u32) = (3, 1);
pub(crate) const PTE_C: (u64, u32) = (PT_C, 0);

/// What the structures hold at the start.
pub(crate) const ENTRIES: [((u64, u32), u64); 17] = [
    (PML5E, ROOT),
    ((OTHER_ROOT5, 0), OTHER_ROOT),
    (PML4E, 2),
    ((ROOT, 1), OTHER_PDPT),
    ((OTHER_ROOT, 0), OTHER_PDPT),
    (PDPTE, 3),
    ((2, 1), 6),
    (PDE, 4),
    (PDE_C, PT_C),
    (PTE, FRAME_A),
    (PTE_B, FRAME_B),
    (PTE_C, FRAME_C),
    ((6, 0), PT_C),
    ((OTHER_PDPT, 0), OTHER_PD),
    ((OTHER_PD, 0), OTHER_PT),
    ((OTHER_PT, 0), OTHER_A),
    ((OTHER_PT, 1), OTHER_B),
];

/// An entry.
pub(crate) fn entry(frame: u64, flags: u64) -> u64 {
    frame << 12 | flags
}

/// A page's physical address.
pub(crate) fn at(frame: u64) -> Outcome {
    Outcome::At(frame << 12)
}

pub(crate) fn faults(code: u32) -> Outcome {
    Outcome::Fault(code)
}

/// The hardware of the world: 4-level paging, adversarial caches.
pub(crate) fn small() -> Hardware {
    hardware(4, FRAMES)
}

pub(crate) fn with_cr4(flags: u64) -> Hardware {
    let mut hardware = small();
    hardware.controls.cr4.0 |= flags;
    hardware
}

/// With PCIDs; the CPUs start under PCID 0.
pub(crate) fn with_pcids() -> Hardware {
    with_cr4(Cr4::PCIDE | Cr4::PGE)
}

pub(crate) fn amd(hardware: Hardware) -> Hardware {
    let mut hardware = hardware;
    hardware.controls.vendor = Vendor::Amd;
    hardware
}

/// The world on this hardware.
pub(crate) fn world(cpus: usize, hardware: Hardware) -> Machine {
    let five = hardware.controls.cr4.has(Cr4::LA57);
    let machine = Machine::new(cpus, hardware);
    for ((table, index), frame) in ENTRIES {
        machine.set_word(table, index, entry(frame, OPEN));
    }
    machine.preset_root(if five { ROOT5 } else { ROOT });
    machine.checkpoint();
    machine
}

/// The results of the last access of a program, over all choices.
pub(crate) fn ends(machine: &Machine, acts: &[Act]) -> Reached<Outcome> {
    let last = || *machine.outcomes(acts).last().expect("the program has an access");
    over_all_choices(machine, last)
}

/// Over all choices, the last access of a program must have exactly these results.
#[track_caller]
pub(crate) fn ends_with(machine: &Machine, acts: &[Act], expected: &[Outcome]) {
    let what = format!("{acts:?}");
    assert_exactly(&what, &ends(machine, acts), &expected.iter().copied().collect::<BTreeSet<_>>());
}
