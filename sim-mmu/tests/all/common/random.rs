//! Random registers, accesses and entries. They are mostly such that a walk goes on.

use proptest::bool::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use sim_mmu::{Access, AccessKind, Controls, Cr0, Cr4, DataOp, Efer, Entry, KeyRights, Privilege, Vendor};

use super::manual::{Kind, Mode};

/// Registers of long mode, with and without five levels.
pub(crate) fn controls() -> impl Strategy<Value = Controls> {
    let bits = (weighted(0.7), weighted(0.3), weighted(0.3), weighted(0.3), weighted(0.3), weighted(0.8));
    let kind = (any::<bool>(), any::<bool>(), 36..=52_u8);
    // A key is denied something seldom, so that most accesses get to the other rules.
    let rights = || (any::<u32>(), any::<u32>()).prop_map(|(a, b)| KeyRights(a & b));
    (bits, kind, rights(), rights()).prop_map(
        |((wp, smep, smap, pke, pks, nxe), (la57, amd, maxphyaddr), pkru, pkrs)| {
            let flags = |all: &[(bool, u64)]| all.iter().filter(|(set, _)| *set).fold(0, |f, (_, bit)| f | bit);
            Controls {
                cr0: Cr0(flags(&[(true, Cr0::PG | Cr0::PE), (wp, Cr0::WP)])),
                cr4: Cr4(flags(&[
                    (true, Cr4::PAE),
                    (la57, Cr4::LA57),
                    (smep, Cr4::SMEP),
                    (smap, Cr4::SMAP),
                    (pke, Cr4::PKE),
                    (pks, Cr4::PKS),
                ])),
                efer: Efer(flags(&[(true, Efer::LME | Efer::LMA), (nxe, Efer::NXE)])),
                pkru,
                pkrs,
                vendor: if amd { Vendor::Amd } else { Vendor::Intel },
                maxphyaddr,
            }
        },
    )
}

/// An access. What fetches is not implicit.
pub(crate) fn access() -> impl Strategy<Value = (Mode, Kind)> {
    let explicit = any::<bool>().prop_map(|ac| Mode::Explicit { ac });
    let mode = prop_oneof![3 => Just(Mode::User), 3 => explicit, 1 => Just(Mode::Implicit)];
    let kind = prop_oneof![2 => Just(Kind::Read), 2 => Just(Kind::Write), 1 => Just(Kind::Fetch)];
    (mode, kind).prop_map(|(mode, kind)| match (mode, kind) {
        (Mode::Implicit, Kind::Fetch) => (mode, Kind::Read),
        both => both,
    })
}

/// All bits of an entry but its frame. With a few of them a walk cannot go on.
pub(crate) fn flags() -> impl Strategy<Value = u64> {
    let plain = (weighted(0.96), weighted(0.8), weighted(0.85), weighted(0.15));
    let odd = (weighted(0.1), weighted(0.03), weighted(0.1), 36..52_u32);
    (any::<u64>(), plain, odd).prop_map(|(noise, (present, rw, user, large), (nx, beyond, global, bit))| {
        // A, D, bits 11:9 and 62:52: nothing that this walk must not ignore, the key aside.
        let ignored = Entry::ACCESSED | Entry::DIRTY | 0x0e00 | 0x7ff0_0000_0000_0000;
        let bits = [
            (present, Entry::PRESENT),
            (rw, Entry::RW),
            (user, Entry::USER),
            (large, Entry::PAGE_SIZE),
            (global, Entry::GLOBAL),
            (nx, Entry::NX),
            (beyond, 1 << bit),
        ];
        bits.iter().filter(|(set, _)| *set).fold(noise & ignored, |flags, (_, bit)| flags | bit)
    })
}

pub(crate) fn privilege(mode: Mode) -> Privilege {
    match mode {
        Mode::User => Privilege::User,
        Mode::Explicit { ac } => Privilege::Supervisor { ac },
        Mode::Implicit => Privilege::Implicit,
    }
}

/// As the code under test calls an access.
pub(crate) fn as_access(mode: Mode, kind: Kind) -> Access {
    let kind = match kind {
        Kind::Read => AccessKind::Read,
        Kind::Write => AccessKind::Write,
        Kind::Fetch => AccessKind::Fetch,
    };
    Access { kind, privilege: privilege(mode) }
}

/// The operation of an access; what it writes is what is there.
pub(crate) fn as_data(kind: Kind) -> DataOp {
    match kind {
        Kind::Read => DataOp::Read,
        Kind::Write => DataOp::ADD_ZERO,
        Kind::Fetch => DataOp::Fetch,
    }
}
