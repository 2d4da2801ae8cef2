//! Acts at random, in the small world.

use proptest::bool::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use sim_mmu::{Cr0, Cr4, Entry};

use super::manual::{Act, Flush, Mode};
use super::world::{
    A, B, C, D, DIRTY, E, ENTRIES, FRAME_A, FRAME_B, GLOBAL, HUGE_FRAME, LARGE, LARGE_FRAME, OTHER_A, OTHER_PD,
    OTHER_PDPT, OTHER_PT, OTHER_ROOT, OTHER_ROOT5, PDE, PDE_C, PDPTE, PML4E, PML5E, PT_C, PTE, PTE_B, RO, ROOT,
    ROOT5,
};
use super::{OPEN, random};

/// Entries through which the root contains itself, at the top of the address space.
const SELF: (u64, u32) = (ROOT, 3);

/// Addresses: of the world's pages, one more of the same table, two that lead through the root as if it
/// were a table of each level, and one that is not canonical.
pub(crate) const ADDRESSES: [u64; 9] =
    [A, B, C, D, E, 0x2000, 0xffff_ffff_ffff_f000, 0xffff_ffff_ffff_c000, 0x1234_0000_0000_0000];

/// Mostly the first three.
fn address(among: &'static [u64]) -> impl Strategy<Value = u64> {
    let last = among.len() - 1;
    prop_oneof![20 => select(&among[..3]), 12 => select(&among[..last]), 1 => select(&among[last..])]
}

/// A place of an entry, and what could be stored there: a table, a page, nothing.
fn store() -> impl Strategy<Value = Act> {
    let places: Vec<((u64, u32), u64)> = ENTRIES.into_iter().chain([(SELF, ROOT), ((4, 2), 11)]).collect();
    let frames = vec![0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 32, 33, 40];
    let settled = OPEN | Entry::ACCESSED;
    let good = vec![OPEN, settled, DIRTY, DIRTY, GLOBAL, GLOBAL | DIRTY];
    let less =
        vec![RO, RO | DIRTY & !Entry::RW, Entry::PRESENT | Entry::RW, settled | Entry::NX, settled | 5 << 59];
    let large = vec![LARGE, LARGE | DIRTY, LARGE | GLOBAL, RO | Entry::PAGE_SIZE | Entry::ACCESSED];
    let none = vec![0, Entry::RW, OPEN | 1 << 45];
    let flags = prop_oneof![6 => select(good), 3 => select(less), 3 => select(large), 2 => select(none)];
    (select(places), select(frames), weighted(0.4), flags).prop_map(|((place, own), other, as_before, flags)| {
        let frame = if as_before { own } else { other };
        Act::store(place, frame << 12 | flags)
    })
}

/// A value for CR3: either root, and a PCID.
fn cr3(five: bool) -> impl Strategy<Value = u64> {
    let roots = if five { [ROOT5, OTHER_ROOT5] } else { [ROOT, OTHER_ROOT] };
    (select(roots.to_vec()), 0..3_u64).prop_map(|(root, pcid)| root << 12 | pcid)
}

fn cr4(five: bool) -> impl Strategy<Value = u64> {
    let flags = [(0.5, Cr4::PGE), (0.7, Cr4::PCIDE), (0.3, Cr4::SMEP), (0.3, Cr4::SMAP), (0.3, Cr4::PKE)];
    let flags = flags.map(|(how_often, flag)| weighted(how_often).prop_map(move |set| if set { flag } else { 0 }));
    let always = Cr4::PAE | if five { Cr4::LA57 } else { 0 };
    flags.prop_map(move |flags| flags.into_iter().fold(always, |all, flag| all | flag))
}

fn access(among: &'static [u64]) -> impl Strategy<Value = Act> {
    (random::access(), address(among)).prop_map(|((mode, kind), va)| Act::Access { cpu: 0, mode, kind, va })
}

/// An instruction that invalidates, or changes what translations are used.
fn instruction(five: bool, among: &'static [u64]) -> impl Strategy<Value = Act> {
    let flags = (any::<bool>(), any::<bool>(), weighted(0.3));
    let flush = ((0..6_u64, 1..3_u64), proptest::option::of(0..3_u64), flags).prop_map(
        |((from, count), pcid, (global, last_only, all))| {
            let pages = (!all).then_some((from, from + count));
            Flush { pages, pcid, global, last_only }
        },
    );
    let root = if five { ROOT5 } else { ROOT };
    prop_oneof![
        4 => address(among).prop_map(Act::invlpg),
        3 => (0..5_u64, 0..4_u64, address(among)).prop_map(|(kind, pcid, va)| Act::invpcid(kind, pcid, va)),
        4 => (cr3(five), any::<bool>()).prop_map(|(value, preserve)| Act::MovCr3 { cpu: 0, value, preserve }),
        2 => cr4(five).prop_map(Act::mov_cr4),
        1 => any::<bool>().prop_map(|wp| {
            Act::MovCr0 { cpu: 0, value: Cr0::PG | Cr0::PE | if wp { Cr0::WP } else { 0 } }
        }),
        1 => any::<u32>().prop_map(|value| Act::Wrpkru { cpu: 0, value }),
        2 => (root..root + 2, 0..5_u64, 1..17_u64)
            .prop_map(|(root, from, count)| Act::Broadcast { cpu: 0, root, from, to: from + count }),
        2 => flush.prop_map(|what| Act::Invlpgb { cpu: 0, what }),
        3 => Just(Act::Tlbsync { cpu: 0 }),
    ]
}

/// Anything that two CPUs could do.
pub(crate) fn act(five: bool) -> impl Strategy<Value = Act> {
    let all = ADDRESSES.as_slice();
    let speculate = address(all).prop_map(|va| Act::Speculate { cpu: 0, va });
    let stores = prop_oneof![store(), focused_store(five)];
    let accesses = prop_oneof![access(all), focused_access()];
    let what = prop_oneof![12 => accesses, 5 => stores, 4 => speculate, 4 => instruction(five, all)];
    (what, weighted(0.3)).prop_map(|(act, second)| act.on(u8::from(second)))
}

/// Addresses of short programs.
const FEW: &[u64] = &[A, B, A, C];

/// What a short program accesses: mostly on one CPU, and with success.
pub(crate) fn focused_access() -> impl Strategy<Value = Act> {
    let user = (random::access(), weighted(0.7)).prop_map(
        |((mode, kind), user)| {
            if user { (Mode::User, kind) } else { (mode, kind) }
        },
    );
    let access = (user, select(FEW)).prop_map(|((mode, kind), va)| Act::Access { cpu: 0, mode, kind, va });
    (access, weighted(0.15)).prop_map(|(act, second)| act.on(u8::from(second)))
}

/// What a short program stores: at each place what it could be, in full, without a right, or gone.
pub(crate) fn focused_store(five: bool) -> impl Strategy<Value = Act> {
    let places = [
        (PTE, vec![FRAME_A, 11, OTHER_A], vec![]),
        (PTE_B, vec![FRAME_B, 12], vec![]),
        // The directory in its own place: one entry is a PDE and a PTE.
        (PDE, vec![4, OTHER_PT, 3], vec![LARGE_FRAME, 12]),
        (PDE_C, vec![PT_C, OTHER_PT], vec![12]),
        (PDPTE, vec![3, OTHER_PD], vec![HUGE_FRAME]),
        (PML4E, vec![2, OTHER_PDPT], vec![]),
        (PML5E, vec![ROOT, OTHER_ROOT], vec![]),
    ];
    let here = |frames: Vec<u64>, large: u64| frames.into_iter().map(move |frame| frame << 12 | large);
    let choices = places.map(|(place, tables, pages)| {
        let all: Vec<u64> = here(tables, 0).chain(here(pages, Entry::PAGE_SIZE)).collect();
        (Just(place), select(all))
    });
    let [pte, pte_b, pde, pde_c, pdpte, pml4e, pml5e] = choices;
    let what =
        prop_oneof![3 => pte, 1 => pte_b, 4 => pde, 1 => pde_c, 3 => pdpte, 2 => pml4e, u32::from(five) => pml5e];
    let flags = vec![OPEN, OPEN, DIRTY, DIRTY, GLOBAL | DIRTY, RO, RO | Entry::ACCESSED, DIRTY | Entry::NX, 0];
    (what, select(flags)).prop_map(|((place, page), flags)| Act::store(place, page | flags))
}

/// An instruction of a short program.
pub(crate) fn focused_instruction(five: bool) -> impl Strategy<Value = Act> {
    let (flush, kernel) = (0..4_u64, 0..2_u64);
    let invpcid = (flush, kernel, select(FEW)).prop_map(|(kind, pcid, va)| Act::invpcid(kind, pcid, va));
    let act = prop_oneof![2 => instruction(five, &ADDRESSES[..4]), 1 => invpcid];
    (act, weighted(0.15)).prop_map(|(act, second)| act.on(u8::from(second)))
}
