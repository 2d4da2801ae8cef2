//! Memory order: exactly the outcomes that sequential consistency and x86-TSO allow, in all
//! interleavings of the classic litmus tests and of random programs.

use crate::common::reference::Instr::{self, Add, Drain, Load, Lock, Store, Swap, Walk};
use crate::common::reference::{Reference, cases, instr, memory_model};
use crate::common::{Machine, W, WORDS, X, Y, Z};
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_assert_eq, prop_oneof, proptest};
use sim_core::{MemoryModel, Shared};

/// A litmus test. An outcome is what the CPUs read, CPU by CPU, then the words named in `finals`.
struct Litmus {
    name: &'static str,
    cpus: &'static [&'static [Instr]],
    finals: &'static [Shared<u64>],
    /// All outcomes under sequential consistency.
    sc: &'static [&'static [u64]],
    /// The outcomes that TSO adds.
    tso: &'static [&'static [u64]],
}

const LITMUS: &[Litmus] = &[
    Litmus {
        name: "SB",
        cpus: &[&[Store(X, 1), Load(Y)], &[Store(Y, 1), Load(X)]],
        finals: &[],
        sc: &[&[0, 1], &[1, 0], &[1, 1]],
        tso: &[&[0, 0]],
    },
    Litmus {
        name: "MP",
        cpus: &[&[Store(X, 1), Store(Y, 1)], &[Load(Y), Load(X)]],
        finals: &[],
        sc: &[&[0, 0], &[0, 1], &[1, 1]],
        tso: &[],
    },
    Litmus {
        name: "LB",
        cpus: &[&[Load(X), Store(Y, 1)], &[Load(Y), Store(X, 1)]],
        finals: &[],
        sc: &[&[0, 0], &[0, 1], &[1, 0]],
        tso: &[],
    },
    Litmus {
        name: "R",
        cpus: &[&[Store(X, 1), Store(Y, 1)], &[Store(Y, 2), Load(X)]],
        finals: &[Y],
        sc: &[&[0, 1], &[1, 1], &[1, 2]],
        tso: &[&[0, 2]],
    },
    Litmus {
        name: "S",
        cpus: &[&[Store(X, 2), Store(Y, 1)], &[Load(Y), Store(X, 1)]],
        finals: &[X],
        sc: &[&[0, 1], &[0, 2], &[1, 1]],
        tso: &[],
    },
    Litmus {
        name: "2+2W",
        cpus: &[&[Store(X, 1), Store(Y, 2)], &[Store(Y, 1), Store(X, 2)]],
        finals: &[X, Y],
        sc: &[&[1, 2], &[2, 1], &[2, 2]],
        tso: &[],
    },
    Litmus {
        name: "CoRR",
        cpus: &[&[Store(X, 1)], &[Load(X), Load(X)]],
        finals: &[],
        sc: &[&[0, 0], &[0, 1], &[1, 1]],
        tso: &[],
    },
    Litmus {
        name: "WRC",
        cpus: &[&[Store(X, 1)], &[Load(X), Store(Y, 1)], &[Load(Y), Load(X)]],
        finals: &[],
        sc: &[&[0, 0, 0], &[0, 0, 1], &[0, 1, 0], &[0, 1, 1], &[1, 0, 0], &[1, 0, 1], &[1, 1, 1]],
        tso: &[],
    },
    Litmus {
        name: "SB with a locked operation on both sides",
        cpus: &[&[Store(X, 1), Add(Z, 1), Load(Y)], &[Store(Y, 1), Add(W, 1), Load(X)]],
        finals: &[],
        sc: &[&[0, 0, 0, 1], &[0, 1, 0, 0], &[0, 1, 0, 1]],
        tso: &[],
    },
    Litmus {
        name: "SB with locked operations for stores",
        cpus: &[&[Add(X, 1), Load(Y)], &[Add(Y, 1), Load(X)]],
        finals: &[],
        sc: &[&[0, 0, 0, 1], &[0, 1, 0, 0], &[0, 1, 0, 1]],
        tso: &[],
    },
    Litmus {
        name: "SB with a locked operation on one side",
        cpus: &[&[Store(X, 1), Add(Z, 1), Load(Y)], &[Store(Y, 1), Load(X)]],
        finals: &[],
        sc: &[&[0, 0, 1], &[0, 1, 0], &[0, 1, 1]],
        tso: &[&[0, 0, 0]],
    },
    Litmus {
        name: "SB with a drain on both sides",
        cpus: &[&[Store(X, 1), Drain, Load(Y)], &[Store(Y, 1), Drain, Load(X)]],
        finals: &[],
        sc: &[&[0, 1], &[1, 0], &[1, 1]],
        tso: &[],
    },
    Litmus {
        name: "SB with a drain on one side",
        cpus: &[&[Store(X, 1), Drain, Load(Y)], &[Store(Y, 1), Load(X)]],
        finals: &[],
        sc: &[&[0, 1], &[1, 0], &[1, 1]],
        tso: &[&[0, 0]],
    },
    Litmus {
        name: "SB with a lock taken on both sides",
        cpus: &[&[Store(X, 1), Lock(Z), Load(Y)], &[Store(Y, 1), Lock(W), Load(X)]],
        finals: &[],
        sc: &[&[0, 1], &[1, 0], &[1, 1]],
        tso: &[],
    },
    Litmus {
        name: "SB that reads its own store",
        cpus: &[&[Store(X, 1), Load(X), Load(Y)], &[Store(Y, 1), Load(Y), Load(X)]],
        finals: &[],
        sc: &[&[1, 0, 1, 1], &[1, 1, 1, 0], &[1, 1, 1, 1]],
        tso: &[&[1, 0, 1, 0]],
    },
    Litmus {
        name: "n6: an own store is seen before others see it",
        cpus: &[&[Store(X, 1), Load(X), Load(Y)], &[Store(Y, 2), Store(X, 2)]],
        finals: &[X],
        sc: &[&[1, 0, 2], &[1, 2, 1], &[1, 2, 2], &[2, 2, 2]],
        tso: &[&[1, 0, 1]],
    },
    Litmus {
        name: "the newest own store is seen",
        cpus: &[&[Store(X, 1), Store(X, 2), Load(X), Store(X, 3), Load(X)]],
        finals: &[X],
        sc: &[&[2, 3, 3]],
        tso: &[],
    },
    Litmus {
        name: "a walk does not see the own store",
        cpus: &[&[Store(X, 1), Walk(X), Load(X)]],
        finals: &[X],
        sc: &[&[1, 1, 1]],
        tso: &[&[0, 1, 1]],
    },
    Litmus {
        name: "a walk after a drain",
        cpus: &[&[Store(X, 1), Drain, Walk(X)]],
        finals: &[],
        sc: &[&[1]],
        tso: &[],
    },
    Litmus {
        name: "a walk after a lock",
        cpus: &[&[Store(X, 1), Lock(Z), Walk(X)]],
        finals: &[Z],
        sc: &[&[1, 0]],
        tso: &[],
    },
    Litmus {
        name: "a locked operation on the own buffered store",
        cpus: &[&[Store(X, 1), Add(X, 1), Walk(X)]],
        finals: &[],
        sc: &[&[1, 2]],
        tso: &[],
    },
    Litmus {
        name: "a compare-and-swap is one step, and waits for the buffer even if it fails",
        cpus: &[&[Store(X, 1), Swap(Z, 0, 1), Load(Y)], &[Store(Y, 1), Swap(Z, 0, 2), Load(X)]],
        finals: &[Z],
        sc: &[&[0, 0, 1, 1, 1], &[0, 1, 1, 1, 1], &[2, 1, 0, 0, 2], &[2, 1, 0, 1, 2]],
        tso: &[],
    },
    Litmus {
        name: "locked operations are atomic",
        cpus: &[&[Add(X, 1), Add(X, 1)], &[Add(X, 1)]],
        finals: &[X],
        sc: &[&[0, 1, 2, 3], &[0, 2, 1, 3], &[1, 2, 0, 3]],
        tso: &[],
    },
];

impl Litmus {
    fn check(&self, memory: MemoryModel) {
        let program: Vec<_> = self.cpus.iter().map(|instrs| instrs.to_vec()).collect();
        let explored = Machine::executing(memory, &program).explore(|m, _| {
            let finals = self.finals.iter().map(|at| m.core.memory.get(at.loc()));
            m.registers().into_iter().chain(finals).collect::<Vec<_>>()
        });
        let added = if memory == MemoryModel::Tso { self.tso } else { &[] };
        let expected = self.sc.iter().chain(added);
        explored.is_exactly(&format!("{} under {memory:?}", self.name), expected.copied());
    }
}

#[test]
fn exactly_the_outcomes_of_sequential_consistency() {
    LITMUS.iter().for_each(|litmus| litmus.check(MemoryModel::Sc));
}

#[test]
fn exactly_the_outcomes_of_tso() {
    LITMUS.iter().for_each(|litmus| litmus.check(MemoryModel::Tso));
}

/// IRIW: two readers agree on the order of two independent stores, under both models.
#[test]
fn stores_reach_all_others_at_once() {
    let program = [vec![Store(X, 1)], vec![Store(Y, 1)], vec![Load(X), Load(Y)], vec![Load(Y), Load(X)]];
    let all = (0..16).map(|bits: u64| (0..4).map(|n| bits >> n & 1).collect::<Vec<_>>());
    let expected: Vec<_> = all.filter(|outcome| *outcome != [1, 0, 1, 0]).collect();
    for memory in [MemoryModel::Sc, MemoryModel::Tso] {
        let explored = Machine::executing(memory, &program).explore(|m, _| m.registers());
        explored.is_exactly(&format!("IRIW under {memory:?}"), expected.clone());
    }
}

/// Two interleavings differ if another CPU goes next somewhere. Each is run once.
#[test]
fn as_many_interleavings_as_there_are() {
    for (loads, interleavings) in [(&[2, 2][..], 6), (&[3, 2], 10), (&[4, 4], 70), (&[2, 2, 2], 90), (&[5], 1)] {
        let program: Vec<_> = loads.iter().map(|&n| vec![Load(X); n]).collect();
        let runs = Machine::executing(MemoryModel::Sc, &program).explore(|_, _| ()).runs;
        assert_eq!(runs, interleavings, "of {loads:?} loads");
    }
}

fn small_program() -> impl Strategy<Value = Vec<Vec<Instr>>> {
    prop_oneof![vec(vec(instr(2), 1..4), 2), vec(vec(instr(2), 1..=2), 3)]
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// The same outcomes, and as many interleavings, as the interpreter that was written from the
    /// description of x86-TSO.
    #[test]
    fn random_programs_do_what_the_reference_says(program in small_program(), memory in memory_model()) {
        let reference = Reference { program: &program, memory };
        let (ends, ways) = reference.ends(reference.start(vec![0; WORDS as usize]));
        if ways <= 20_000 {
            let explored = Machine::executing(memory, &program).explore(|m, _| m.end());
            explored.is_exactly("against the reference", ends);
            prop_assert_eq!(explored.runs, ways);
        }
    }
}
