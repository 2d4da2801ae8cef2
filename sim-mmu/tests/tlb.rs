//! The adversarial TLB against a reference that remembers everything: no access uses a translation
//! that an invalidation took away, and every translation that may still be cached is used by some choice.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use common::{Machine, OPEN, alone, assert_exactly, cases, lines, over_all_choices, step};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};
use proptest::test_runner::TestCaseResult;
use sim_core::source::{Random, Source};
use sim_mmu::{DataOp, Entry, Event, Level, Pfn, Rights, VirtAddr, Vpn};

/// Roots, each with the three tables below it in the frames behind.
const ROOTS: [u64; 2] = [0, 4];
/// Frames of data.
const DATA: u64 = 8;
const FRAMES: u64 = 12;
const RW: u64 = OPEN;
const RO: u64 = Entry::PRESENT | Entry::USER;

/// Two pages of one table.
fn page(n: u64) -> VirtAddr {
    VirtAddr(n << 12)
}

fn machine(cpus: usize) -> Machine {
    let machine = Machine::new(cpus, 4, FRAMES);
    for root in ROOTS {
        machine.build_tables(root, page(0));
    }
    for frame in DATA..FRAMES {
        machine.set_word(frame, 0, frame);
    }
    for cpu in 0..cpus {
        machine.mmu.preset_cr3(machine.cpu(cpu as u8).id, Pfn(ROOTS[0]));
    }
    machine
}

/// The translation that a walk would find now: what is remembered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    pfn: Pfn,
    rights: Rights,
    dirty: bool,
}

/// Something that is done to the machine.
#[derive(Clone, Copy, Debug)]
enum Act {
    Access { cpu: u8, page: u64, write: bool },
    SetLeaf { root: usize, page: u64, frame: u64, flags: u64 },
    SetUpper { root: usize, flags: u64 },
    Invlpg { cpu: u8, page: u64 },
    WriteCr3 { cpu: u8, root: usize },
    Broadcast { cpu: u8, root: usize, from: u64, to: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    let leaf = prop_oneof![4 => Just(RW), 2 => Just(RW | Entry::DIRTY), 2 => Just(RO), 1 => Just(0)];
    let upper = prop_oneof![3 => Just(RW), 1 => Just(RO)];
    prop_oneof![
        8 => (0..2_u8, 0..2_u64, any::<bool>()).prop_map(|(cpu, page, write)| Act::Access { cpu, page, write }),
        4 => (0..2_usize, 0..2_u64, DATA..FRAMES, leaf)
            .prop_map(|(root, page, frame, flags)| Act::SetLeaf { root, page, frame, flags }),
        1 => (0..2_usize, upper).prop_map(|(root, flags)| Act::SetUpper { root, flags }),
        2 => (0..2_u8, 0..2_u64).prop_map(|(cpu, page)| Act::Invlpg { cpu, page }),
        1 => (0..2_u8, 0..2_usize).prop_map(|(cpu, root)| Act::WriteCr3 { cpu, root }),
        1 => (0..2_u8, 0..2_usize, 0..2_u64, 1..3_u64)
            .prop_map(|(cpu, root, from, to)| Act::Broadcast { cpu, root, from, to }),
    ]
}

/// What a walk could have seen since the last invalidation that covers it, for each CPU, root and page.
struct Memory<'a> {
    machine: &'a Machine,
    seen: BTreeMap<(u8, usize, u64), Vec<Seen>>,
}

impl Memory<'_> {
    /// What a walk would find now.
    fn now(&self, root: usize, page_number: u64) -> Option<Seen> {
        let mut rights = (true, true);
        let mut table = ROOTS[root];
        for level in Level::WALK {
            let index = self.machine.mmu.geometry.index(page(page_number), level);
            let entry = Entry(self.machine.word(table, index));
            if !entry.is_present() {
                return None;
            }
            rights = (rights.0 && entry.has(Entry::RW), rights.1 && entry.has(Entry::USER));
            if level == Level::Pte {
                let rights = Rights { write: rights.0, user: rights.1, fetch: true };
                return Some(Seen { pfn: entry.pfn(), rights, dirty: entry.has(Entry::DIRTY) });
            }
            table = entry.pfn().0;
        }
        unreachable!("the leaf is the last")
    }

    /// Time passes: what a walk would find now is remembered by every CPU.
    fn remember(&mut self) {
        for cpu in 0..2 {
            for root in 0..2 {
                for page in 0..2 {
                    let now = self.now(root, page);
                    let seen = self.seen.entry((cpu, root, page)).or_default();
                    if let Some(now) = now
                        && !seen.contains(&now)
                    {
                        seen.push(now);
                    }
                }
            }
        }
    }

    fn forget(&mut self, covers: impl Fn(u8, usize, u64) -> bool) {
        self.seen.retain(|(cpu, root, page), _| !covers(*cpu, *root, *page));
    }
}

fn check_history(acts: &[Act], seed: u64) -> TestCaseResult {
    let machine = machine(2);
    machine.mmu.core.set_source(Source::Random(Random::new(seed)));
    let mut memory = Memory { machine: &machine, seen: BTreeMap::new() };
    let mut loaded = [0_usize; 2];
    for (n, act) in acts.iter().enumerate() {
        memory.remember();
        match *act {
            Act::Access { cpu, page: number, write } => {
                let data = if write { DataOp::Write(n as u64) } else { DataOp::Read };
                let accessed = machine.access(cpu, page(number), data);
                // A and D that the walk set.
                memory.remember();
                let key = (cpu, loaded[usize::from(cpu)], number);
                let seen = memory.seen.get(&key).map_or(&[][..], Vec::as_slice);
                let what = format!("{act:?}, {n} of {acts:?}\nallowed: {seen:?}\n{accessed:?}");
                match accessed.through() {
                    Some(through) => {
                        let used = Seen { pfn: through.pfn, rights: through.rights, dirty: through.dirty };
                        prop_assert!(seen.contains(&used), "{used:?} is used by {what}");
                        prop_assert!(!write || used.rights.write && used.dirty, "{used:?} is written by {what}");
                    }
                    None => {
                        let denied = seen.iter().any(|seen| write && !seen.rights.write);
                        let absent = memory.now(key.1, number).is_none();
                        prop_assert!(denied || absent, "nothing denies {what}");
                    }
                }
            }
            Act::SetLeaf { root, page: number, frame, flags } => {
                let (table, index) = machine.leaf(ROOTS[root], page(number));
                machine.set_word(table, index, Entry::new(Pfn(frame), flags).0);
            }
            Act::SetUpper { root, flags } => {
                let table = ROOTS[root] + 2;
                let index = machine.mmu.geometry.index(page(0), Level::Pmd);
                machine.set_word(table, index, Entry::new(Pfn(table + 1), flags).0);
            }
            Act::Invlpg { cpu, page: number } => {
                alone(machine.cpu(cpu).invlpg(page(number)));
                memory.forget(|c, _, p| (c, p) == (cpu, number));
            }
            Act::WriteCr3 { cpu, root } => {
                alone(machine.cpu(cpu).write_cr3(Pfn(ROOTS[root])));
                loaded[usize::from(cpu)] = root;
                memory.forget(|c, _, _| c == cpu);
            }
            Act::Broadcast { cpu, root, from, to } => {
                alone(machine.cpu(cpu).broadcast_invalidate(Pfn(ROOTS[root]), Vpn(from)..Vpn(to)));
                memory.forget(|_, r, p| r == root && (from..to).contains(&p));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn only_what_no_invalidation_took_away_is_used(acts in vec(act(), 1..30), seed in any::<u64>()) {
        check_history(&acts, seed)?;
    }
}

/// What is done to one page that user code may always read and write, on one CPU.
#[derive(Clone, Copy, Debug)]
enum OnePage {
    Read,
    Write,
    Remap { frame: u64, dirty: bool },
    Invlpg,
}

fn one_page() -> impl Strategy<Value = OnePage> {
    prop_oneof![
        3 => Just(OnePage::Read),
        2 => Just(OnePage::Write),
        3 => (DATA..FRAMES, any::<bool>()).prop_map(|(frame, dirty)| OnePage::Remap { frame, dirty }),
        1 => Just(OnePage::Invlpg),
    ]
}

/// The frames that the accesses use, one after the other.
type Frames = Vec<u64>;

/// All that accesses may use: anything walked since the last INVLPG, or what the entry says now. A
/// write uses nothing that was cached with D clear.
fn allowed(
    acts: &[OnePage],
    now: (u64, bool),
    cached: &BTreeSet<(u64, bool)>,
    used: &Frames,
    all: &mut BTreeSet<Frames>,
) {
    let Some((act, rest)) = acts.split_first() else {
        all.insert(used.clone());
        return;
    };
    match *act {
        OnePage::Remap { frame, dirty } => allowed(rest, (frame, dirty), cached, used, all),
        OnePage::Invlpg => allowed(rest, now, &BTreeSet::new(), used, all),
        OnePage::Read | OnePage::Write => {
            let write = matches!(act, OnePage::Write);
            let with = |frame: u64| [used.as_slice(), &[frame]].concat();
            for (frame, _) in cached.iter().filter(|(_, dirty)| *dirty || !write) {
                allowed(rest, now, cached, &with(*frame), all);
            }
            let walked = (now.0, now.1 || write);
            let mut filled = cached.clone();
            filled.insert(walked);
            allowed(rest, walked, &filled, &with(now.0), all);
        }
    }
}

fn used(machine: &Machine, acts: &[OnePage]) -> Frames {
    let mut frames = Frames::new();
    for act in acts {
        match *act {
            OnePage::Remap { frame, dirty } => {
                let (table, index) = machine.leaf(ROOTS[0], page(0));
                machine.set_word(
                    table,
                    index,
                    Entry::new(Pfn(frame), RW | if dirty { Entry::DIRTY } else { 0 }).0,
                );
            }
            OnePage::Invlpg => alone(machine.cpu(0).invlpg(page(0))),
            OnePage::Read | OnePage::Write => {
                let data = if matches!(act, OnePage::Write) { DataOp::Write(1) } else { DataOp::Read };
                let accessed = machine.access(0, page(0), data);
                let through = accessed.through().expect("the entry is always present and writable");
                frames.push(through.pfn.0);
            }
        }
    }
    frames
}

fn machine_with_a_page() -> Machine {
    let machine = machine(1);
    let (table, index) = machine.leaf(ROOTS[0], page(0));
    machine.set_word(table, index, Entry::new(Pfn(DATA), RW).0);
    machine.checkpoint();
    machine
}

/// Over all choices, accesses use exactly what is allowed.
#[track_caller]
fn uses_all_that_is_allowed(acts: &[OnePage]) {
    let machine = machine_with_a_page();
    let mut expected = BTreeSet::new();
    allowed(acts, (DATA, false), &BTreeSet::new(), &Frames::new(), &mut expected);
    assert_exactly(&format!("{acts:?}"), &over_all_choices(&machine, || used(&machine, acts)), &expected);
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_translation_that_may_be_cached_is_used_by_some_choice(acts in vec(one_page(), 1..8)) {
        uses_all_that_is_allowed(&acts);
    }
}

/// Four translations of one page live side by side.
#[test]
fn translations_of_one_page_do_not_push_each_other_out() {
    let remap = |frame| [OnePage::Remap { frame, dirty: true }, OnePage::Read];
    let acts = [OnePage::Read].into_iter().chain([9, 10, 11].into_iter().flat_map(remap));
    uses_all_that_is_allowed(&acts.chain([OnePage::Read, OnePage::Read]).collect::<Vec<_>>());
}

/// Runs acts on the page over all choices; the last access must use exactly these frames.
#[track_caller]
fn last_uses(acts: &[OnePage], expected: &[u64]) {
    let machine = machine_with_a_page();
    let last = over_all_choices(&machine, || used(&machine, acts).last().copied());
    assert_exactly(&format!("the last of {acts:?}"), &last, &expected.iter().map(|frame| Some(*frame)).collect());
}

#[test]
fn after_a_change_old_and_new_are_used_until_invlpg() {
    use OnePage::{Invlpg, Read, Write};
    let remap = |frame| OnePage::Remap { frame, dirty: true };
    last_uses(&[Read, remap(9), Read], &[8, 9]);
    last_uses(&[Read, remap(9), Read, remap(10), Read], &[8, 9, 10]);
    last_uses(&[Read, remap(9), Invlpg, Read], &[9]);
    last_uses(&[Read, remap(9), Read, Invlpg, remap(10), Read], &[10]);
    // Cached by a read with D clear, the old translation serves no write.
    last_uses(&[Read, remap(9), Write], &[9]);
    last_uses(&[Write, remap(9), Write], &[8, 9]);
}

#[test]
fn a_write_through_what_was_cached_clean_sets_dirty_first() {
    let machine = machine_with_a_page();
    let (table, index) = machine.leaf(ROOTS[0], page(0));
    over_all_choices(&machine, || {
        machine.access(0, page(0), DataOp::Read);
        assert!(!Entry(machine.word(table, index)).has(Entry::DIRTY), "a read sets D");
        let accessed = machine.access(0, page(0), DataOp::Write(7));
        let set =
            accessed.events.iter().position(|e| matches!(e, Event::SetFlags { new, .. } if new.has(Entry::DIRTY)));
        let retired = accessed.events.iter().position(|e| matches!(e, Event::Retired { .. }));
        assert!(set.is_some() && set < retired, "D is set, then the write retires: {accessed:?}");
        assert!(Entry(machine.word(table, index)).has(Entry::DIRTY));
        assert_eq!(machine.word(DATA, 0), 7);
    });
}

/// The entry becomes writable without a flush: a cached denial may fault once, and is gone after that.
#[test]
fn a_denial_is_dropped_by_the_fault_that_it_causes() {
    let machine = machine_with_a_page();
    let (table, index) = machine.leaf(ROOTS[0], page(0));
    machine.set_word(table, index, Entry::new(Pfn(DATA), RO).0);
    machine.checkpoint();
    let faults = over_all_choices(&machine, || {
        machine.access(0, page(0), DataOp::Read).result.expect("reading is allowed");
        machine.set_word(table, index, Entry::new(Pfn(DATA), RW).0);
        let mut faults = 0;
        while let Err(fault) = machine.access(0, page(0), DataOp::Write(1)).result {
            assert_eq!(fault.code, 0b111, "a write by user code, denied by what was present: {fault:?}");
            faults += 1;
            assert!(faults < 9, "the denial stays for ever");
        }
        faults
    });
    assert_exactly("faults before the write", &faults, &BTreeSet::from([0, 1]));
}

/// What is not present is not cached: an entry that becomes present is seen at once.
#[test]
fn absence_is_not_cached() {
    let machine = machine_with_a_page();
    let (table, index) = machine.leaf(ROOTS[0], page(0));
    let present = machine.word(table, index);
    machine.set_word(table, index, 0);
    machine.checkpoint();
    let values = over_all_choices(&machine, || {
        let absent = machine.access(0, page(0), DataOp::Read);
        assert_eq!(absent.result.map_err(|fault| fault.code), Err(0b100), "{absent:?}");
        machine.set_word(table, index, present);
        machine.access(0, page(0), DataOp::Read).result.ok()
    });
    assert_exactly("what is read", &values, &BTreeSet::from([Some(DATA)]));
}

/// Translations of one root serve no access under another, and a MOV to CR3 and back finds none.
#[test]
fn a_root_uses_its_own_translations() {
    let machine = machine(1);
    for (root, frame) in ROOTS.into_iter().zip(DATA..) {
        let (table, index) = machine.leaf(root, page(0));
        machine.set_word(table, index, Entry::new(Pfn(frame), RW).0);
    }
    machine.checkpoint();
    over_all_choices(&machine, || {
        let cpu = machine.cpu(0);
        for (root, frame) in [(0, DATA), (1, DATA + 1), (0, DATA)] {
            alone(cpu.write_cr3(Pfn(ROOTS[root])));
            let first = machine.access(0, page(0), DataOp::Read);
            assert_eq!(first.result, Ok(frame), "under root {root}: {first:?}");
            assert!(first.walked(), "a load of CR3 leaves nothing: {first:?}");
        }
    });
}

/// INVLPG is local; a broadcast reaches every CPU, but only the root and the pages that it names.
#[test]
fn who_is_reached_by_an_invalidation() {
    let machine = machine(2);
    for number in 0..2 {
        let (table, index) = machine.leaf(ROOTS[0], page(number));
        machine.set_word(table, index, Entry::new(Pfn(DATA), RW | Entry::ACCESSED).0);
    }
    machine.checkpoint();
    // Whether some choice lets the CPU still read the old frame of a page.
    let keeps = |invalidate: &dyn Fn(&Machine)| {
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(cpu, number)| {
            let values = over_all_choices(&machine, || {
                machine.access(cpu, page(number), DataOp::Read).result.expect("it is present");
                let (table, index) = machine.leaf(ROOTS[0], page(number));
                machine.set_word(table, index, Entry::new(Pfn(DATA + 1), RW).0);
                invalidate(&machine);
                machine.access(cpu, page(number), DataOp::Read).result.expect("it is present")
            });
            values.contains(&DATA)
        })
    };
    assert_eq!(keeps(&|m| alone(m.cpu(0).invlpg(page(1)))), [true, false, true, true]);
    let broadcast = |m: &Machine, root: u64, from, to| {
        alone(m.cpu(0).broadcast_invalidate(Pfn(root), Vpn(from)..Vpn(to)));
    };
    assert_eq!(keeps(&|m| broadcast(m, ROOTS[0], 0, 1)), [false, true, false, true]);
    assert_eq!(keeps(&|m| broadcast(m, ROOTS[0], 0, 2)), [false; 4]);
    assert_eq!(keeps(&|m| broadcast(m, ROOTS[1], 0, 2)), [true; 4]);
}

/// An access that found its translation, but has not touched memory when an invalidation completes,
/// starts over.
#[test]
fn an_invalidation_is_not_overtaken_by_an_access_that_began_before() {
    let machine = machine_with_a_page();
    machine.access(0, page(0), DataOp::Read);
    // Announces the touch of the frame that is cached.
    let mut access = pin!(machine.cpu(0).access(page(0), DataOp::Read));
    step(access.as_mut());
    let (table, index) = machine.leaf(ROOTS[0], page(0));
    machine.set_word(table, index, Entry::new(Pfn(DATA + 1), RW).0);
    alone(machine.cpu(0).broadcast_invalidate(Pfn(ROOTS[0]), Vpn(0)..Vpn(1)));
    assert_eq!(alone(access), Ok(DATA + 1), "{}", lines(&machine.take_events()));
}
