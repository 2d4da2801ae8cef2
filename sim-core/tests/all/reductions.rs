//! A schedule that is left out has the end of one that was run: random programs have the same ends under every reduction.

use std::collections::BTreeSet;

use crate::common::{Machine, RCU, word};
use proptest::prelude::*;
use sim_core::source::Source;
use sim_core::systematic::{Reduction, Search, Tally};
use sim_core::{
    Config, Cpu, CpuId, Executor, Gate, Loc, MemoryModel, Op as Announced, OpKind, Outcome, SpinLock, Vector,
};

/// Something that a task does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Read(u32),
    Write(u32, u64),
    Add(u32),
    /// A compare-and-swap from 0.
    Claim(u32, u64),
    /// Reads and writes a word under a spinlock.
    Locked(u32),
    /// Reads and writes a word under a spinlock, with interrupts off.
    LockedIrqOff(u32),
    TryLock(u32),
    /// Interrupts another CPU under the spinlock, and waits there until an interrupt was taken.
    LockedCall(u8),
    /// Reads a word with the semaphore held for reading.
    SemRead(u32),
    /// Adds to a word with the semaphore held for writing.
    SemWrite(u32),
    Interrupt(u8),
    WaitFor(u32),
    SleepFor(u32),
    /// Writes one of two values.
    Choose(u32),
    Fence,
    CallRcu,
    RcuRead(u32),
}

const LOCK: SpinLock = SpinLock(Loc(6));
/// What callbacks and interrupts add to.
const TICKS: u32 = 5;

async fn act<'m>(m: &'m Machine, cpu: Cpu<'m>, act: Act) {
    match act {
        Act::Read(at) => m.keep(cpu, cpu.load(word(at)).await),
        Act::Write(at, value) => cpu.store(word(at), value).await,
        Act::Add(at) => m.keep(cpu, cpu.rmw(word(at), |old: u64| old + 1).await),
        Act::Claim(at, value) => m.keep(cpu, cpu.cmpxchg(word(at), 0, value).await),
        Act::Locked(at) => locked(m, cpu, at).await,
        Act::LockedIrqOff(at) => {
            let _irq = cpu.irq_save();
            locked(m, cpu, at).await;
        }
        Act::LockedCall(target) => {
            let _held = cpu.lock(LOCK).await;
            interrupt(cpu, target).await;
            cpu.wait(Gate::NonZero(Loc(TICKS))).await;
        }
        Act::TryLock(at) => {
            let held = cpu.try_lock(LOCK).await;
            m.keep(cpu, u64::from(held.is_some()));
            if held.is_some() {
                cpu.store(word(at), 9).await;
            }
        }
        Act::SemRead(at) => {
            let _held = cpu.down_read(m.sem).await;
            m.keep(cpu, cpu.load(word(at)).await);
        }
        Act::SemWrite(at) => {
            let _held = cpu.down_write(m.sem).await;
            let old = cpu.load(word(at)).await;
            cpu.store(word(at), old + 10).await;
        }
        Act::Interrupt(target) => interrupt(cpu, target).await,
        Act::WaitFor(at) => cpu.wait(Gate::NonZero(Loc(at))).await,
        Act::SleepFor(at) => {
            let op = Announced::new(OpKind::Wait, Loc(at)).behind(Gate::NonZero(Loc(at))).sleeping();
            cpu.step(op, |_| ()).await;
        }
        Act::Choose(at) => {
            let op = Announced::new(OpKind::Write, Loc(at));
            cpu.step(op, move |cpu| cpu.perform_store(&op, 1 + cpu.core.choose_value("value", 2) as u64)).await;
        }
        Act::Fence => cpu.step(Announced::new(OpKind::Serialize, Loc::NONE), |_| ()).await,
        Act::CallRcu => {
            let op = Announced::new(OpKind::Serialize, Loc::NONE);
            cpu.step(op, move |cpu| cpu.core.rcu.call(cpu.id, 7)).await;
        }
        Act::RcuRead(at) => {
            let _kernel = cpu.enter_kernel();
            let _reader = cpu.rcu_read_lock();
            m.keep(cpu, cpu.load(word(at)).await);
            m.keep(cpu, cpu.load(word(TICKS)).await);
        }
    }
}

async fn interrupt(cpu: Cpu<'_>, target: u8) {
    let target = CpuId(target % cpu.core.config.cpus as u8);
    cpu.step(Announced::new(OpKind::Serialize, Loc::NONE), move |cpu| cpu.raise(target, Vector(1))).await;
}

async fn locked<'m>(m: &'m Machine, cpu: Cpu<'m>, at: u32) {
    let _held = cpu.lock(LOCK).await;
    let old = cpu.load(word(at)).await;
    m.keep(cpu, old);
    cpu.store(word(at), old + 1).await;
}

/// A program: the tasks' CPUs and acts.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    config: Config,
    tasks: Vec<(u8, Vec<Act>)>,
}

pub(crate) fn machine(program: &Program) -> Machine {
    let mut machine = Machine::new(program.config).on_interrupt(|m, cpu, vector| {
        Box::pin(async move {
            if vector == RCU {
                return;
            }
            m.keep(cpu, 100 + cpu.rmw(word(TICKS), |old: u64| old + 1).await);
        })
    });
    for (cpu, acts) in program.tasks.clone() {
        machine = machine.task(cpu, move |m, cpu| {
            let acts = acts.clone();
            Box::pin(async move {
                for one in acts {
                    act(m, cpu, one).await;
                }
            })
        });
    }
    machine
}

/// An end of a run: what each CPU has read, what the words hold, and whether tasks are left waiting.
pub(crate) type End = (Vec<Vec<u64>>, Vec<u64>, bool);

/// One run, from the start to its end.
pub(crate) fn end_of<'m>(machine: &'m Machine, executor: &mut Executor<'m, Machine>, program: &Program) -> End {
    machine.run_in(executor, 200, |m, outcome| {
        assert!(!matches!(outcome, Outcome::StepBound), "{program:?} does not end");
        let words = (0..crate::common::WORDS).map(|n| m.core.memory.get(Loc(n))).collect();
        (m.registers_by_cpu(), words, matches!(outcome, Outcome::Deadlock(_)))
    })
}

/// Ends of all schedules; `None` if there are too many.
pub(crate) fn ends(
    program: &Program,
    reduction: Reduction,
    preemptions: Option<u32>,
) -> Option<(Tally, BTreeSet<End>)> {
    const TOO_MANY: u64 = 30_000;
    let machine = machine(program);
    let core = &machine.core;
    core.set_source(Source::Systematic(Box::new(Search::new(core, reduction, preemptions))));
    let mut executor = Executor::new(core, &machine);
    let mut ends = BTreeSet::new();
    for _ in 0..TOO_MANY {
        let end = end_of(&machine, &mut executor, program);
        let (pruned, more, tally) = core.with_source(|source| match source {
            Source::Systematic(search) => (search.was_pruned(), search.advance(), search.tally()),
            _ => unreachable!("nobody else took its place"),
        });
        if !pruned {
            ends.insert(end);
        }
        if !more {
            return Some((tally, ends));
        }
    }
    None
}

fn acts() -> impl Strategy<Value = Act> {
    let at = 0..3_u32;
    prop_oneof![
        3 => at.clone().prop_map(Act::Read),
        3 => (at.clone(), 1..3_u64).prop_map(|(at, value)| Act::Write(at, value)),
        2 => at.clone().prop_map(Act::Add),
        2 => (at.clone(), 1..3_u64).prop_map(|(at, value)| Act::Claim(at, value)),
        2 => at.clone().prop_map(Act::Locked),
        1 => at.clone().prop_map(Act::LockedIrqOff),
        1 => at.clone().prop_map(Act::TryLock),
        1 => (0..3_u8).prop_map(Act::LockedCall),
        1 => at.clone().prop_map(Act::SemRead),
        1 => at.clone().prop_map(Act::SemWrite),
        1 => (0..3_u8).prop_map(Act::Interrupt),
        1 => at.clone().prop_map(Act::WaitFor),
        1 => at.clone().prop_map(Act::SleepFor),
        1 => at.clone().prop_map(Act::Choose),
        1 => Just(Act::Fence),
        1 => Just(Act::CallRcu),
        1 => at.prop_map(Act::RcuRead),
    ]
}

pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let task = (0..3_u8, prop::collection::vec(acts(), 1..4));
    (prop::collection::vec(task, 2..4), any::<bool>(), any::<bool>()).prop_map(|(tasks, tso, preempt)| {
        let memory = if tso { MemoryModel::Tso } else { MemoryModel::Sc };
        let mut config = Config { cpus: 3, memory, preempt, ..Config::default() };
        config.rcu.preempt = preempt;
        Program { config, tasks }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn end_in_the_same_ways(program in programs()) {
        let Some((every, all)) = ends(&program, Reduction::None, None) else { return Ok(()) };
        let (traces, reduced) = ends(&program, Reduction::Sources, None).expect("not more than all");
        prop_assert_eq!(&reduced, &all, "by source sets");
        prop_assert!(traces.complete + traces.blocked <= every.complete, "{:?} of {:?}", traces, every);
        let (_, by_state) = ends(&program, Reduction::States, None).expect("not more than all");
        prop_assert_eq!(&by_state, &all, "by states");
        for preemptions in 0..3 {
            let (_, all) = ends(&program, Reduction::None, Some(preemptions)).expect("not more than all");
            let (_, by_state) = ends(&program, Reduction::States, Some(preemptions)).expect("not more than all");
            prop_assert_eq!(by_state, all, "by states, with {} preemptions", preemptions);
        }
    }
}

/// After the first step of CPU 1, the lane of CPU 0 sleeps. So the run in which CPU 1 takes the lock next is given up, while
/// CPU 2 waits for the lock with interrupts off. From there, the run in which CPU 2 takes the lock first must be tried,
/// because only in that run CPU 1 writes the word to which CPU 0 adds.
#[test]
fn a_lock_that_is_awaited_where_a_run_is_given_up_is_taken_first_elsewhere() {
    let program = Program {
        config: Config { cpus: 3, memory: MemoryModel::Sc, ..Config::default() },
        tasks: vec![
            (0, vec![Act::Add(0)]),
            (1, vec![Act::Fence, Act::LockedCall(2), Act::Write(0, 1)]),
            (2, vec![Act::LockedIrqOff(1)]),
        ],
    };
    let (_, all) = ends(&program, Reduction::None, None).expect("it is small");
    let (_, reduced) = ends(&program, Reduction::Sources, None).expect("not more than all");
    let added_after_the_write = |end: &End| end.0[0] == [1];
    assert!(all.iter().any(added_after_the_write), "{all:?}");
    assert_eq!(reduced, all);
}
