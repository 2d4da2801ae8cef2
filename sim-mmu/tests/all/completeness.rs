//! Short random programs without speculation, over all choices. The adversarial caches reach exactly what the reference
//! allows: every outcome of every access, and every word that is left in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::common::manual::{Act, Outcome, State};
use crate::common::programs::{focused_access, focused_instruction, focused_store};
use crate::common::world::{amd, with_cr4};
use crate::common::{assert_exactly, cases, lines, over_all_choices, world};
use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::TestRunner;
use sim_mmu::{Cr4, Efer, Hardware};

/// What a run comes to: its accesses, and memory.
type End = (Vec<Outcome>, Vec<u64>);

/// Everything that the reference allows. Every access takes every way that it may take.
fn allowed(state: State, acts: &[Act]) -> BTreeSet<End> {
    let mut states = BTreeSet::from([(state, Vec::new())]);
    for act in acts {
        let mut next = BTreeSet::new();
        for (mut state, mut outcomes) in states {
            match *act {
                Act::Access { cpu, mode, kind, va } => {
                    for branch in state.branches(cpu, mode, kind, va) {
                        let (mut state, mut outcomes) = (state.clone(), outcomes.clone());
                        state.take(cpu, va, &branch);
                        outcomes.push(branch.outcome);
                        next.insert((state, outcomes));
                    }
                }
                _ => {
                    let carried_out = state.apply(act);
                    outcomes.extend((!carried_out).then_some(Outcome::Protection));
                    next.insert((state, outcomes));
                }
            }
        }
        states = next;
    }
    states.into_iter().map(|(state, outcomes)| (outcomes, state.memory)).collect()
}

/// Programs in which stores come after accesses that had something to cache.
fn program(five: bool) -> impl Strategy<Value = Vec<Act>> {
    let warm = vec(focused_access(), 1..4);
    let change =
        vec(prop_oneof![3 => focused_store(five), 1 => focused_access(), 1 => focused_instruction(five)], 1..4);
    let after =
        vec(prop_oneof![3 => focused_access(), 1 => focused_instruction(five), 1 => focused_store(five)], 1..5);
    (warm, change, after).prop_map(|(warm, change, after)| [warm, change, after].concat())
}

fn check(hardware: Hardware, acts: &[Act]) -> usize {
    let machine = world::world(2, hardware);
    let run = || {
        let mut outcomes = Vec::new();
        for act in acts {
            match act {
                Act::Access { .. } => outcomes.extend(machine.perform(act)),
                _ => outcomes.extend((!machine.apply(act)).then_some(Outcome::Protection)),
            }
        }
        (outcomes, machine.memory())
    };
    let allowed = allowed(machine.state(), acts);
    assert_exactly(&lines(acts), &over_all_choices(&machine, run), &allowed);
    allowed.len()
}

fn kind() -> impl Strategy<Value = Hardware> {
    let levels = weighted(0.2).prop_map(|five| if five { Cr4::LA57 } else { 0 });
    let pcids = weighted(0.4).prop_map(|pcids| if pcids { Cr4::PCIDE | Cr4::PGE } else { 0 });
    (any::<bool>(), any::<bool>(), levels, pcids).prop_map(|(vendor, tce, levels, pcids)| {
        let mut hardware = with_cr4(levels | pcids);
        if vendor {
            hardware = amd(hardware);
        }
        if tce {
            hardware.controls.efer.0 |= Efer::TCE;
        }
        hardware
    })
}

#[test]
fn every_outcome_that_may_be_is_reached_by_some_choice() {
    const CASES: u32 = 40_000;
    let programs = kind().prop_flat_map(|hardware| {
        let five = hardware.controls.cr4.has(Cr4::LA57);
        (Just(hardware), program(five))
    });
    // How many programs have how many ends.
    let ends = RefCell::new(BTreeMap::<usize, u32>::new());
    let result = TestRunner::new(cases(CASES)).run(&programs, |(hardware, acts)| {
        *ends.borrow_mut().entry(check(hardware, &acts)).or_default() += 1;
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let ends = ends.into_inner();
    let many: u32 = ends.range(4..).map(|(_, programs)| programs).sum();
    assert!(many > CASES / 10, "few programs have more than three ends: {ends:?}");
}
