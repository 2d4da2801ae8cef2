//! Invalidations of every CPU at once: the flush of a hypervisor, and AMD's INVLPGB with TLBSYNC. Also accesses that are under
//! way when an invalidation comes.

use std::pin::pin;

use crate::common::manual::{Act, Flush};
use crate::common::world::{
    A, B, DIRTY, FRAME_A, FRAME_B, GLOBAL, LARGE, OTHER_A, OTHER_B, OTHER_PD, OTHER_PDPT, OTHER_PT, OTHER_ROOT,
    PDE, PDPTE, PML4E, PTE, ROOT, amd, at, ends_with, entry, small, with_pcids, world,
};
use crate::common::{Machine, OPEN, lines, step};
use sim_core::source::{Replay, Source};
use sim_mmu::{DataOp, Entry, Event, Level, VirtAddr};

const REMAP: Act = Act::Store { frame: PTE.0, index: PTE.1, value: 11 << 12 | OPEN };
const REDIRECT: Act = Act::Store { frame: PDE.0, index: PDE.1, value: OTHER_PT << 12 | OPEN };
const ALL: Flush = Flush { pages: None, pcid: None, global: true, last_only: false };
const SYNC: Act = Act::Tlbsync { cpu: 0 };

fn broadcast(root: u64, from: u64, to: u64) -> Act {
    Act::Broadcast { cpu: 0, root, from, to }
}

fn invlpgb(what: Flush) -> Act {
    Act::Invlpgb { cpu: 0, what }
}

#[test]
fn a_broadcast_reaches_every_cpu_but_only_its_root_and_pages() {
    let machine = world(2, small());
    for cpu in 0..2 {
        let after = |flush| [Act::read(A).on(cpu), REMAP, flush, Act::read(A).on(cpu)];
        ends_with(&machine, &after(broadcast(ROOT, 0, 1)), &[at(11)]);
        ends_with(&machine, &after(broadcast(ROOT, 0, 9)), &[at(11)]);
        ends_with(&machine, &after(broadcast(ROOT, 1, 2)), &[at(FRAME_A), at(11)]);
        ends_with(&machine, &after(broadcast(OTHER_ROOT, 0, 2)), &[at(FRAME_A), at(11)]);
        // The ways to tables all go.
        let after = |flush| [Act::read(A).on(cpu), REDIRECT, flush, Act::read(B).on(cpu)];
        ends_with(&machine, &after(broadcast(ROOT, 9, 10)), &[at(OTHER_B)]);
        ends_with(&machine, &after(broadcast(OTHER_ROOT, 0, 9)), &[at(FRAME_B), at(OTHER_B)]);
    }
    // A page of a large page is as good as all of it.
    let merge = Act::store(PDE, entry(12, LARGE));
    let split = Act::store(PDE, entry(4, OPEN));
    ends_with(&machine, &[merge, Act::read(A).on(1), split, broadcast(ROOT, 3, 4), Act::read(A).on(1)], &[at(8)]);
}

#[test]
fn invlpgb_is_done_on_every_cpu_when_tlbsync_is() {
    let machine = world(2, amd(small()));
    for cpu in 0..2 {
        let (read, old_and_new) = (Act::read(A).on(cpu), [at(FRAME_A), at(11)]);
        ends_with(&machine, &[read, REMAP, invlpgb(ALL), SYNC, read], &[at(11)]);
        ends_with(&machine, &[read, REMAP, invlpgb(ALL), read], &old_and_new);
        ends_with(&machine, &[read, REMAP, invlpgb(ALL), read, SYNC, read], &[at(11)]);
        // TLBSYNC waits for the INVLPGBs of its own CPU.
        ends_with(&machine, &[read, REMAP, invlpgb(ALL), SYNC.on(1), read], &old_and_new);
        ends_with(&machine, &[read, REMAP, invlpgb(ALL).on(1), SYNC.on(1), read], &[at(11)]);
        // One that came before the change takes nothing that is read after it.
        ends_with(&machine, &[invlpgb(ALL), read, REMAP, SYNC, read], &old_and_new);
        ends_with(&machine, &[read, invlpgb(ALL), REMAP, SYNC, read], &[at(11)]);
        // The same of the way to a table.
        let sibling = Act::read(B).on(cpu);
        ends_with(&machine, &[invlpgb(ALL), read, REDIRECT, SYNC, sibling], &[at(FRAME_B), at(OTHER_B)]);
        ends_with(&machine, &[read, invlpgb(ALL), REDIRECT, SYNC, sibling], &[at(OTHER_B)]);
    }
}

#[test]
fn invlpgb_names_pages_a_pcid_and_what_is_spared() {
    let machine = world(2, amd(with_pcids()));
    let to = |pcid| Act::mov_cr3_keeping(ROOT << 12 | pcid).on(1);
    let read = Act::read(A).on(1);
    let stale = |flags, what| {
        let remap = Act::store(PTE, entry(11, flags));
        [to(1), Act::store(PTE, entry(FRAME_A, flags)), read, remap, invlpgb(what), SYNC, read]
    };
    let (gone, left) = ([at(11)], [at(FRAME_A), at(11)]);
    for (what, own, global) in [
        (ALL, &gone[..], &gone[..]),
        (Flush { global: false, ..ALL }, &gone, &left),
        (Flush { pages: Some((0, 1)), ..ALL }, &gone, &gone),
        (Flush { pages: Some((1, 3)), ..ALL }, &left, &left),
        (Flush { pcid: Some(1), ..ALL }, &gone, &gone),
        // A global translation is every PCID's.
        (Flush { pcid: Some(2), ..ALL }, &left, &gone),
        (Flush { pcid: Some(1), global: false, ..ALL }, &gone, &left),
        (Flush { last_only: true, ..ALL }, &gone, &gone),
    ] {
        ends_with(&machine, &stale(OPEN, what), own);
        ends_with(&machine, &stale(GLOBAL, what), global);
    }
    let way = |what| [to(1), read, REDIRECT, invlpgb(what), SYNC, Act::read(B).on(1)];
    let left = [at(FRAME_B), at(OTHER_B)];
    for (what, expected) in [
        (ALL, &left[1..]),
        (Flush { last_only: true, ..ALL }, &left),
        (Flush { pcid: Some(2), ..ALL }, &left),
        (Flush { pages: Some((2, 3)), ..ALL }, &left[1..]),
        (Flush { pages: Some((4, 5)), ..ALL }, &left),
    ] {
        ends_with(&machine, &way(what), expected);
    }
}

#[test]
fn invlpgb_is_amds() {
    let machine = world(1, small());
    assert!(!machine.apply(&invlpgb(ALL)), "there is no such instruction on this processor");
}

/// The choices of the machine from here on.
fn choose(machine: &Machine, chosen: &[(u32, u32)]) {
    machine.mmu.core.set_source(Source::Replay(Replay::strict(chosen.to_vec())));
}

/// What completes an invalidation on CPU 0, for CPU 1.
const COMPLETE: [(&str, &[Act]); 3] = [
    ("a broadcast", &[Act::Broadcast { cpu: 0, root: ROOT, from: 0, to: 4 }]),
    ("INVLPGB and TLBSYNC", &[Act::Invlpgb { cpu: 0, what: ALL }, SYNC]),
    ("an interrupt that executes INVLPG", &[Act::Invlpg { cpu: 1, va: A }]),
];

/// An access that found its translation, but has not touched memory when an invalidation completes,
/// starts over.
#[test]
fn a_hit_does_not_overtake_an_invalidation() {
    for (what, flush) in COMPLETE {
        let machine = world(2, amd(small()));
        machine.perform(&Act::read(A).on(1));
        // Announces the touch of the frame that is cached.
        let mut access = pin!(machine.cpu(1).access(VirtAddr(A), DataOp::Write(7)));
        step(access.as_mut());
        machine.apply(&REMAP);
        flush.iter().for_each(|act| assert!(machine.apply(act), "{act:?}"));
        assert_eq!(machine.run(1, access), Ok(7));
        let written = [machine.word(FRAME_A, 0), machine.word(11, 0)];
        assert_eq!(written, [0, 7], "{what}: {}", lines(&machine.events()));
    }
}

/// The same for a walk, wherever it stands: what it has read, at any level, may not be used.
#[test]
fn a_walk_does_not_overtake_an_invalidation() {
    let changes = [(PML4E, OTHER_PDPT), (PDPTE, OTHER_PD), (PDE, OTHER_PT), (PTE, OTHER_A)];
    for (what, flush) in &COMPLETE[..2] {
        // As many steps of the walk as it takes: a load and an update of A at each level, then the touch.
        for (steps, (place, to)) in (1..=9).flat_map(|steps| changes.map(|change| (steps, change))) {
            let machine = world(2, amd(small()));
            let mut access = pin!(machine.cpu(1).access(VirtAddr(A), DataOp::Write(7)));
            for _ in 0..steps {
                step(access.as_mut());
            }
            machine.apply(&Act::store(place, entry(to, OPEN)));
            flush.iter().for_each(|act| assert!(machine.apply(act), "{act:?}"));
            assert_eq!(machine.run(1, access), Ok(7));
            let written = [machine.word(FRAME_A, 0), machine.word(OTHER_A, 0)];
            let story = lines(&machine.events());
            assert_eq!(written, [0, 7], "{what} after {steps} steps, and {place:?} changed: {story}");
        }
    }
}

/// A walk that was going to begin at a cached table may not begin there any more.
#[test]
fn a_walk_does_not_begin_with_what_an_invalidation_took() {
    for (what, flush) in COMPLETE {
        let machine = world(2, amd(small()));
        machine.perform(&Act::read(A).on(1));
        machine.apply(&REDIRECT);
        // The stale way to the old table is chosen.
        choose(&machine, &[(1, 2)]);
        let mut access = pin!(machine.cpu(1).access(VirtAddr(B), DataOp::Write(7)));
        step(access.as_mut());
        flush.iter().for_each(|act| assert!(machine.apply(act), "{act:?}"));
        assert_eq!(machine.run(1, access), Ok(7));
        let written = [machine.word(FRAME_B, 0), machine.word(OTHER_B, 0)];
        assert_eq!(written, [0, 7], "{what}: {}", lines(&machine.events()));
    }
}

/// A walk sets no flags in a table that was given up while it was under way.
#[test]
fn a_walk_that_was_overtaken_writes_nothing() {
    for (what, flush) in &COMPLETE[..2] {
        let machine = world(2, amd(small()));
        let mut access = pin!(machine.cpu(1).access(VirtAddr(A), DataOp::Write(7)));
        // It has read the leaf, and announces that it sets A and D there.
        let read_the_leaf =
            |(_, event): &(_, Event)| matches!(event, Event::TableAccess { level: Level::Pte, .. });
        while !machine.events().iter().any(read_the_leaf) {
            step(access.as_mut());
        }
        machine.apply(&Act::store(PDPTE, 0));
        flush.iter().for_each(|act| assert!(machine.apply(act), "{act:?}"));
        machine.run(1, access).expect_err("nothing is mapped there");
        assert_eq!(machine.word(PTE.0, PTE.1), entry(FRAME_A, OPEN), "{what}: {}", lines(&machine.events()));
    }
}

/// An access that was interrupted before it read anything begins again under the registers of the moment:
/// whether it was to walk, or had found a translation that the TLB still has.
#[test]
fn an_access_that_was_interrupted_uses_the_root_of_the_moment() {
    for found in [false, true] {
        let machine = world(1, with_pcids());
        if found {
            machine.perform(&Act::write(A));
        }
        let mut access = pin!(machine.cpu(0).access(VirtAddr(A), DataOp::Write(7)));
        step(access.as_mut());
        assert!(machine.apply(&Act::mov_cr3_keeping(OTHER_ROOT << 12 | 2)));
        assert_eq!(machine.run(0, access), Ok(7));
        let written = [machine.word(FRAME_A, 0), machine.word(OTHER_A, 0)];
        assert_eq!(written, [0, 7], "found: {found}: {}", lines(&machine.events()));
    }
}

/// Under the policy that keeps nothing, an access under way finds a page of another size at its address.
#[test]
fn a_coherent_access_sees_a_size_that_changes_under_it() {
    let mut hardware = small();
    hardware.policy = sim_mmu::Policy::Coherent;
    let machine = world(1, hardware);
    // The page of `B` by its table is frame 12; of the large page at frame 12 it is frame 13.
    machine.set_word(4, 1, entry(12, DIRTY));
    let mut access = pin!(machine.cpu(0).access(VirtAddr(B), DataOp::Write(7)));
    while !machine.events().iter().any(|(_, event)| matches!(event, Event::Filled(_))) {
        step(access.as_mut());
    }
    machine.apply(&Act::store(PDE, entry(12, LARGE | Entry::ACCESSED | Entry::DIRTY)));
    assert_eq!(machine.run(0, access), Ok(7));
    let written = [machine.word(12, 0), machine.word(13, 0)];
    assert_eq!(written, [0, 7], "{}", lines(&machine.events()));
}
