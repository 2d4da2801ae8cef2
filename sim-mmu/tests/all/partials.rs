//! What the paging-structure caches may keep, and where a walk may begin (SDM 4.10.3). The tests are programs of a few acts,
//! over all choices.

use std::collections::BTreeSet;

use crate::common::manual::Act;
use crate::common::world::{
    A, B, C, D, DIRTY, E, FRAME_A, FRAME_B, FRAME_C, OTHER_A, OTHER_B, OTHER_PD, OTHER_PDPT, OTHER_PT, PDE, PDPTE,
    PML4E, PML5E, PT_C, PTE_B, RO, ROOT, amd, at, ends_with, entry, faults, small, with_cr4, with_pcids, world,
};
use crate::common::{Machine, OPEN, assert_exactly, over_all_choices};
use sim_mmu::{Cr4, DataOp, Efer, Entry, Level, Policy, VirtAddr};

/// A sibling of `A` at each level: it is reached through the same entry, and was never accessed.
const SIBLINGS: [(u64, (u64, u32), u64, u64); 3] =
    [(B, PDE, OTHER_PT, OTHER_B), (B, PDPTE, OTHER_PD, OTHER_B), (B, PML4E, OTHER_PDPT, OTHER_B)];

#[test]
fn a_walk_may_begin_where_an_entry_led_that_has_changed() {
    let machine = world(1, small());
    for (sibling, place, other, frame) in SIBLINGS {
        let redirect = Act::store(place, entry(other, OPEN));
        let [read_a, read] = [Act::read(A), Act::read(sibling)];
        ends_with(&machine, &[read_a, redirect, read], &[at(FRAME_B), at(frame)]);
        ends_with(&machine, &[redirect, read], &[at(frame)]);
        // Gone altogether, the walk of the sibling completes or faults.
        ends_with(&machine, &[read_a, Act::store(place, 0), read], &[at(FRAME_B), faults(4)]);
    }
}

#[test]
fn invlpg_of_any_address_drops_every_partial_of_the_pcid() {
    let machine = world(1, small());
    for (sibling, place, other, frame) in SIBLINGS {
        let redirect = Act::store(place, entry(other, OPEN));
        for anywhere in [A, C, D, E, 0x7_f000] {
            let acts = [Act::read(A), redirect, Act::invlpg(anywhere), Act::read(sibling)];
            ends_with(&machine, &acts, &[at(frame)]);
        }
        // The translation of `A` itself is another matter.
        let acts = [Act::read(A), redirect, Act::invlpg(E), Act::read(A)];
        ends_with(&machine, &acts, &[at(FRAME_A), at(OTHER_A)]);
    }
}

#[test]
fn invlpg_leaves_partials_of_other_pcids() {
    let machine = world(1, with_pcids());
    let to = |pcid| Act::mov_cr3_keeping(ROOT << 12 | pcid);
    let redirect = Act::store(PDE, entry(OTHER_PT, OPEN));
    let visit = [to(1), Act::read(A), redirect, to(2), Act::invlpg(A), to(1), Act::read(B)];
    ends_with(&machine, &visit, &[at(FRAME_B), at(OTHER_B)]);
    // A load of CR3 drops those of the PCID that it names.
    let back = [to(1), Act::read(A), redirect, to(2), Act::mov_cr3(ROOT << 12 | 1), Act::read(B)];
    ends_with(&machine, &back, &[at(OTHER_B)]);
    let isolated = [to(1), Act::read(A), redirect, to(2), Act::read(B)];
    ends_with(&machine, &isolated, &[at(OTHER_B)]);
}

/// A partial keeps the rights so far, so a right that an upper entry loses or gets is seen late.
#[test]
fn rights_of_upper_entries_are_kept_with_the_way_to_the_table() {
    let machine = world(1, small());
    for (sibling, place, ..) in SIBLINGS {
        let frame = machine.word(place.0, place.1) & !0xfff;
        let [full, less] = [OPEN, RO].map(|flags| Act::store(place, frame | flags));
        let (read, write) = (Act::read(A), Act::write(sibling));
        ends_with(&machine, &[read, less, write], &[at(FRAME_B), faults(7)]);
        ends_with(&machine, &[read, less, Act::invlpg(C), write], &[faults(7)]);
        // The fault drops the partials that led to it: the next try walks anew. A try that completes, by a
        // walk from the root, drops nothing.
        let acts = [less, read, full, write, write];
        let ends = over_all_choices(&machine, || machine.outcomes(&acts).split_off(1));
        let (completes, denied) = (at(FRAME_B), faults(7));
        let expected = [vec![denied, completes], vec![completes, denied], vec![completes, completes]];
        assert_exactly(&format!("{acts:?}"), &ends, &expected.into());
        // XD is an OR.
        let forbid = Act::store(place, frame | OPEN | Entry::NX);
        ends_with(&machine, &[read, forbid, Act::fetch(sibling)], &[at(FRAME_B), faults(0x15)]);
        ends_with(&machine, &[forbid, read, Act::fetch(sibling)], &[faults(0x15)]);
    }
}

/// A write to a page that was read through a partial with R/W: its walk judges by what it goes through.
#[test]
fn a_fault_drops_the_partials_of_its_address_and_no_others() {
    let machine = world(1, small());
    let redirect = Act::store(PDE, entry(OTHER_PT, OPEN));
    let nothing_there = 0x2_0000;
    // A fault under another PDPTE spares the PDE that leads to `A` and `B`.
    let acts = [Act::read(A), redirect, Act::read(nothing_there), Act::read(B)];
    ends_with(&machine, &acts, &[at(FRAME_B), at(OTHER_B)]);
    // A fault under that PDE takes it.
    let acts = [Act::read(A), redirect, Act::store((OTHER_PT, 2), 0), Act::read(0x2000), Act::read(B)];
    ends_with(&machine, &acts, &[at(OTHER_B)]);
}

/// A partial can lead to a table in which nothing is present yet.
#[test]
fn a_partial_outlives_a_fault_elsewhere_and_needs_nothing_below() {
    let machine = world(1, small());
    let speculate = Act::Speculate { cpu: 0, va: C };
    let empty = Act::store((PT_C, 0), 0);
    let redirect = Act::store((3, 1), entry(OTHER_PT, OPEN));
    let fill = Act::store((PT_C, 0), entry(FRAME_C, OPEN));
    let acts = [empty, speculate, redirect, fill, Act::read(C)];
    ends_with(&machine, &acts, &[at(FRAME_C), at(OTHER_A)]);
}

/// A table was unlinked, and reused before every CPU dropped the way to it. The walker takes the new contents for entries, and
/// sets A in them.
#[test]
fn a_freed_table_is_walked_and_written_until_the_flush() {
    let machine = world(2, small());
    let free = Act::store(PDE, 0);
    let reuse = Act::store(PTE_B, entry(12, OPEN));
    let read = Act::read(B).on(1);
    let accessed = |flush: &[Act]| {
        let acts = [&[Act::read(A).on(1), free], flush, &[reuse, read]].concat();
        over_all_choices(&machine, || {
            let end = machine.outcomes(&acts).split_off(1);
            (end, machine.word(PTE_B.0, PTE_B.1) & Entry::ACCESSED)
        })
    };
    let through_it = (vec![at(12)], Entry::ACCESSED);
    let expected = BTreeSet::from([(vec![faults(4)], 0), through_it]);
    assert_exactly("no flush", &accessed(&[]), &expected);
    // A flush on the CPU that frees is no flush on the other.
    assert_exactly("a flush elsewhere", &accessed(&[Act::invlpg(A)]), &expected);
    let expected = BTreeSet::from([(vec![faults(4)], 0)]);
    assert_exactly("a flush there, of any address", &accessed(&[Act::invlpg(E).on(1)]), &expected);
    let all = Act::Broadcast { cpu: 0, root: ROOT, from: 0, to: 1 };
    assert_exactly("a broadcast", &accessed(&[all]), &expected);
}

/// With EFER.TCE an AMD processor's INVLPG takes only the upper-level entries on the way of its address.
#[test]
fn with_tce_invlpg_spares_the_way_to_other_addresses() {
    let kind = |is_amd: bool, tce: bool| {
        let mut hardware = if is_amd { amd(small()) } else { small() };
        hardware.controls.efer.0 |= if tce { Efer::TCE } else { 0 };
        world(1, hardware)
    };
    let redirect = Act::store(PDE, entry(OTHER_PT, OPEN));
    let after = |anywhere| [Act::read(A), redirect, Act::invlpg(anywhere), Act::read(B)];
    let (spared, gone) = ([at(FRAME_B), at(OTHER_B)], [at(OTHER_B)]);
    ends_with(&kind(true, true), &after(C), &spared);
    ends_with(&kind(true, true), &after(A), &gone);
    ends_with(&kind(true, true), &after(B), &gone);
    ends_with(&kind(true, false), &after(C), &gone);
    // The bit is AMD's.
    ends_with(&kind(false, true), &after(C), &gone);
}

/// The root as the table of every level: one entry is a PML4E, a PDPTE, a PDE and a PTE.
const TOP: u64 = 0xffff_ffff_ffff_f000;

fn with_a_root_that_contains_itself() -> Machine {
    let machine = world(1, small());
    machine.set_word(ROOT, 3, entry(ROOT, OPEN));
    machine.checkpoint();
    machine
}

#[test]
fn through_a_root_that_contains_itself_tables_are_pages() {
    let machine = with_a_root_that_contains_itself();
    // The digits of the address say how often the walk goes round: 3333 is the root, 3330 the PDPT, and so on.
    for (va, frame) in [(TOP, ROOT), (TOP - 0x3000, 2), (TOP - 0xf000, 3), (TOP - 0x3f000, 4)] {
        ends_with(&machine, &[Act::read(va)], &[at(frame)]);
    }
    // A write through the window has the PML4E for a leaf, and sets D in it.
    let window = TOP - 0x3000;
    machine.rewind();
    machine.perform(&Act::write(window));
    assert_eq!(machine.word(PML4E.0, PML4E.1), entry(2, DIRTY), "{:?}", machine.events());
    assert_eq!(machine.word(ROOT, 3), entry(ROOT, OPEN | Entry::ACCESSED));
}

/// SDM 4.10.3.3: what was cached from one entry as an entry of several levels must all be flushed.
#[test]
fn an_entry_used_at_two_levels_is_cached_at_both() {
    let machine = with_a_root_that_contains_itself();
    let window = TOP - 0x3000;
    let redirect = Act::store(PML4E, entry(OTHER_PDPT, OPEN));
    let use_both = [Act::read(A), Act::read(window), redirect];
    let after = |flush: &[Act], then| [&use_both[..], flush, &[then]].concat();
    ends_with(&machine, &after(&[], Act::read(window)), &[at(2), at(OTHER_PDPT)]);
    ends_with(&machine, &after(&[], Act::read(B)), &[at(FRAME_B), at(OTHER_B)]);
    // The address for which the entry is a PML4E: its partials go, and all others; the window's translation
    // does not.
    ends_with(&machine, &after(&[Act::invlpg(A)], Act::read(window)), &[at(2), at(OTHER_PDPT)]);
    ends_with(&machine, &after(&[Act::invlpg(A)], Act::read(B)), &[at(OTHER_B)]);
    ends_with(&machine, &after(&[Act::invlpg(A)], Act::read(A)), &[at(OTHER_A)]);
    // And the other way round.
    ends_with(&machine, &after(&[Act::invlpg(window)], Act::read(window)), &[at(OTHER_PDPT)]);
    ends_with(&machine, &after(&[Act::invlpg(window)], Act::read(A)), &[at(FRAME_A), at(OTHER_A)]);
}

/// A directory whose entry points at itself is a page table too, and one of its pages.
#[test]
fn a_directory_that_contains_itself_ends_in_itself() {
    let machine = world(1, small());
    machine.set_word(PDE.0, PDE.1, entry(PDE.0, OPEN));
    machine.checkpoint();
    ends_with(&machine, &[Act::read(A)], &[at(PDE.0)]);
    // Its second entry, a PDE for `C`, is a PTE for `B`.
    ends_with(&machine, &[Act::read(B)], &[at(PT_C)]);
    // The write sets A and D in the one entry, step by step, and completes.
    machine.rewind();
    assert_eq!(machine.perform(&Act::write(A)), Some(at(PDE.0)), "{:?}", machine.events());
    assert_eq!(machine.word(PDE.0, PDE.1), entry(PDE.0, DIRTY));
    // Pointed elsewhere, it is old or new as a PDE, and as a PTE.
    let redirect = Act::store(PDE, entry(OTHER_PT, OPEN));
    ends_with(&machine, &[Act::read(A), redirect, Act::read(A)], &[at(PDE.0), at(OTHER_PT), at(OTHER_A)]);
    ends_with(&machine, &[Act::read(A), redirect, Act::invlpg(A), Act::read(A)], &[at(OTHER_A)]);
}

#[test]
fn five_levels_have_one_more_to_begin_at() {
    let machine = world(1, with_cr4(Cr4::LA57));
    let redirect = Act::store(PML5E, entry(crate::common::world::OTHER_ROOT, OPEN));
    ends_with(&machine, &[Act::read(A), redirect, Act::read(B)], &[at(FRAME_B), at(OTHER_B)]);
    ends_with(&machine, &[Act::read(A), redirect, Act::invlpg(0x10_0000), Act::read(B)], &[at(OTHER_B)]);
    let less = Act::store(PML5E, entry(ROOT, RO));
    ends_with(&machine, &[Act::read(A), less, Act::write(B)], &[at(FRAME_B), faults(7)]);
}

/// If everything is still cached, a walk begins as far down as it can.
#[test]
fn a_lazy_walk_begins_at_the_lowest_table_that_is_known() {
    let mut hardware = small();
    hardware.policy = Policy::Laziest;
    let machine = world(1, hardware);
    for (va, levels) in [
        (A, vec![Level::P4d, Level::Pud, Level::Pmd, Level::Pte]),
        (A, vec![]),
        (B, vec![Level::Pte]),
        (C, vec![Level::Pmd, Level::Pte]),
        (D, vec![Level::Pud, Level::Pmd, Level::Pte]),
        (E, vec![Level::P4d, Level::Pud, Level::Pmd, Level::Pte]),
    ] {
        let accessed = machine.access(0, VirtAddr(va), DataOp::Read);
        assert_eq!(accessed.levels(), levels, "{va:#x}: {accessed:?}");
    }
    machine.run(0, machine.cpu(0).invlpg(VirtAddr(E)));
    let accessed = machine.access(0, VirtAddr(0x1000 + D), DataOp::Read);
    assert_eq!(accessed.levels(), Level::WALK, "{accessed:?}");
}
