//! What each instruction drops from the caches, and what it leaves (SDM 4.10.4.1). For every kind of cached translation, and for
//! the way to a table, the tests look whether some choice still uses it.

use std::collections::BTreeSet;

use crate::common::manual::Act;
use crate::common::world::{
    A, B, C, D, FRAME_A, FRAME_B, GLOBAL, HUGE_FRAME, LARGE, OTHER_B, OTHER_PT, OTHER_ROOT, PDE, PDE_C, PDPTE,
    PTE, PTE_B, ROOT, at, ends, ends_with, entry, small, with_cr4, with_pcids, world,
};
use crate::common::{Machine, OPEN, hardware, over_all_choices};
use sim_mmu::{Cr0, Cr4, Hardware};

/// What may be left of what PCID 1 cached before its entries changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// The translation of `A`, of its own and global.
    A,
    GlobalA,
    /// The translation of `B`, in the same table.
    B,
    GlobalB,
    /// The way to the table of `A`, seen by its use for `B`.
    Way,
    /// The way to the table of `C`.
    WayToC,
}

const EVERYTHING: [Left; 6] = [Left::A, Left::GlobalA, Left::B, Left::GlobalB, Left::Way, Left::WayToC];

/// Accesses fill the caches, under PCID 1 if there are PCIDs, and the entries change. Then come the acts, and then a return to
/// PCID 1 without a flush. Answers what some choice still uses.
fn left(hardware: &Hardware, acts: &[Act]) -> BTreeSet<Left> {
    let pcids = hardware.controls.cr4.has(Cr4::PCIDE);
    let remains = |left: Left| {
        let machine = world(1, hardware.clone());
        let flags = if matches!(left, Left::GlobalA | Left::GlobalB) { GLOBAL } else { OPEN };
        let (page, place, other) = match left {
            Left::A | Left::GlobalA => (A, PTE, entry(11, flags)),
            Left::B | Left::GlobalB => (B, PTE_B, entry(11, flags)),
            Left::Way => (A, PDE, entry(OTHER_PT, flags)),
            Left::WayToC => (C, PDE_C, entry(OTHER_PT, flags)),
        };
        // `C` has a neighbour in its table, as `A` has `B`.
        let probe = match left {
            Left::Way => B,
            Left::WayToC => C + 0x1000,
            _ => page,
        };
        let neighbour = Act::store((5, 1), entry(FRAME_B, OPEN));
        let before = Act::store(place, machine.word(place.0, place.1) & !0xfff | flags);
        let go = if pcids { vec![Act::mov_cr3_keeping(ROOT << 12 | 1)] } else { vec![] };
        let fill = [neighbour, before, Act::read(page), Act::store(place, other)];
        // A program that turns PCIDs off for good does not come back.
        let pcide = |act: &Act| match act {
            Act::MovCr4 { value, .. } => Some(value & Cr4::PCIDE != 0),
            _ => None,
        };
        let stays = acts.iter().filter_map(pcide).next_back() == Some(false);
        let back = if stays { vec![] } else { go.clone() };
        let program = [&go[..], &fill, acts, &back, &[Act::read(probe)]].concat();
        let fresh = match left {
            Left::Way | Left::WayToC => at(OTHER_B),
            _ => at(11),
        };
        ends(&machine, &program).keys().any(|end| *end != fresh)
    };
    EVERYTHING.into_iter().filter(|left| remains(*left)).collect()
}

#[track_caller]
fn leaves(hardware: &Hardware, acts: &[Act], expected: &[Left]) {
    assert_eq!(left(hardware, acts), expected.iter().copied().collect(), "left by {acts:?}");
}

/// Goes to another PCID and its root, without a flush. So the next act meets translations of a PCID that is not the current
/// one.
fn elsewhere() -> Act {
    Act::mov_cr3_keeping(OTHER_ROOT << 12 | 2)
}

#[test]
fn without_a_flush_everything_may_be_left() {
    leaves(&with_pcids(), &[], &EVERYTHING);
    leaves(&with_pcids(), &[elsewhere()], &EVERYTHING);
    leaves(&with_cr4(Cr4::PGE), &[], &EVERYTHING);
}

#[test]
fn invlpg_takes_a_page_and_every_way_of_the_pcid() {
    use Left::{A as OwnA, B as OwnB, GlobalA, GlobalB, Way, WayToC};
    leaves(&with_pcids(), &[Act::invlpg(A)], &[OwnB, GlobalB]);
    leaves(&with_pcids(), &[Act::invlpg(B)], &[OwnA, GlobalA]);
    leaves(&with_pcids(), &[Act::invlpg(D)], &[OwnA, GlobalA, OwnB, GlobalB]);
    // In another PCID it takes only what is global there.
    leaves(&with_pcids(), &[elsewhere(), Act::invlpg(A)], &[OwnA, OwnB, GlobalB, Way, WayToC]);
    // An address within the page is as good as its first.
    leaves(&with_pcids(), &[Act::invlpg(A + 0xfff)], &[OwnB, GlobalB]);
}

#[test]
fn invpcid_takes_a_context_all_or_all_that_is_not_global() {
    use Left::{GlobalA, GlobalB};
    let pcids = with_pcids();
    for kind in [1, 3] {
        leaves(&pcids, &[Act::invpcid(kind, 1, D)], &[GlobalA, GlobalB]);
        leaves(&pcids, &[elsewhere(), Act::invpcid(kind, 1, D)], &[GlobalA, GlobalB]);
    }
    leaves(&pcids, &[Act::invpcid(1, 2, A)], &EVERYTHING);
    leaves(&pcids, &[elsewhere(), Act::invpcid(1, 0, A)], &EVERYTHING);
    leaves(&pcids, &[Act::invpcid(3, 0, D)], &[GlobalA, GlobalB]);
    leaves(&pcids, &[Act::invpcid(2, 0, D)], &[]);
    leaves(&pcids, &[elsewhere(), Act::invpcid(2, 2, D)], &[]);
}

#[test]
fn invpcid_of_an_address_takes_its_translations_of_that_pcid_and_the_way_to_them() {
    use Left::{A as OwnA, B as OwnB, GlobalA, GlobalB, WayToC};
    let pcids = with_pcids();
    leaves(&pcids, &[Act::invpcid(0, 1, A)], &[GlobalA, OwnB, GlobalB, WayToC]);
    leaves(&pcids, &[elsewhere(), Act::invpcid(0, 1, A)], &[GlobalA, OwnB, GlobalB, WayToC]);
    leaves(&pcids, &[Act::invpcid(0, 1, B)], &[OwnA, GlobalA, GlobalB, WayToC]);
    leaves(&pcids, &[Act::invpcid(0, 2, A)], &EVERYTHING);
    leaves(&pcids, &[elsewhere(), Act::invpcid(0, 2, A)], &EVERYTHING);
}

#[test]
fn mov_to_cr3_takes_the_pcid_that_it_names_unless_told_to_preserve() {
    use Left::{GlobalA, GlobalB};
    let pcids = with_pcids();
    leaves(&pcids, &[Act::mov_cr3(ROOT << 12 | 1)], &[GlobalA, GlobalB]);
    leaves(&pcids, &[elsewhere(), Act::mov_cr3(ROOT << 12 | 1)], &[GlobalA, GlobalB]);
    // Also with another root: it is the PCID that counts.
    leaves(&pcids, &[Act::mov_cr3(OTHER_ROOT << 12 | 1)], &[GlobalA, GlobalB]);
    leaves(&pcids, &[Act::mov_cr3(ROOT << 12 | 2)], &EVERYTHING);
    leaves(&pcids, &[Act::mov_cr3_keeping(ROOT << 12 | 1)], &EVERYTHING);
    // Without PCIDs there is one context.
    leaves(&with_cr4(Cr4::PGE), &[Act::mov_cr3(ROOT << 12)], &[GlobalA, GlobalB]);
    leaves(&with_cr4(Cr4::PGE), &[Act::mov_cr3(ROOT << 12 | 0x18)], &[GlobalA, GlobalB]);
    leaves(&small(), &[Act::mov_cr3(ROOT << 12)], &[]);
}

#[test]
fn mov_to_cr4_takes_what_depends_on_the_bits_that_change() {
    use Left::{GlobalA, GlobalB};
    let both = Cr4::PAE | Cr4::PCIDE | Cr4::PGE;
    let pcids = with_pcids();
    leaves(&pcids, &[Act::mov_cr4(both)], &EVERYTHING);
    leaves(&pcids, &[Act::mov_cr4(both & !Cr4::PGE), Act::mov_cr4(both)], &[]);
    leaves(&pcids, &[elsewhere(), Act::mov_cr4(both & !Cr4::PGE)], &[]);
    // PCIDE off: all PCIDs, global or not.
    let off = Act::mov_cr4(both & !Cr4::PCIDE);
    leaves(&pcids, &[off], &[]);
    leaves(&pcids, &[Act::mov_cr3_keeping(ROOT << 12), off, Act::mov_cr4(both)], &[]);
    // SMEP on: the current PCID. Off: nothing. Whether it takes global ones is not said.
    let smep = Act::mov_cr4(both | Cr4::SMEP);
    leaves(&pcids, &[smep], &[GlobalA, GlobalB]);
    leaves(&pcids, &[elsewhere(), smep], &EVERYTHING);
    leaves(&pcids, &[elsewhere(), smep, Act::mov_cr3_keeping(ROOT << 12 | 1), Act::mov_cr4(both)], &EVERYTHING);
    for flag in [Cr4::SMAP, Cr4::PKE, Cr4::PKS] {
        leaves(&pcids, &[Act::mov_cr4(both | flag), Act::mov_cr4(both)], &EVERYTHING);
    }
    // PCIDE on takes nothing.
    leaves(&with_cr4(Cr4::PGE), &[Act::mov_cr4(both)], &EVERYTHING);
}

#[test]
fn mov_to_cr0_takes_everything_with_paging_and_nothing_with_wp() {
    let on = Cr0::PG | Cr0::PE | Cr0::WP;
    let mov = |value| Act::MovCr0 { cpu: 0, value };
    let one_context = with_cr4(Cr4::PGE);
    leaves(&one_context, &[mov(on & !Cr0::WP), mov(on)], &EVERYTHING);
    leaves(&one_context, &[mov(on & !Cr0::PG), mov(on)], &[]);
}

/// A large or huge page, global or not, by any address in it: with all the pieces that the processor may
/// have cached instead.
#[test]
fn invlpg_takes_a_large_page_whole() {
    let machine = world(1, with_pcids());
    let under_1 = Act::mov_cr3_keeping(ROOT << 12 | 1);
    for flags in [LARGE, LARGE | GLOBAL] {
        for (place, frame, elsewhere) in [(PDE, 12, B), (PDPTE, HUGE_FRAME, B), (PDPTE, HUGE_FRAME, C)] {
            let before = machine.word(place.0, place.1);
            let visit = [under_1, Act::store(place, entry(frame, flags)), Act::read(A)];
            let flush = [Act::invlpg(elsewhere), Act::store(place, before), Act::read(A)];
            ends_with(&machine, &[&visit[..], &flush].concat(), &[at(FRAME_A)]);
            machine.rewind();
        }
    }
}

/// INVLPG, INVPCID and MOV to CR3 act on the CPU that executes them alone.
#[test]
fn invalidations_are_local() {
    let machine = world(2, with_pcids());
    for flush in [
        Act::invlpg(A),
        Act::invpcid(2, 0, A),
        Act::mov_cr3(ROOT << 12),
        Act::mov_cr4(Cr4::PAE | Cr4::PCIDE),
        Act::mov_cr4(Cr4::PAE),
    ] {
        let remap = Act::store(PTE, entry(11, OPEN));
        let stale = [Act::read(A).on(1), remap, flush, Act::read(A).on(1)];
        ends_with(&machine, &stale, &[at(FRAME_A), at(11)]);
        let fresh = [Act::read(A).on(1), remap, flush.on(1), Act::read(A).on(1)];
        ends_with(&machine, &fresh, &[at(11)]);
    }
}

/// SDM 2, INVLPG: in 64-bit mode an address that is not canonical makes it a NOP.
#[test]
fn invlpg_of_an_address_that_is_not_canonical_does_nothing() {
    leaves(&with_pcids(), &[Act::invlpg(0x1234_0000_0000_0000)], &EVERYTHING);
}

/// A cached translation may vanish at any time (SDM 4.10.4.1). So after a fill there is always a run that walks.
#[test]
fn anything_may_be_evicted_at_any_time() {
    let machine: Machine = world(1, hardware(4, crate::common::world::FRAMES));
    let walks = over_all_choices(&machine, || {
        machine.perform(&Act::write(A));
        machine.set_word(PTE.0, PTE.1, entry(FRAME_A, OPEN));
        machine.perform(&Act::read(A));
        machine.word(PTE.0, PTE.1) == entry(FRAME_A, OPEN)
    });
    assert_eq!(walks.keys().copied().collect::<Vec<_>>(), [false, true], "whether the read found what was there");
}
