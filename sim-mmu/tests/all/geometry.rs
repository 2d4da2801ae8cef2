//! The shape of the paging structures: indices, spans and borders are compared with plain arithmetic on page numbers. The
//! tests use every number of entries that a machine can have, and levels of different sizes.

use sim_mmu::{Geometry, Level, VirtAddr};

const PAGE: u64 = VirtAddr::PAGE_SIZE;

/// Where walks begin, and how many levels they have.
const ROOTS: [(Level, u32); 2] = [(Level::P4d, 4), (Level::Pgd, 5)];

/// Entries of a table at each level, that of PTEs first; a fifth level is as large as the fourth.
type Entries = [u64; 5];

fn geometries() -> impl Iterator<Item = (Entries, Geometry)> {
    let uniform = (1..=9).map(|bits| [1_u32 << bits; 4]);
    let mixed = [[2, 8, 8, 8], [2, 4, 8, 16], [16, 8, 4, 2], [512, 2, 2, 4], [2, 512, 4, 2]];
    uniform.chain(mixed).map(|entries| {
        let [pte, pmd, pud, p4d] = entries.map(u64::from);
        ([pte, pmd, pud, p4d, p4d], Geometry::of_levels(entries).expect("powers of two from 2 to 512"))
    })
}

/// The product of the entries at the lowest `levels` levels.
fn product(entries: Entries, levels: u32) -> u128 {
    entries[..levels as usize].iter().map(|entries| u128::from(*entries)).product()
}

/// Pages that one entry of a level covers: as many tables below as a table has entries, level by level.
fn pages(entries: Entries, level: Level) -> u64 {
    u64::try_from(product(entries, level as u32 - 1)).expect("36 bits at most")
}

/// Addresses around everything that could be a border.
fn borders(entries: Entries, geometry: Geometry) -> Vec<u64> {
    let mut borders = vec![0, geometry.task_size().0];
    for level in Level::WALK_LA57 {
        let (span, entries) = (pages(entries, level) * PAGE, entries[level as usize - 1]);
        borders.extend([span, span * (entries / 2), span * (entries - 1), span * entries - span]);
    }
    let near = borders.iter().flat_map(|at| [at.wrapping_sub(PAGE), at.wrapping_sub(1), *at, at + 1, at + PAGE]);
    let half = 1 << (geometry.address_bits_from(Level::Pgd) - 1);
    let mut addresses: Vec<u64> = near.filter(|at| *at < half).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[test]
fn only_powers_of_two_from_2_to_512_are_tables() {
    let accepted: Vec<u32> = (0..=1030).filter(|entries| Geometry::new(*entries).is_some()).collect();
    assert_eq!(accepted, [2, 4, 8, 16, 32, 64, 128, 256, 512]);
    assert_eq!(Geometry::default().uniform(), Some(512));
    assert_eq!(Geometry::of_levels([2, 8, 3, 8]), None);
    let mixed = Geometry::of_levels([2, 8, 8, 4]).expect("powers of two");
    assert_eq!((mixed.uniform(), mixed.most_entries()), (None, 8));
    assert_eq!(mixed.to_string(), "pte 2, pmd 8, pud 8, p4d 4");
}

#[test]
fn spans_and_address_bits() {
    for (entries, geometry) in geometries() {
        for level in Level::WALK_LA57 {
            assert_eq!(geometry.span(level), pages(entries, level) * PAGE, "{geometry} entries, {level:?}");
            assert_eq!(1 << geometry.shift(level), geometry.span(level), "{geometry} entries, {level:?}");
            assert_eq!(1 << geometry.order(level), pages(entries, level), "{geometry} entries, {level:?}");
        }
        for (root, levels) in ROOTS {
            let all = product(entries, levels) * u128::from(PAGE);
            assert_eq!(1_u128 << geometry.address_bits_from(root), all, "{geometry} entries, {levels} levels");
        }
        assert_eq!(geometry.address_bits(), geometry.address_bits_from(Level::P4d), "{geometry} entries");
    }
    assert_eq!(ROOTS.map(|(root, _)| Geometry::default().address_bits_from(root)), [48, 57]);
}

#[test]
fn indices_are_the_digits_of_the_page_number() {
    for (entries, geometry) in geometries() {
        for va in borders(entries, geometry) {
            let mut page = va / PAGE;
            for level in Level::WALK_LA57.into_iter().rev() {
                let index = u64::from(geometry.index(VirtAddr(va), level));
                let of_level = entries[level as usize - 1];
                assert_eq!(index, page % of_level, "{geometry} entries, {va:#x}, {level:?}");
                page /= of_level;
            }
        }
    }
}

#[test]
fn user_space_is_the_lower_half_less_a_page() {
    for (entries, geometry) in geometries() {
        let half = product(entries, 4) / 2;
        assert_eq!(u128::from(geometry.task_size().0), (half - 1) * u128::from(PAGE), "{geometry} entries");
    }
    assert_eq!(Geometry::default().task_size(), VirtAddr(0x7fff_ffff_f000));
}

#[test]
fn canonical_addresses_are_the_two_halves() {
    for ((entries, geometry), (root, levels)) in geometries().flat_map(|g| ROOTS.map(|root| (g, root))) {
        let half = u64::try_from(product(entries, levels) / 2 * u128::from(PAGE)).expect("56 bits at most");
        for (va, canonical) in [
            (0, true),
            (half - 1, true),
            (half, false),
            (2 * half, false),
            (1 << 63, false),
            (half.wrapping_neg() - 1, false),
            (half.wrapping_neg(), true),
            (u64::MAX, true),
        ] {
            let told = geometry.is_canonical(VirtAddr(va), root);
            assert_eq!(told, canonical, "{geometry} entries, {levels} levels, {va:#x}");
        }
    }
}

#[test]
fn a_span_ends_at_its_border_or_where_the_range_ends() {
    for (entries, geometry) in geometries() {
        let addresses = borders(entries, geometry);
        for level in Level::WALK_LA57 {
            let span = pages(entries, level) * PAGE;
            for (n, addr) in addresses.iter().enumerate() {
                for end in &addresses[n + 1..] {
                    let expected = ((addr / span + 1) * span).min(*end);
                    let actual = geometry.addr_end(level, VirtAddr(*addr), VirtAddr(*end));
                    assert_eq!(actual, VirtAddr(expected), "{geometry} entries, {level:?}, {addr:#x} to {end:#x}");
                }
            }
        }
    }
}

/// A range that ends with the address space has the end zero, which is higher than every border.
#[test]
fn a_range_up_to_the_top_of_the_register_ends_at_borders_too() {
    let geometry = Geometry::default();
    let (start, border) = (VirtAddr(0xffff_8000_0000_1000), VirtAddr(0xffff_8000_0020_0000));
    assert_eq!(geometry.addr_end(Level::Pmd, start, VirtAddr(0)), border);
}
