//! Straight-line programs of loads and stores, and what x86-TSO says that they do: a naive
//! interpreter that shares nothing with the executor.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config as Cases, RngSeed};
use sim_core::{Config, Cpu, Loc, MemoryModel, Op, OpKind, Shared, SpinLock};

use super::{Machine, WORDS, word};

/// One instruction. Those that read keep what they read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instr {
    Load(Shared<u64>),
    /// A page walker's load.
    Walk(Shared<u64>),
    Store(Shared<u64>, u64),
    /// A locked addition, which reads the old value.
    Add(Shared<u64>, u64),
    /// A compare-and-swap of the first value for the second, which reads the old value.
    Swap(Shared<u64>, u64, u64),
    /// Takes a spinlock and releases it at once.
    Lock(Shared<u64>),
    /// A serialising instruction.
    Drain,
}
use Instr::{Add, Drain, Load, Lock, Store, Swap, Walk};

/// The instructions of each CPU.
pub(crate) type Program = Vec<Vec<Instr>>;

impl Instr {
    async fn execute(self, m: &Machine, cpu: Cpu<'_>) {
        match self {
            Load(at) => m.keep(cpu, cpu.load(at).await),
            Walk(at) => m.keep(cpu, cpu.walk_load(at).await),
            Store(at, value) => cpu.store(at, value).await,
            Add(at, value) => m.keep(cpu, cpu.rmw(at, |old: u64| old + value).await),
            Swap(at, from, to) => m.keep(cpu, cpu.cmpxchg(at, from, to).await),
            Lock(at) => drop(cpu.lock(SpinLock(at.loc())).await),
            Drain => {
                let op = Op::new(OpKind::Serialize, Loc::NONE);
                cpu.step(op, |cpu| cpu.perform_rmw(&op, 0, 0)).await;
            }
        }
    }
}

impl Machine {
    /// A machine that executes a program, with a CPU for each of its parts.
    pub(crate) fn executing(memory: MemoryModel, program: &[Vec<Instr>]) -> Machine {
        let machine = Machine::new(Config { cpus: program.len(), memory, ..Config::default() });
        (0..).zip(program.to_vec()).fold(machine, |machine, (cpu, instrs)| {
            machine.task(cpu, move |m, cpu| {
                let instrs = instrs.clone();
                Box::pin(async move {
                    for instr in instrs {
                        instr.execute(m, cpu).await;
                    }
                })
            })
        })
    }

    /// All words, as the reference interpreter has them.
    pub(crate) fn words(&self) -> Vec<u64> {
        (0..WORDS).map(|n| self.core.memory.get(Loc(n))).collect()
    }

    /// What a program came to: what the CPUs read, then all words.
    pub(crate) fn end(&self) -> Vec<u64> {
        [self.registers(), self.words()].concat()
    }
}

/// Something that can happen next, on the CPU with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Execute(usize),
    Drain(usize),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    next: usize,
    buffer: VecDeque<(usize, u64)>,
    registers: Vec<u64>,
}

/// A state of a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct State {
    words: Vec<u64>,
    sides: Vec<Side>,
}

/// A program under a memory model.
pub(crate) struct Reference<'p> {
    pub(crate) program: &'p [Vec<Instr>],
    pub(crate) memory: MemoryModel,
}

impl Reference<'_> {
    pub(crate) fn start(&self, words: Vec<u64>) -> State {
        State { words, sides: vec![Side::default(); self.program.len()] }
    }

    fn can_execute(&self, state: &State, cpu: usize) -> bool {
        let side = &state.sides[cpu];
        self.program[cpu].get(side.next).is_some_and(|instr| match *instr {
            Load(_) | Walk(_) | Store(..) => true,
            Add(..) | Swap(..) | Drain => side.buffer.is_empty(),
            Lock(at) => side.buffer.is_empty() && state.words[index(at)] == 0,
        })
    }

    pub(crate) fn moves(&self, state: &State) -> Vec<Move> {
        let cpus = 0..state.sides.len();
        let execute = cpus.clone().filter(|&cpu| self.can_execute(state, cpu)).map(Move::Execute);
        let drain = cpus.filter(|&cpu| !state.sides[cpu].buffer.is_empty()).map(Move::Drain);
        execute.chain(drain).collect()
    }

    pub(crate) fn perform(&self, state: &mut State, what: Move) {
        let State { words, sides } = state;
        match what {
            Move::Drain(cpu) => {
                let (at, value) =
                    sides[cpu].buffer.pop_front().expect("a drain is offered with something buffered");
                words[at] = value;
            }
            Move::Execute(cpu) => {
                let side = &mut sides[cpu];
                let instr = self.program[cpu][side.next];
                side.next += 1;
                match instr {
                    Load(at) => {
                        let own = side.buffer.iter().rfind(|(to, _)| *to == index(at));
                        side.registers.push(own.map_or(words[index(at)], |(_, value)| *value));
                    }
                    Walk(at) => side.registers.push(words[index(at)]),
                    Store(at, value) => self.store(words, side, at, value),
                    Add(at, value) => {
                        side.registers.push(words[index(at)]);
                        words[index(at)] += value;
                    }
                    Swap(at, from, to) => {
                        side.registers.push(words[index(at)]);
                        if words[index(at)] == from {
                            words[index(at)] = to;
                        }
                    }
                    Lock(at) => {
                        words[index(at)] = cpu as u64 + 1;
                        self.store(words, side, at, 0);
                    }
                    Drain => {}
                }
            }
        }
    }

    fn store(&self, words: &mut [u64], side: &mut Side, at: Shared<u64>, value: u64) {
        match self.memory {
            MemoryModel::Sc => words[index(at)] = value,
            MemoryModel::Tso => side.buffer.push_back((index(at), value)),
        }
    }

    /// Every end that can be reached from `state`, and in how many ways.
    pub(crate) fn ends(&self, state: State) -> (BTreeSet<Vec<u64>>, usize) {
        let mut ways = BTreeMap::new();
        let mut ends = BTreeSet::new();
        let count = self.visit(state, &mut ways, &mut ends);
        (ends, count)
    }

    fn visit(&self, state: State, ways: &mut BTreeMap<State, usize>, ends: &mut BTreeSet<Vec<u64>>) -> usize {
        if let Some(&known) = ways.get(&state) {
            return known;
        }
        let moves = self.moves(&state);
        let mut count = 0;
        for &what in &moves {
            let mut next = state.clone();
            self.perform(&mut next, what);
            count += self.visit(next, ways, ends);
        }
        if moves.is_empty() {
            ends.insert(state.end());
            count = 1;
        }
        ways.insert(state, count);
        count
    }
}

impl State {
    pub(crate) fn word(&self, at: Loc) -> u64 {
        self.words[at.0 as usize]
    }

    /// See [`Machine::end`].
    pub(crate) fn end(&self) -> Vec<u64> {
        let registers = self.sides.iter().flat_map(|side| side.registers.iter().copied());
        registers.chain(self.words.iter().copied()).collect()
    }
}

fn index(at: Shared<u64>) -> usize {
    at.loc().0 as usize
}

/// An instruction on one of the first `words` words; locks are on the word after them.
pub(crate) fn instr(words: u32) -> impl Strategy<Value = Instr> {
    let at = move || (0..words).prop_map(word);
    prop_oneof![
        4 => at().prop_map(Load),
        5 => (at(), 1..4_u64).prop_map(|(at, value)| Store(at, value)),
        1 => (at(), 1..4_u64).prop_map(|(at, value)| Add(at, value)),
        1 => (at(), 0..3_u64, 1..4_u64).prop_map(|(at, from, to)| Swap(at, from, to)),
        1 => at().prop_map(Walk),
        1 => Just(Lock(word(words))),
        1 => Just(Drain),
    ]
}

pub(crate) fn memory_model() -> impl Strategy<Value = MemoryModel> {
    any::<bool>().prop_map(|tso| if tso { MemoryModel::Tso } else { MemoryModel::Sc })
}

/// The same cases each time, and no file of failures: the seed finds them again.
pub(crate) fn cases(cases: u32) -> Cases {
    Cases { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Cases::default() }
}
