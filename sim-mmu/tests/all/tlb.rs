//! What a TLB may keep, and what an access may use of it (SDM 4.10.2). The tests are programs of a few acts, over all choices.

use std::collections::BTreeSet;

use crate::common::manual::{Act, Kind, Mode, Outcome};
use crate::common::world::{
    A, B, C, DIRTY, FRAME_A, FRAME_B, GLOBAL, LARGE, LARGE_FRAME, OTHER_A, OTHER_ROOT, PDE, PDPTE, PML4E, PTE,
    PTE_B, RO, ROOT, at, ends_with, entry, faults, small, with_cr4, with_pcids, world,
};
use crate::common::{OPEN, assert_exactly, over_all_choices};
use sim_mmu::{Cr0, Cr4, DataOp, Entry, Event, Policy, VirtAddr};

const KERNEL: Mode = Mode::Explicit { ac: false };

fn remap(frame: u64) -> Act {
    Act::store(PTE, entry(frame, DIRTY))
}

fn kernel(kind: Kind, va: u64) -> Act {
    Act::Access { cpu: 0, mode: KERNEL, kind, va }
}

#[test]
fn what_is_not_present_or_reserved_is_not_cached_at_any_level() {
    for (place, frame) in [(PML4E, 2), (PDPTE, 3), (PDE, 4), (PTE, FRAME_A)] {
        for (bad, code) in [(0, 4), (entry(frame, OPEN | 1 << 45), 0xd), (entry(frame, OPEN & !1), 4)] {
            let machine = world(1, small());
            let repair =
                [Act::store(place, bad), Act::read(A), Act::store(place, entry(frame, OPEN)), Act::read(A)];
            ends_with(&machine, &repair[..2], &[faults(code)]);
            ends_with(&machine, &repair, &[at(FRAME_A)]);
        }
    }
}

#[test]
fn after_a_change_old_and_new_are_used_until_invlpg() {
    let machine = world(1, small());
    let (read, write, invlpg) = (Act::read(A), Act::write(A), Act::invlpg(A));
    ends_with(&machine, &[read, remap(9), read], &[at(8), at(9)]);
    ends_with(&machine, &[read, remap(9), read, remap(10), read], &[at(8), at(9), at(10)]);
    ends_with(&machine, &[read, remap(9), invlpg, read], &[at(9)]);
    ends_with(&machine, &[read, remap(9), read, invlpg, remap(10), read], &[at(10)]);
    // Cached by a read with D clear, the old translation serves no write.
    ends_with(&machine, &[read, remap(9), write], &[at(9)]);
    ends_with(&machine, &[write, remap(9), write], &[at(8), at(9)]);
    // What was never accessed was never cached: nothing happens here on speculation.
    ends_with(&machine, &[remap(9), read], &[at(9)]);
    ends_with(&machine, &[read, Act::store(PTE_B, entry(10, OPEN)), Act::read(B)], &[at(10)]);
}

#[test]
fn a_walk_on_speculation_caches_what_no_access_asked_for() {
    let machine = world(1, small());
    let speculate = Act::Speculate { cpu: 0, va: A };
    // It may be that it took place, and set A, or that it did not.
    ends_with(&machine, &[speculate, remap(9), Act::read(A)], &[at(8), at(9)]);
    ends_with(&machine, &[speculate, remap(9), Act::invlpg(A), Act::read(A)], &[at(9)]);
    let dirty = || {
        machine.perform(&speculate);
        machine.word(PTE.0, PTE.1) & (Entry::ACCESSED | Entry::DIRTY)
    };
    let flags = over_all_choices(&machine, dirty);
    assert_exactly("A and D after speculation", &flags, &BTreeSet::from([0, Entry::ACCESSED]));
}

/// Four translations of one page live side by side.
#[test]
fn translations_of_one_page_do_not_push_each_other_out() {
    let machine = world(1, small());
    let read = Act::read(A);
    let acts = [read, remap(9), read, remap(10), read, remap(11), read, read];
    let ends = over_all_choices(&machine, || machine.outcomes(&acts).split_off(3));
    // The last two each use any of the four.
    let any = [8, 9, 10, 11].map(at);
    let pairs = any.into_iter().flat_map(|first| any.map(|second| vec![first, second]));
    assert_exactly("the last two", &ends, &pairs.collect());
}

/// If two translations of a page, size and tag cannot be cached side by side, one that was used is the only one.
#[test]
fn without_duplicates_what_is_used_has_no_rival() {
    let mut hardware = small();
    hardware.policy = Policy::Adversarial { duplicates: false };
    let machine = world(1, hardware);
    let read = Act::read(A);
    let acts = [read, remap(9), read, read, read];
    let ends = over_all_choices(&machine, || machine.outcomes(&acts).split_off(1));
    // Once the new one was used, the old one is gone; and once the old one was, until it is evicted.
    let [old, new] = [8, 9].map(at);
    let all = [[old, old, old], [old, old, new], [old, new, new], [new, new, new]];
    assert_exactly("the last three", &ends, &all.map(|run| run.to_vec()).into());
}

#[test]
fn a_right_taken_away_may_be_used_until_the_flush() {
    let machine = world(1, small());
    for (access, less, code) in [
        (Act::write(A), entry(FRAME_A, RO | Entry::ACCESSED | Entry::DIRTY), 7),
        (Act::read(A), entry(FRAME_A, Entry::PRESENT | Entry::RW), 5),
        (Act::fetch(A), entry(FRAME_A, OPEN | Entry::NX), 0x15),
        (Act::read(A), 0, 4),
    ] {
        let downgrade = Act::store(PTE, less);
        ends_with(&machine, &[access, downgrade, access], &[at(FRAME_A), faults(code)]);
        ends_with(&machine, &[access, downgrade, Act::invlpg(A), access], &[faults(code)]);
    }
}

/// A cached translation that denies an access may cause one fault. The fault drops it, so the repeated access does not fault.
#[test]
fn a_right_given_faults_at_most_once() {
    for (access, before, code) in [
        (Act::write(A), RO, 7),
        (Act::read(A), Entry::PRESENT | Entry::RW, 5),
        (Act::fetch(A), OPEN | Entry::NX, 0x15),
    ] {
        let machine = world(1, small());
        let start = [
            Act::store(PTE, entry(FRAME_A, before)),
            // Supervisor code may read it in any case; so it is cached.
            Act::kernel_read(A),
            Act::store(PTE, entry(FRAME_A, OPEN)),
        ];
        let acts = [&start[..], &[access, access, access]].concat();
        let ends = over_all_choices(&machine, || machine.outcomes(&acts).split_off(1));
        let [completes, denied] = [at(FRAME_A), faults(code)];
        // The second may fault only where the first completed, with a walk beside what is cached.
        let all = [
            [completes, completes, completes],
            [denied, completes, completes],
            [completes, denied, completes],
            [completes, completes, denied],
        ];
        assert_exactly(&format!("{acts:?}"), &ends, &all.map(|run| run.to_vec()).into());
    }
}

/// The TLB keeps rights and the key, and no verdicts. The present registers count, without a flush.
#[test]
fn the_registers_of_the_moment_decide_over_what_is_cached() {
    let [wp, no_wp] = [Cr0::WP, 0].map(|wp| Act::MovCr0 { cpu: 0, value: Cr0::PG | Cr0::PE | wp });
    let cr4 = |flags| Act::mov_cr4(Cr4::PAE | flags);
    let wrpkru = |value| Act::Wrpkru { cpu: 0, value };
    let [user_read, user_write] = [Act::read(A), Act::write(A)];
    let [read, write, fetch] = [Kind::Read, Kind::Write, Kind::Fetch].map(|kind| kernel(kind, A));
    let explicit = Act::Access { cpu: 0, mode: Mode::Explicit { ac: true }, kind: Kind::Read, va: A };
    let implicit = Act::Access { cpu: 0, mode: Mode::Implicit, kind: Kind::Read, va: A };
    let leaf = |flags| Act::store(PTE, entry(FRAME_A, flags));
    let key = OPEN | 3 << 59;
    let machine = world(1, with_cr4(Cr4::PKE));
    let ok = at(FRAME_A);
    for (program, expected) in [
        (vec![leaf(RO), no_wp, write, wp, write, no_wp, write], vec![ok, faults(3), ok]),
        (vec![leaf(OPEN), fetch, cr4(Cr4::SMEP), fetch, cr4(0), fetch], vec![ok, faults(0x11), ok]),
        (vec![leaf(OPEN), read, cr4(Cr4::SMAP), read, explicit, read], vec![ok, faults(1), ok, faults(1)]),
        (vec![leaf(OPEN), cr4(Cr4::SMAP), user_read, implicit, cr4(0), implicit], vec![ok, faults(1), ok]),
        (
            vec![leaf(key), user_read, wrpkru(1 << 6), user_read, wrpkru(1 << 8), user_read],
            vec![ok, faults(0x25), ok],
        ),
        (vec![leaf(key), user_write, wrpkru(2 << 6), user_read, user_write], vec![ok, ok, faults(0x27)]),
        (vec![leaf(key), user_read, wrpkru(1 << 6), user_read, cr4(0), user_read], vec![ok, faults(0x25), ok]),
    ] {
        let ends = over_all_choices(&machine, || machine.outcomes(&program));
        assert_exactly(&format!("{program:?}"), &ends, &BTreeSet::from([expected]));
    }
}

/// The leaf's flags after a program, over all choices.
#[track_caller]
fn leaves(program: &[Act], expected: &[u64]) {
    let machine = world(1, small());
    let flags = || {
        machine.outcomes(program);
        machine.word(PTE.0, PTE.1) & (Entry::ACCESSED | Entry::DIRTY)
    };
    let ends = over_all_choices(&machine, flags);
    assert_exactly(&format!("A and D after {program:?}"), &ends, &expected.iter().copied().collect());
}

#[test]
fn accessed_and_dirty_are_set_before_anything_is_cached_and_not_again() {
    const AD: u64 = Entry::ACCESSED | Entry::DIRTY;
    let (read, write, invlpg) = (Act::read(A), Act::write(A), Act::invlpg(A));
    let clear = Act::store(PTE, entry(FRAME_A, OPEN));
    let clear_dirty = Act::store(PTE, entry(FRAME_A, OPEN | Entry::ACCESSED));
    leaves(&[read], &[Entry::ACCESSED]);
    leaves(&[write], &[AD]);
    leaves(&[read, write], &[AD]);
    leaves(&[read, clear, read], &[0, Entry::ACCESSED]);
    leaves(&[read, clear, invlpg, read], &[Entry::ACCESSED]);
    leaves(&[write, clear_dirty, write], &[Entry::ACCESSED, AD]);
    leaves(&[write, clear_dirty, invlpg, write], &[AD]);
    leaves(&[write, clear, write], &[0, AD]);
    // Cached while D was set, by a read: a write needs no walk.
    leaves(&[Act::store(PTE, entry(FRAME_A, DIRTY)), read, clear, write], &[0, AD]);
}

#[test]
fn a_write_through_what_was_cached_clean_sets_dirty_first() {
    let machine = world(1, small());
    over_all_choices(&machine, || {
        machine.access(0, VirtAddr(A), DataOp::Read);
        assert_eq!(machine.word(PTE.0, PTE.1) & Entry::DIRTY, 0, "a read sets D");
        let accessed = machine.access(0, VirtAddr(A), DataOp::Write(7));
        let set =
            accessed.events.iter().position(|e| matches!(e, Event::SetFlags { new, .. } if new.has(Entry::DIRTY)));
        let retired = accessed.events.iter().position(|e| matches!(e, Event::Retired { .. }));
        assert!(set.is_some() && set < retired, "D is set, then the write retires: {accessed:?}");
        assert_eq!(machine.word(FRAME_A, 0), 7);
    });
}

/// SDM 4.10.2.3: the TLB may have both, and may use one of them now and the other later.
#[test]
fn a_page_size_changed_without_a_flush_leaves_both_sizes_in_use() {
    let machine = world(1, small());
    let merge = Act::store(PDE, entry(12, LARGE));
    let split = Act::store(PDE, entry(4, OPEN));
    let (read, read_b) = (Act::read(A), Act::read(B));
    ends_with(&machine, &[read, merge, read], &[at(8), at(12)]);
    ends_with(&machine, &[read, merge, read, read], &[at(8), at(12)]);
    ends_with(&machine, &[read, merge, Act::invlpg(A), read], &[at(12)]);
    ends_with(&machine, &[merge, read, split, read_b], &[at(13), at(9)]);
    ends_with(&machine, &[merge, read, split, read_b, read_b], &[at(13), at(9)]);
}

#[test]
fn pieces_of_a_large_page_go_with_it_only_while_the_structures_map_it() {
    let machine = world(1, small());
    let merge = Act::store(PDE, entry(LARGE_FRAME + 4, LARGE));
    let split = Act::store(PDE, entry(4, OPEN));
    let (read, read_b) = (Act::read(A), Act::read(B));
    // One INVLPG anywhere in the large page takes all, while it is large.
    ends_with(&machine, &[merge, read, Act::invlpg(B), split, read], &[at(8)]);
    ends_with(&machine, &[merge, read, read_b, Act::invlpg(0x3000), split, read_b], &[at(9)]);
    // Once it is split, each piece that was used has an INVLPG of its own.
    ends_with(&machine, &[merge, read, split, Act::invlpg(B), read], &[at(8), at(12)]);
    ends_with(&machine, &[merge, read, split, Act::invlpg(A), read], &[at(8)]);
    // The large translation itself goes with an INVLPG of any of its pages.
    ends_with(&machine, &[merge, read, split, Act::invlpg(B), read_b], &[at(9)]);
}

#[test]
fn a_fault_drops_the_pieces_of_its_large_page() {
    let machine = world(1, small());
    let [less, more] = [RO, OPEN].map(|flags| Act::store(PDE, entry(LARGE_FRAME, flags | Entry::PAGE_SIZE)));
    let acts = [less, Act::read(A), Act::read(B), more, Act::write(A), Act::write(B)];
    let ends = over_all_choices(&machine, || machine.outcomes(&acts).split_off(2));
    let [a, b, denied] = [at(LARGE_FRAME), at(LARGE_FRAME + 1), faults(7)];
    assert_exactly(&format!("{acts:?}"), &ends, &[vec![denied, b], vec![a, denied], vec![a, b]].into());
}

/// Translations of one root serve no access under another, and a MOV to CR3 and back finds none.
#[test]
fn without_pcids_a_load_of_cr3_leaves_only_what_is_global() {
    let machine = world(1, with_cr4(Cr4::PGE));
    let acts =
        [Act::read(A), Act::mov_cr3(OTHER_ROOT << 12), Act::read(A), Act::mov_cr3(ROOT << 12), Act::read(A)];
    let ends = over_all_choices(&machine, || {
        let outcomes = machine.outcomes(&acts[..4]);
        let last = machine.access(0, VirtAddr(A), DataOp::Read);
        assert!(last.walked(), "a load of CR3 leaves nothing: {last:?}");
        [outcomes, vec![last.outcome()]].concat()
    });
    assert_exactly(&format!("{acts:?}"), &ends, &[vec![at(8), at(OTHER_A), at(8)]].into());
    let global = Act::store(PTE, entry(FRAME_A, GLOBAL));
    ends_with(&machine, &[global, Act::read(A), acts[1], Act::read(A)], &[at(FRAME_A), at(OTHER_A)]);
    ends_with(&machine, &[global, Act::read(A), acts[1], Act::invlpg(A), Act::read(A)], &[at(OTHER_A)]);
}

#[test]
fn translations_of_another_pcid_are_not_used_but_for_global_ones() {
    let machine = world(1, with_pcids());
    let to = |root: u64, pcid| Act::mov_cr3_keeping(root << 12 | pcid);
    let (read, global) = (Act::read(A), Act::store(PTE, entry(FRAME_A, GLOBAL)));
    ends_with(&machine, &[to(ROOT, 1), read, to(OTHER_ROOT, 2), read], &[at(OTHER_A)]);
    ends_with(&machine, &[to(ROOT, 1), read, to(OTHER_ROOT, 1), read], &[at(FRAME_A), at(OTHER_A)]);
    ends_with(&machine, &[global, to(ROOT, 1), read, to(OTHER_ROOT, 2), read], &[at(FRAME_A), at(OTHER_A)]);
    // INVLPG takes a global translation whatever its PCID; another's own translations it leaves.
    let there_and_back = |flags| {
        let first = [Act::store(PTE, entry(FRAME_A, flags)), to(ROOT, 1), read, remap(FRAME_B)];
        [&first[..], &[to(OTHER_ROOT, 2), Act::invlpg(A), to(ROOT, 1), read]].concat()
    };
    ends_with(&machine, &there_and_back(GLOBAL), &[at(FRAME_B)]);
    ends_with(&machine, &there_and_back(OPEN), &[at(FRAME_A), at(FRAME_B)]);
}

#[test]
fn the_global_bit_counts_only_with_pge_and_only_in_the_entry_of_the_page() {
    let read_elsewhere = [Act::read(A), Act::mov_cr3(OTHER_ROOT << 12), Act::read(A)];
    let global = |place, frame| [&[Act::store(place, entry(frame, GLOBAL))], &read_elsewhere[..]].concat();
    let [off, on] = [0, Cr4::PGE].map(|pge| world(1, with_cr4(pge)));
    ends_with(&off, &global(PTE, FRAME_A), &[at(OTHER_A)]);
    ends_with(&on, &global(PTE, FRAME_A), &[at(FRAME_A), at(OTHER_A)]);
    for (place, frame) in [(PML4E, 2), (PDPTE, 3), (PDE, 4)] {
        ends_with(&on, &global(place, frame), &[at(OTHER_A)]);
        // Nor is the way to the table below global: the other root's walk goes its own.
        let sibling = [Act::store(place, entry(frame, GLOBAL)), Act::read(A), read_elsewhere[1], Act::read(B)];
        ends_with(&on, &sibling, &[at(crate::common::world::OTHER_B)]);
    }
    // Filled without PGE it is not global ever after. Turning PGE on drops it in any case.
    ends_with(
        &with_pge_turned_on(),
        &[Act::read(A), Act::mov_cr4(Cr4::PAE | Cr4::PGE), remap(9), Act::read(A)],
        &[at(9)],
    );
}

fn with_pge_turned_on() -> crate::common::Machine {
    let machine = world(1, small());
    machine.set_word(PTE.0, PTE.1, entry(FRAME_A, GLOBAL));
    machine.checkpoint();
    machine
}

/// If the caches keep nothing, an access uses what the structures say.
#[test]
fn a_coherent_machine_uses_what_memory_says() {
    let mut hardware = small();
    hardware.policy = Policy::Coherent;
    let machine = world(1, hardware);
    let read = Act::read(A);
    let acts =
        [read, remap(9), read, Act::store(PDE, entry(12, LARGE)), read, Act::store(PML4E, 0), read, Act::read(C)];
    let expected = vec![at(8), at(9), at(12), faults(4), faults(4)];
    assert_exactly("", &over_all_choices(&machine, || machine.outcomes(&acts)), &BTreeSet::from([expected]));
}

/// The laziest machine keeps all, and uses the oldest.
#[test]
fn the_laziest_machine_uses_the_oldest_that_it_may() {
    let mut hardware = small();
    hardware.policy = Policy::Laziest;
    let machine = world(1, hardware);
    let (read, write) = (Act::read(A), Act::write(A));
    // Kept clean, it is of no use to a write; that walks, and what it finds is the second oldest.
    let acts = [read, remap(9), read, write, read, Act::invlpg(B), read, Act::invlpg(A), read];
    let expected: Vec<Outcome> = [8, 8, 9, 8, 8, 9].map(at).into();
    assert_exactly("", &over_all_choices(&machine, || machine.outcomes(&acts)), &BTreeSet::from([expected]));
}
