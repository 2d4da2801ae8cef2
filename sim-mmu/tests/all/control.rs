//! The values that control registers accept (SDM 2.5, 4.1, 4.10.1), and the operands that INVPCID accepts (SDM 2). An
//! instruction that is refused changes nothing.

use crate::common::manual::Act;
use crate::common::world::{
    A, FRAME_A, OTHER_ROOT, PTE, ROOT, at, ends_with, entry, small, with_cr4, with_pcids, world,
};
use crate::common::{Machine, OPEN};
use sim_mmu::{Controls, Cr0, Cr3, Cr4, Efer, Invpcid, Level, Pcid, Pfn, Refused, VirtAddr};

const ON: u64 = Cr0::PG | Cr0::PE | Cr0::WP;

/// The instruction is refused. Neither the registers nor the caches change.
#[track_caller]
fn refuses(machine: &Machine, before: &[Act], act: Act) {
    machine.rewind();
    before.iter().for_each(|act| assert!(machine.apply(act), "{act:?}"));
    let registers = || (machine.cpu(0).controls(), machine.cpu(0).cr3());
    let as_they_were = registers();
    assert!(!machine.apply(&act), "{act:?} is carried out");
    assert_eq!(registers(), as_they_were, "{act:?} is refused, and changes registers");
    // What was cached is there still.
    let remap = Act::store(PTE, entry(11, OPEN));
    let (first, then) = machine_reads(machine, before, remap, act);
    assert!(first && then, "{act:?} is refused, and invalidates");
}

/// Whether some run reads what was cached before a change, and some run what is there now.
fn machine_reads(machine: &Machine, before: &[Act], remap: Act, act: Act) -> (bool, bool) {
    let ends = crate::common::over_all_choices(machine, || {
        before.iter().for_each(|act| assert!(machine.apply(act), "{act:?}"));
        machine.perform(&Act::read(A));
        machine.apply(&remap);
        machine.apply(&act);
        machine.perform(&Act::read(A))
    });
    (ends.contains_key(&Some(at(FRAME_A))), ends.contains_key(&Some(at(11))))
}

#[test]
fn pcids_are_turned_on_only_under_pcid_0() {
    let machine = world(1, small());
    let turn_on = Act::mov_cr4(Cr4::PAE | Cr4::PCIDE);
    for low in [1, 8, 0x10, 0x800, 0xfff] {
        // Without PCIDs these bits of CR3 are cache controls, or ignored.
        refuses(&machine, &[Act::mov_cr3(ROOT << 12 | low)], turn_on);
    }
    ends_with(&machine, &[Act::mov_cr3(ROOT << 12), turn_on, Act::read(A)], &[at(FRAME_A)]);
    // They stay on whatever CR3 says.
    let stay =
        [turn_on, Act::mov_cr3(ROOT << 12 | 5), Act::mov_cr4(Cr4::PAE | Cr4::PCIDE | Cr4::PGE), Act::read(A)];
    ends_with(&machine, &stay, &[at(FRAME_A)]);
    let not_long = Controls { efer: Efer(0), ..Controls::default() };
    assert_eq!(not_long.load_cr4(Cr4(Cr4::PAE | Cr4::PCIDE), Cr3(0)), Err(Refused), "outside long mode");
}

#[test]
fn long_mode_keeps_pae_and_the_number_of_levels() {
    let four = world(1, small());
    let five = world(1, with_cr4(Cr4::LA57));
    for machine in [&four, &five] {
        let now = machine.cpu(0).controls().cr4.0;
        refuses(machine, &[], Act::mov_cr4(now & !Cr4::PAE));
        refuses(machine, &[], Act::mov_cr4(now ^ Cr4::LA57));
        refuses(machine, &[], Act::mov_cr4(now | 1 << 32));
    }
}

#[test]
fn paging_needs_protection_and_outlives_no_pcids() {
    let mov = |value| Act::MovCr0 { cpu: 0, value };
    refuses(&world(1, small()), &[], mov(ON & !Cr0::PE));
    refuses(&world(1, small()), &[], mov(ON | 1 << 32));
    refuses(&world(1, with_pcids()), &[], mov(ON & !Cr0::PG));
    let machine = world(1, small());
    assert!(machine.apply(&mov(ON & !Cr0::PG)), "without PCIDs paging can be turned off");
    // Then a linear address is a physical one.
    machine.set_word(2, 1, 77);
    let read = machine.run(0, machine.cpu(0).access(VirtAddr(0x2008), sim_mmu::DataOp::Read));
    assert_eq!(read, Ok(77));
}

#[test]
fn long_mode_ends_with_paging_and_begins_with_it() {
    let boot = Controls::default();
    let off = boot.load_cr0(Cr0(ON & !Cr0::PG)).expect("there are no PCIDs");
    assert!(!off.efer.has(Efer::LMA) && off.efer.has(Efer::LME), "{off:?}");
    assert_eq!(off.load_cr4(Cr4(Cr4::PAE | Cr4::PCIDE), Cr3(0)), Err(Refused), "PCIDs outside long mode");
    // Outside long mode the number of levels may change, and so may PAE. Long mode cannot be entered without PAE.
    let five = off.load_cr4(Cr4(Cr4::PAE | Cr4::LA57), Cr3(0)).expect("the levels may change");
    let on = five.load_cr0(Cr0(ON)).expect("PAE is set");
    assert!(on.efer.has(Efer::LMA) && on.root_level() == Level::Pgd, "{on:?}");
    let without_pae = off.load_cr4(Cr4(0), Cr3(0)).expect("PAE may be cleared");
    assert_eq!(without_pae.load_cr0(Cr0(ON)), Err(Refused));
}

#[test]
fn cr3_has_no_bits_from_maxphyaddr_on() {
    for maxphyaddr in [36, 40, 51, 52] {
        let mut hardware = with_pcids();
        hardware.controls.maxphyaddr = maxphyaddr;
        let machine = world(1, hardware);
        for bit in u32::from(maxphyaddr)..63 {
            refuses(&machine, &[], Act::mov_cr3(1 << bit));
            refuses(&machine, &[], Act::mov_cr3_keeping(1 << bit));
        }
        let highest = 1 << (maxphyaddr - 1);
        assert!(machine.apply(&Act::mov_cr3(highest)), "bit {} is part of the address", maxphyaddr - 1);
        assert_eq!(machine.cpu(0).cr3().root(), Pfn(highest >> 12));
    }
}

#[test]
fn only_with_pcids_a_load_of_cr3_can_preserve() {
    refuses(&world(1, small()), &[], Act::mov_cr3_keeping(ROOT << 12));
    let machine = world(1, with_pcids());
    assert!(machine.apply(&Act::mov_cr3_keeping(OTHER_ROOT << 12 | 7)));
    // Bit 63 is an order, not a part of the register.
    assert_eq!(machine.cpu(0).cr3(), Cr3(OTHER_ROOT << 12 | 7));
}

#[test]
fn cr3_is_a_root_and_a_pcid() {
    let cr3 = Cr3(0x000f_edcb_a987_6abc);
    assert_eq!((cr3.root(), cr3.pcid()), (Pfn(0xfe_dcba_9876), Pcid(0xabc)));
    let off = Controls::default();
    let on = Controls { cr4: Cr4(Cr4::PAE | Cr4::PCIDE), ..off };
    assert_eq!((off.pcid(cr3), on.pcid(cr3)), (Pcid(0), Pcid(0xabc)), "without PCIDs all is of PCID 0");
}

#[test]
fn invpcid_refuses_bad_types_pcids_and_addresses() {
    const ODD: u64 = 0x1234_0000_0000_0000;
    for (with, machine) in [(false, world(1, with_cr4(Cr4::PGE))), (true, world(1, with_pcids()))] {
        for kind in [0, 1, 2, 3, 4, 7, 1 << 32, u64::MAX] {
            for pcid in [0, 1, 0xfff, 0x1000, 1 << 63, u64::MAX] {
                for va in [A, ODD] {
                    let bad_type = kind > 3;
                    let bad_descriptor = pcid >> 12 != 0;
                    let bad_pcid = kind <= 1 && pcid != 0 && !with;
                    let bad_address = kind == 0 && va == ODD;
                    let act = Act::invpcid(kind, pcid, va);
                    if bad_type || bad_descriptor || bad_pcid || bad_address {
                        refuses(&machine, &[], act);
                    } else {
                        machine.rewind();
                        assert!(machine.apply(&act), "{act:?} is refused; PCIDs are on: {with}");
                    }
                }
            }
        }
    }
    assert_eq!(Invpcid::decode(0, [5, 6]), Ok(Invpcid::Address(Pcid(5), VirtAddr(6))));
    assert_eq!(Invpcid::decode(1, [5, 6]), Ok(Invpcid::Context(Pcid(5))));
    assert_eq!(Invpcid::decode(2, [5, 6]), Ok(Invpcid::All));
    assert_eq!(Invpcid::decode(3, [5, 6]), Ok(Invpcid::AllNonGlobal));
}
