//! Straight-line programs of loads and stores, and a naive interpreter that says what they do under x86-TSO. The
//! interpreter shares nothing with the executor.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config as Cases, RngSeed};
use sim_core::{Bytes, Config, Cpu, Loc, MemoryModel, Op, OpKind, Shared, SpinLock};

use super::{Machine, WORDS, word};

/// One instruction. An instruction that reads keeps the value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instr {
    Load(Shared<u64>),
    /// A page walker's load.
    Walk(Shared<u64>),
    Store(Shared<u64>, u64),
    /// A load of some bytes.
    LoadOf(Shared<u64>, Bytes),
    /// A store of a number into some bytes.
    StoreOf(Shared<u64>, Bytes, u64),
    /// A string operation that stores to the first two words.
    Fill([u64; 2]),
    /// A locked addition, which reads the old value.
    Add(Shared<u64>, u64),
    /// A compare-and-swap of the first value for the second, which reads the old value.
    Swap(Shared<u64>, u64, u64),
    /// Takes a spinlock and releases it at once.
    Lock(Shared<u64>),
    /// A serialising instruction.
    Drain,
}
use Instr::{Add, Drain, Fill, Load, LoadOf, Lock, Store, StoreOf, Swap, Walk};

/// The instructions of each CPU.
pub(crate) type Program = Vec<Vec<Instr>>;

impl Instr {
    async fn execute(self, m: &Machine, cpu: Cpu<'_>) {
        match self {
            Walk(at) => m.keep(cpu, cpu.walk_load(at).await),
            Store(at, value) => cpu.store(at, value).await,
            Load(at) => m.keep(cpu, load(cpu, at, Bytes::ALL).await),
            LoadOf(at, bytes) => m.keep(cpu, load(cpu, at, bytes).await),
            StoreOf(at, bytes, value) => {
                let op = Op::new(OpKind::Write, at.loc());
                cpu.step(op, |cpu| cpu.perform_store_of(&op, bytes, value)).await;
            }
            Fill(values) => {
                let op = Op::new(OpKind::Write, Loc(0));
                cpu.step(op, |cpu| cpu.perform_block_store(&op, values.into_iter())).await;
            }
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

async fn load(cpu: Cpu<'_>, at: Shared<u64>, bytes: Bytes) -> u64 {
    let op = Op::new(OpKind::Read, at.loc()).behind(cpu.load_gate(at.loc(), bytes));
    cpu.step(op, |cpu| bytes.take(cpu.perform_load(&op))).await
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

    /// The end of a program: the values that the CPUs read, then all words.
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
    /// Stores of one word after the other, and which of its bytes.
    buffer: VecDeque<Vec<(usize, u8, u8)>>,
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
            Load(at) => side.has_one_source(index(at), 0..8),
            LoadOf(at, bytes) => side.has_one_source(index(at), places(bytes)),
            Walk(_) | Store(..) | StoreOf(..) | Fill(_) => true,
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
                let store = sides[cpu].buffer.pop_front().expect("a drain is offered with something buffered");
                write(words, &store);
            }
            Move::Execute(cpu) => {
                let side = &mut sides[cpu];
                let instr = self.program[cpu][side.next];
                side.next += 1;
                match instr {
                    Load(at) => side.registers.push(side.sees(words, index(at))),
                    LoadOf(at, bytes) => {
                        let seen = side.sees(words, index(at)).to_le_bytes();
                        let number = places(bytes).rev().fold(0, |number, at| number << 8 | u64::from(seen[at]));
                        side.registers.push(number);
                    }
                    Walk(at) => side.registers.push(words[index(at)]),
                    Store(at, value) => self.store(words, side, bytes_of(index(at), 0..8, value)),
                    StoreOf(at, bytes, value) => {
                        self.store(words, side, bytes_of(index(at), places(bytes), value));
                    }
                    Fill([first, second]) => {
                        let both = [bytes_of(0, 0..8, first), bytes_of(1, 0..8, second)].concat();
                        self.store(words, side, both);
                    }
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
                        self.store(words, side, bytes_of(index(at), 0..8, 0));
                    }
                    Drain => {}
                }
            }
        }
    }

    fn store(&self, words: &mut [u64], side: &mut Side, store: Vec<(usize, u8, u8)>) {
        match self.memory {
            MemoryModel::Sc => write(words, &store),
            MemoryModel::Tso => side.buffer.push_back(store),
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

impl Side {
    /// A word through the CPU's own stores.
    fn sees(&self, words: &[u64], at: usize) -> u64 {
        let mut words = words.to_vec();
        self.buffer.iter().for_each(|store| write(&mut words, store));
        words[at]
    }

    /// Whether the newest store to any of these bytes has all of them.
    fn has_one_source(&self, at: usize, bytes: Range<usize>) -> bool {
        let has = |store: &Vec<(usize, u8, u8)>, byte: usize| {
            store.iter().any(|(to, place, _)| (*to, usize::from(*place)) == (at, byte))
        };
        let newest = self.buffer.iter().rfind(|store| bytes.clone().any(|byte| has(store, byte)));
        newest.is_none_or(|store| bytes.clone().all(|byte| has(store, byte)))
    }
}

fn write(words: &mut [u64], store: &[(usize, u8, u8)]) {
    for &(at, place, byte) in store {
        let mut bytes = words[at].to_le_bytes();
        bytes[usize::from(place)] = byte;
        words[at] = u64::from_le_bytes(bytes);
    }
}

/// A store of the low bytes of a number.
fn bytes_of(at: usize, places: Range<usize>, number: u64) -> Vec<(usize, u8, u8)> {
    places.zip(number.to_le_bytes()).map(|(place, byte)| (at, place as u8, byte)).collect()
}

/// Finds out by their values which bytes of a word these are.
fn places(bytes: Bytes) -> Range<usize> {
    let first = bytes.put(0, !0).trailing_zeros() / 8;
    first as usize..8 - bytes.put(0, !0).leading_zeros() as usize / 8
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
        2 => (at(), some_bytes()).prop_map(|(at, bytes)| LoadOf(at, bytes)),
        2 => (at(), some_bytes(), 1..0x400_u64).prop_map(|(at, bytes, value)| StoreOf(at, bytes, value)),
        1 => (1..4_u64, 1..4_u64).prop_map(|(first, second)| Fill([first, second])),
        1 => Just(Lock(word(words))),
        1 => Just(Drain),
    ]
}

/// One, two or four bytes at the start of a word, so that they often meet.
fn some_bytes() -> impl Strategy<Value = Bytes> {
    (0..2_u32, 0..3_u32).prop_map(|(nth, size)| Bytes::of(nth << size, 1 << size))
}

pub(crate) fn memory_model() -> impl Strategy<Value = MemoryModel> {
    any::<bool>().prop_map(|tso| if tso { MemoryModel::Tso } else { MemoryModel::Sc })
}

/// The cases are the same each time. There is no file of failures, because the seed finds them again.
pub(crate) fn cases(cases: u32) -> Cases {
    Cases { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Cases::default() }
}
