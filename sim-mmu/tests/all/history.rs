//! Long random histories on two CPUs: whatever a CPU has kept, no access has a result that the SDM forbids. For each CPU, the
//! reference has every translation and partial translation that a walk could have seen, for an access or on speculation. It
//! drops only what must be dropped.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::common::manual::{Act, Kind, Outcome, State};
use crate::common::programs::{ADDRESSES, act};
use crate::common::world::{amd, small, with_cr4};
use crate::common::{Accessed, Machine, cases, lines, world};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq};
use proptest::test_runner::{TestCaseResult, TestRunner};
use sim_core::source::{Random, Source};
use sim_mmu::{Cr4, Efer, Entry, Hardware, Policy};

const POLICIES: [Policy; 4] =
    [Policy::ADVERSARIAL, Policy::Adversarial { duplicates: false }, Policy::Laziest, Policy::Coherent];

#[derive(Clone, Debug)]
struct History {
    five: bool,
    amd: bool,
    tce: bool,
    seed: u64,
    acts: Vec<Act>,
}

fn history() -> impl Strategy<Value = History> {
    use proptest::prelude::Strategy as _;
    let kind = (proptest::bool::weighted(0.2), any::<bool>(), any::<bool>(), any::<u64>());
    kind.prop_flat_map(|(five, amd, tce, seed)| {
        vec(act(five), 1..60).prop_map(move |acts| History { five, amd, tce, seed, acts })
    })
}

impl History {
    fn hardware(&self, policy: Policy) -> Hardware {
        let mut hardware = if self.five { with_cr4(Cr4::LA57) } else { small() };
        if self.amd {
            hardware = amd(hardware);
        }
        if self.tce {
            hardware.controls.efer.0 |= Efer::TCE;
        }
        hardware.policy = policy;
        hardware
    }
}

/// All that every CPU's speculation could find now is remembered.
fn remember(state: &mut State) {
    for cpu in 0..2 {
        for va in ADDRESSES {
            state.speculate(cpu, va);
        }
    }
}

/// An access sets A, and a write that completes D; it clears nothing.
fn check_flags(before: &[u64], after: &[u64], kind: Kind, accessed: &Accessed) -> TestCaseResult {
    let completed_write = kind == Kind::Write && accessed.result.is_ok();
    let settable = Entry::ACCESSED | if completed_write { Entry::DIRTY } else { 0 };
    for (slot, (before, after)) in before.iter().zip(after).enumerate() {
        let (set, cleared) = (after & !before, before & !after);
        prop_assert!(
            set & !settable == 0 && cleared == 0,
            "word {slot} was {before:#x} and is {after:#x}: {accessed:?}"
        );
    }
    Ok(())
}

fn count(ends: &Ends, fresh: &BTreeSet<Outcome>, outcome: Outcome) {
    let stale = if fresh.contains(&outcome) { "" } else { "stale " };
    let end = match outcome {
        Outcome::At(_) => "pa",
        Outcome::Fault(_) => "pf",
        Outcome::Protection => "gp",
    };
    *ends.borrow_mut().entry(format!("{stale}{end}")).or_default() += 1;
}

fn check(history: &History, policy: Policy, ends: &Ends) -> TestCaseResult {
    let machine: Machine = world::world(2, history.hardware(policy));
    machine.mmu.core.set_source(Source::Random(Random::new(history.seed)));
    let mut state = machine.state();
    for (n, act) in history.acts.iter().enumerate() {
        remember(&mut state);
        let so_far = || lines(&history.acts[..=n]);
        match *act {
            Act::Access { cpu, mode, kind, va } => {
                let outcomes = |state: &State| -> BTreeSet<Outcome> {
                    state.branches(cpu, mode, kind, va).iter().map(|branch| branch.outcome).collect()
                };
                let mut fresh = state.clone();
                fresh.forget();
                let fresh = outcomes(&fresh);
                let allowed = if policy == Policy::Coherent { fresh.clone() } else { outcomes(&state) };
                let accessed = machine.access_for(cpu, mode, kind, va);
                let outcome = accessed.outcome();
                count(ends, &fresh, outcome);
                prop_assert!(
                    allowed.contains(&outcome),
                    "{:?} under {:?}, allowed {:?}, by {:?}\n after{}",
                    outcome,
                    policy,
                    allowed,
                    accessed,
                    so_far()
                );
                let after = machine.memory();
                check_flags(&state.memory, &after, kind, &accessed)?;
                state.memory = after;
                if let Outcome::Fault(_) = outcome {
                    state.faulted(cpu, va);
                }
            }
            Act::Speculate { .. } => {
                machine.apply(act);
                state.memory = machine.memory();
            }
            _ => prop_assert_eq!(machine.apply(act), state.apply(act), "is it carried out? {}", so_far()),
        }
    }
    Ok(())
}

/// How often accesses had each result.
type Ends = RefCell<BTreeMap<String, u32>>;

#[test]
fn no_access_comes_to_what_an_invalidation_ruled_out() {
    const CASES: u32 = 6000;
    let ends = Ends::default();
    let every_policy =
        |history: History| POLICIES.into_iter().try_for_each(|policy| check(&history, policy, &ends));
    if let Err(failure) = TestRunner::new(cases(CASES)).run(&history(), every_policy) {
        panic!("{failure}");
    }
    let ends = ends.into_inner();
    for (what, at_least) in [("stale pa", CASES), ("stale pf", CASES / 10), ("pa", CASES), ("pf", CASES)] {
        assert!(ends[what] > at_least, "the histories are too tame: {ends:?}");
    }
}
