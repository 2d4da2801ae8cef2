//! A run is a function of its decisions, and a rewind takes back everything that it did.

use crate::common::reference::{Move, Program, Reference, cases, instr, memory_model};
use crate::common::{Machine, WORDS, X, Y, Z, answers, sc, tso};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use sim_core::source::{Divergence, Pct, Pos, Random, Replay, Source, Sticky, Timed};
use sim_core::{Config, CpuId, Decision, Event, Executor, Gate, Loc, Outcome, SpinLock, Vector};

type Seeded = fn(u64) -> Source;

const SOURCES: [(&str, Seeded); 5] = [
    ("random", |seed| Source::Random(Random::new(seed))),
    ("sticky", |seed| Source::Sticky(Sticky::new(seed))),
    ("pct", |seed| Source::Pct(Pct::new(seed, 3, 40))),
    ("pos", |seed| Source::Pos(Pos::new(seed))),
    ("timed", |seed| Source::Timed(Timed::new(seed, 20))),
];

/// Three CPUs that add to words under a lock, and beside it.
fn locking(config: Config) -> Machine {
    (0..3).fold(Machine::new(config), |machine, n| {
        machine.task(n, |m, cpu| {
            Box::pin(async move {
                cpu.rmw(X, |x: u64| x + 1).await;
                let held = cpu.lock(SpinLock(Z.loc())).await;
                let y = cpu.load(Y).await;
                cpu.store(Y, y + 1).await;
                drop(held);
                let chosen = m.core.choose_value("a value", 3);
                let x = cpu.load(X).await;
                m.say(format!("{}:{x}{y}{chosen}", cpu.id.0));
            })
        })
    })
}

/// Two CPUs with two tasks each that sleep for a semaphore, interrupt each other, and queue callbacks.
fn sleeping(config: Config) -> Machine {
    let machine = (0..4).fold(Machine::new(config), |machine, n| {
        machine.task(n / 2, move |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                let held = cpu.down_write(m.sem).await;
                let x = cpu.load(X).await;
                cpu.store(X, x + 1).await;
                cpu.raise(CpuId(1 - cpu.id.0), Vector(7));
                m.say(format!("task{n}:{x}"));
                drop(held.downgrade());
                m.core.rcu.call(cpu.id, u64::from(n));
                cpu.wait(Gate::NonZero(X.loc())).await;
            })
        })
    });
    machine.on_interrupt(|m, cpu, _| {
        Box::pin(async move {
            let y = cpu.rmw(Y, |y: u64| y + 1).await;
            m.say(format!("irq{}:{y}", cpu.id.0));
        })
    })
}

type Built = fn() -> Machine;

const PROGRAMS: [(&str, Built); 4] = [
    ("locking, sc", || locking(sc(3))),
    ("locking, tso", || locking(tso(3))),
    ("sleeping, sc", || sleeping(sc(2))),
    ("sleeping, tso", || sleeping(tso(2))),
];

/// Everything that can be observed of a run.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    trace: String,
    digest: u64,
    digests: Vec<u64>,
    steps: u64,
    words: Vec<u64>,
    decisions: Vec<Decision>,
}

impl Run {
    fn told(m: &Machine, outcome: &Outcome) -> Run {
        Run {
            trace: m.trace(outcome),
            digest: m.core.digest(),
            digests: m.core.digests(),
            steps: m.core.steps(),
            words: m.words(),
            decisions: m.core.decisions(),
        }
    }
}

fn run(machine: &Machine, source: Source) -> Run {
    machine.core.set_source(source);
    machine.core.keep_decisions(true);
    machine.run(Run::told)
}

#[test]
fn the_same_seed_is_the_same_run() {
    for (program, machine) in PROGRAMS {
        let (machine, twin) = (machine(), machine());
        for (source, seeded) in SOURCES {
            let mut digests = Vec::new();
            for seed in 0..100 {
                let first = run(&machine, seeded(seed));
                assert_eq!(run(&twin, seeded(seed)), first, "{program}, {source}, seed {seed}, another machine");
                assert_eq!(run(&machine, seeded(seed)), first, "{program}, {source}, seed {seed}, again");
                digests.push(first.digest);
            }
            digests.sort_unstable();
            digests.dedup();
            assert!(digests.len() > 20, "{program}, {source}: 100 seeds give {} digests", digests.len());
        }
    }
}

/// A run that was cut off (interrupts pending, stores buffered, callbacks queued, locks held) leaves
/// nothing to the next of the same executor.
#[test]
fn a_rewind_leaves_nothing() {
    for (program, machine) in PROGRAMS {
        let (machine, fresh) = (machine(), machine());
        let mut executor = Executor::new(&machine.core, &machine);
        machine.core.keep_decisions(true);
        for seed in 0..20 {
            let whole = run(&fresh, Source::Random(Random::new(seed)));
            for bound in 0..whole.steps {
                machine.core.set_source(Source::Random(Random::new(seed)));
                machine.run_in(&mut executor, bound, |_, _| ());
                machine.core.set_source(Source::Random(Random::new(seed)));
                let next = machine.run_in(&mut executor, whole.steps, Run::told);
                assert_eq!(next, whole, "{program}, seed {seed}, after a run of {bound} steps");
            }
        }
    }
}

#[test]
fn tracing_changes_nothing() {
    for (program, machine) in PROGRAMS {
        for (source, seeded) in SOURCES {
            for seed in 0..20 {
                let traced = run(&machine().logged(), seeded(seed));
                assert_eq!(run(&machine(), seeded(seed)), traced, "{program}, {source}, seed {seed}");
            }
        }
    }
}

fn replayed(machine: &Machine) -> (Option<Divergence>, usize) {
    machine.core.with_source(|source| match source {
        Source::Replay(replay) => (replay.divergence(), replay.taken()),
        _ => panic!("the source is a replay"),
    })
}

#[test]
fn decisions_replay() {
    for (program, machine) in PROGRAMS {
        let machine = machine();
        for (source, seeded) in SOURCES {
            for seed in 0..100 {
                let recorded = run(&machine, seeded(seed));
                let record = answers(&recorded.decisions);
                for replay in [Replay::strict(record.clone()), Replay::lenient(record.clone())] {
                    let again = run(&machine, Source::Replay(replay));
                    assert_eq!(again, recorded, "{program}, {source}, seed {seed}");
                    let (divergence, taken) = replayed(&machine);
                    assert_eq!((divergence, taken), (None, record.len()), "{program}, {source}, seed {seed}");
                }
            }
        }
    }
}

/// `loads[n]` loads on CPU n.
fn loading(loads: &'static [usize]) -> Machine {
    (0..).zip(loads).fold(Machine::new(sc(loads.len())), |machine, (n, &loads)| {
        machine.task(n, move |_, cpu| {
            Box::pin(async move {
                for _ in 0..loads {
                    cpu.load(X).await;
                }
            })
        })
    })
}

#[test]
fn a_strict_replay_of_another_program_diverges() {
    // The record: CPU 0 goes on to its end, then CPU 1 goes alone.
    let record = [(0, 2); 3];
    for (loads, divergence) in [
        (&[3, 3][..], None),
        (&[3, 1], None),
        (&[4, 3], Some(Divergence { decision: 3, expected: None, actual: 2 })),
        (&[3, 3, 1], Some(Divergence { decision: 0, expected: Some(2), actual: 3 })),
    ] {
        let machine = loading(loads);
        machine.run_with(Source::Replay(Replay::strict(record.to_vec())));
        assert_eq!(replayed(&machine).0, divergence, "{loads:?} loads in place of [3, 3]");
        let trace = machine.run_with(Source::Replay(Replay::lenient(record.to_vec())));
        assert_eq!((replayed(&machine).0, trace), (None, String::new()), "a lenient replay of {loads:?}");
    }
    // The number of decisions taken shows that some decisions were not asked for.
    let machine = loading(&[1, 3]);
    machine.run_with(Source::Replay(Replay::strict(record.to_vec())));
    assert_eq!(replayed(&machine), (Some(Divergence { decision: 1, expected: Some(2), actual: 0 }), 1));
}

fn program() -> impl Strategy<Value = Program> {
    vec(vec(instr(3), 0..8), 1..5)
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// A run of a random program, perhaps cut short, does what the reference interpreter does in the
    /// order of the event log, and each decision was among what can happen there, with the CPU that
    /// went last first; then a rewind restores every word.
    #[test]
    fn a_run_is_its_order_and_a_rewind_undoes_it(
        program in program(),
        memory in memory_model(),
        words in vec(0..4_u64, WORDS as usize),
        source in 0..SOURCES.len(),
        seed in any::<u64>(),
        bound in 0..60_u64,
    ) {
        // Locks are on the word after those that the program uses.
        let words: Vec<_> = words.into_iter().enumerate().map(|(n, word)| if n == 3 { 0 } else { word }).collect();
        let machine = Machine::executing(memory, &program).logged();
        for (n, &word) in (0..).zip(&words) {
            machine.core.memory.set(Loc(n), word);
        }
        machine.core.checkpoint();
        machine.core.set_source(SOURCES[source].1(seed));
        machine.core.keep_decisions(true);
        let reference = Reference { program: &program, memory };
        for bound in [bound, 1_000] {
            let (end, completed) = machine.run_at_most(bound, |m, outcome| (m.end(), m.trace(outcome).is_empty()));
            let mut decisions = machine.core.decisions().into_iter();
            let (mut state, mut last) = (reference.start(words.clone()), 0);
            for (cpu, event) in machine.log.events() {
                let what = match event {
                    Event::Access { .. } => Move::Execute(cpu.index()),
                    Event::Drain { .. } => Move::Drain(cpu.index()),
                    _ => continue,
                };
                let mut moves = reference.moves(&state);
                prop_assert!(moves.contains(&what), "{:?} is not possible in {:?}", what, state);
                moves.sort_by_key(|&what| what != Move::Execute(last));
                if moves.len() > 1 {
                    let decision = decisions.next().expect("there was a choice");
                    let answer = (decision.of as usize, moves[decision.chosen as usize]);
                    prop_assert_eq!(answer, (moves.len(), what), "{} among {:?}", decision, moves);
                }
                last = cpu.index();
                let before = state.clone();
                reference.perform(&mut state, what);
                if let Event::Drain { loc, old, new } = event {
                    let at = |state: &crate::common::reference::State| state.word(loc);
                    prop_assert_eq!((old, new), (at(&before), at(&state)), "the event of {:?}", what);
                }
            }
            prop_assert_eq!(state.end(), end);
            prop_assert_eq!(reference.moves(&state).is_empty(), completed);
            prop_assert!(!completed || decisions.next().is_none(), "a decision without a choice");
            machine.core.rewind();
            prop_assert_eq!(machine.words(), words.clone(), "after the rewind");
        }
    }
}
