//! Access rights, and the error code of an access that is denied. Every bit on which the verdict depends is tried in every
//! combination, and compared with tables that are written from the SDM.

use std::collections::BTreeMap;

use crate::common::OPEN;
use crate::common::manual::{self, Asked, Kind, Mode, Obstacle, Outcome, Registers};
use sim_mmu::{
    Access, AccessKind, Controls, Cr0, Cr3, Cr4, Efer, Entry, Fault, KeyRights, Level, Pfn, Privilege, Rights,
    TableMemory, VirtAddr, translate,
};

const MODES: [(Mode, Privilege); 4] = [
    (Mode::User, Privilege::User),
    (Mode::Explicit { ac: false }, Privilege::Supervisor { ac: false }),
    (Mode::Explicit { ac: true }, Privilege::Supervisor { ac: true }),
    (Mode::Implicit, Privilege::Implicit),
];
const KINDS: [(Kind, AccessKind); 3] =
    [(Kind::Read, AccessKind::Read), (Kind::Write, AccessKind::Write), (Kind::Fetch, AccessKind::Fetch)];

/// Every access that there is: an implicit one is to a system structure, and fetches nothing.
fn accesses() -> impl Iterator<Item = (Mode, Kind, Access)> {
    let pairs = MODES.into_iter().flat_map(|mode| KINDS.map(|kind| (mode, kind)));
    pairs
        .filter(|((mode, _), (kind, _))| (*mode, *kind) != (Mode::Implicit, Kind::Fetch))
        .map(|((mode, privilege), (kind, access))| (mode, kind, Access { kind: access, privilege }))
}

/// Every setting of the registers that govern rights. A register has for one key the opposite of what it has for all others.
fn settings(key: u32) -> impl Iterator<Item = Controls> {
    (0_u64..1 << 10).map(move |bits| {
        let bit = |n: u32, flag: u64| if bits >> n & 1 == 1 { flag } else { 0 };
        let rights = |from: u32| {
            let of_key = (bits >> from & 3) as u32;
            let of_others = 0x5555_5555 * (of_key ^ 3);
            KeyRights(of_others & !(3 << (2 * key)) | of_key << (2 * key))
        };
        Controls {
            cr0: Cr0(Cr0::PG | Cr0::PE | bit(0, Cr0::WP)),
            cr4: Cr4(Cr4::PAE | bit(1, Cr4::SMEP) | bit(2, Cr4::SMAP) | bit(3, Cr4::PKE) | bit(4, Cr4::PKS)),
            efer: Efer(Efer::LME | Efer::LMA | bit(5, Efer::NXE)),
            pkru: rights(6),
            pkrs: rights(8),
            ..Controls::default()
        }
    })
}

fn pages(key: u32) -> impl Iterator<Item = Rights> {
    (0..8).map(move |bits| Rights {
        write: bits & 1 != 0,
        user: bits & 2 != 0,
        fetch: bits & 4 != 0,
        key: key as u8,
    })
}

fn asked(mode: Mode, kind: Kind, page: Rights) -> Asked {
    Asked { mode, kind, user_page: page.user, rw: page.write, xd: !page.fetch, key: u32::from(page.key) }
}

#[test]
fn the_tables_say_one_thing_of_every_access() {
    for controls in settings(3) {
        let registers = Registers::new(&controls, 0, [9; 5]);
        for (mode, kind, _) in accesses() {
            for page in pages(3) {
                let asked = asked(mode, kind, page);
                assert_eq!(manual::rows(&registers, &asked), (1, 1), "{asked:?} under {controls:?}");
            }
        }
    }
}

#[test]
fn an_access_is_permitted_as_the_tables_say() {
    for key in 0..16 {
        for controls in settings(key) {
            let registers = Registers::new(&controls, 0, [9; 5]);
            for (mode, kind, access) in accesses() {
                for page in pages(key) {
                    let told = page.permit(&controls, access);
                    let asked = asked(mode, kind, page);
                    assert_eq!(told, manual::may(&registers, &asked), "{asked:?} under {controls:?}");
                }
            }
        }
    }
}

#[test]
fn rights_are_the_and_of_all_levels_and_the_key_is_the_leafs() {
    let entries = (0..16).map(|bits| {
        let bit = |n: u32, flag: u64| if bits >> n & 1 == 1 { flag } else { 0 };
        Entry(1 | bit(0, 1 << 1) | bit(1, 1 << 2) | bit(2, 1 << 63) | bit(3, 0xb << 59))
    });
    for (upper, leaf) in entries.clone().flat_map(|upper| entries.clone().map(move |leaf| (upper, leaf))) {
        let both = |bit: u32| upper.0 >> bit & leaf.0 >> bit & 1 == 1;
        let key = if leaf.0 >> 59 & 0xf == 0 { 0 } else { 0xb };
        let expected =
            Rights { write: both(1), user: both(2), fetch: upper.0 >> 63 == 0 && leaf.0 >> 63 == 0, key };
        assert_eq!(Rights::ALL.through(upper).key, 0, "the way to a table has no key");
        assert_eq!(Rights::ALL.through(upper).at_leaf(leaf), expected, "{upper:?} and {leaf:?}");
    }
}

/// Four tables in frames 1 to 4, each of which has this one entry.
struct Tables {
    leaf: u64,
    marked: Vec<(Level, u64)>,
}

impl TableMemory for Tables {
    fn read(&mut self, level: Level, table: Pfn, _: u32) -> Entry {
        assert_eq!(table.0, 5 - level as u64, "the walk is in a table of another level");
        if level == Level::Pte { Entry(self.leaf) } else { Entry::new(Pfn(table.0 + 1), OPEN) }
    }
    fn mark(&mut self, level: Level, _: Pfn, _: u32, flags: u64) {
        self.marked.push((level, flags));
        if level == Level::Pte {
            self.leaf |= flags;
        }
    }
}

/// Each access to a page with each leaf, with the registers in each setting.
fn check_codes(
    key: u32,
    leaf: impl Fn(Rights) -> u64,
    obstacle: impl Fn(Asked) -> Obstacle,
) -> BTreeMap<u32, u64> {
    const VA: VirtAddr = VirtAddr(0x1234_5678);
    let mut seen = BTreeMap::new();
    for controls in settings(key) {
        let registers = Registers::new(&controls, 0, [9; 5]);
        for (mode, kind, access) in accesses() {
            for page in pages(key).filter(|page| page.fetch || registers.nxe()) {
                let asked = asked(mode, kind, page);
                let mut tables = Marking { inner: Tables { leaf: leaf(page), marked: Vec::new() } };
                let before = tables.inner.leaf;
                let told = translate(&controls, Cr3::of(Pfn(1)), VA, access, &mut tables);
                let obstacle = obstacle(asked);
                let denied = !matches!(obstacle, Obstacle::Rights(_)) || !manual::may(&registers, &asked);
                let expected = if denied {
                    manual::code(&registers, mode, kind, &obstacle).map(Outcome::Fault)
                } else {
                    [Outcome::At(0x7_7678); 2]
                };
                let told = match told {
                    Ok(pa) => Outcome::At(pa.0),
                    Err(Fault::Page(fault)) => {
                        assert_eq!(fault.va, VA, "CR2 is the address");
                        assert_eq!(tables.inner.leaf, before, "the leaf of an access that faults changes");
                        *seen.entry(fault.code).or_default() += 1;
                        Outcome::Fault(fault.code)
                    }
                    Err(Fault::GeneralProtection) => Outcome::Protection,
                };
                assert!(expected.contains(&told), "{told:?}, not {expected:?}: {asked:?} under {controls:?}");
            }
        }
    }
    seen
}

/// Tables whose upper entries have A from the start of each look.
struct Marking {
    inner: Tables,
}

impl TableMemory for Marking {
    fn read(&mut self, level: Level, table: Pfn, index: u32) -> Entry {
        let entry = self.inner.read(level, table, index);
        if level == Level::Pte { entry } else { entry.with(Entry::ACCESSED) }
    }
    fn mark(&mut self, level: Level, table: Pfn, index: u32, flags: u64) {
        self.inner.mark(level, table, index, flags);
    }
}

fn leaf(page: Rights) -> u64 {
    let bit = |set: bool, n: u32| if set { 1_u64 << n } else { 0 };
    0x7_7000 | 1 | bit(page.write, 1) | bit(page.user, 2) | bit(!page.fetch, 63) | u64::from(page.key) << 59
}

#[test]
fn the_error_code_of_what_is_denied_tells_the_access_and_the_key() {
    let mut seen = BTreeMap::new();
    for key in [0, 1, 7, 15] {
        seen.extend(check_codes(key, leaf, Obstacle::Rights));
    }
    // P in all; W, U and PK in every combination that there is, and I alone or with U.
    let expected = [0x01, 0x03, 0x05, 0x07, 0x11, 0x15, 0x21, 0x23, 0x25, 0x27];
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), expected, "the codes seen, with how often: {seen:?}");
}

#[test]
fn the_error_code_of_what_is_not_present_tells_the_access_alone() {
    let seen = check_codes(5, |page| leaf(page) & !1, |_| Obstacle::NotPresent);
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [0x00, 0x02, 0x04, 0x06, 0x10, 0x14]);
}

#[test]
fn the_error_code_of_a_reserved_bit_has_no_key() {
    let seen = check_codes(5, |page| leaf(page) | 1 << 40, |_| Obstacle::Reserved);
    // With neither SMEP nor NXE a fetch looks like a read.
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [0x09, 0x0b, 0x0d, 0x0f, 0x19, 0x1d]);
}
