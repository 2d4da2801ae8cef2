//! The sources of decisions: each answers within bounds, and in the way that it describes.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::reference::Instr::{self, Load, Store};
use crate::common::reference::cases;
use crate::common::{Machine, X, Y, sc, tso};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sim_core::source::{Pct, Pos, Random, Replay, Source, Sticky, Timed};
use sim_core::{Choice, Chooser, Config, CpuId, Decision, MemoryModel, Vector};

fn seeded(seed: u64) -> [(&'static str, Source); 6] {
    [
        ("random", Source::Random(Random::new(seed))),
        ("sticky", Source::Sticky(Sticky::new(seed))),
        ("pct depth 1", Source::Pct(Pct::new(seed, 1, 20))),
        ("pct depth 3", Source::Pct(Pct::new(seed, 3, 20))),
        ("pos", Source::Pos(Pos::new(seed))),
        ("timed", Source::Timed(Timed::new(seed, 200))),
    ]
}

/// Each CPU stores to one word and says its number at each store; at the second, a value is chosen.
fn stepping(config: Config, stores: usize) -> Machine {
    (0..config.cpus as u8).fold(Machine::new(config), |machine, n| {
        machine.task(n, move |m, cpu| {
            Box::pin(async move {
                for store in 0..stores {
                    cpu.store(X, 1).await;
                    m.say(n.to_string());
                    if store == 1 {
                        m.core.choose_value("a value", 3);
                    }
                }
            })
        })
    })
}

fn decisions(machine: &Machine, source: Source) -> Vec<Decision> {
    machine.core.keep_decisions(true);
    machine.run_with(source);
    machine.core.decisions()
}

fn value(of: usize) -> Choice<'static> {
    Choice::Value { what: "a value", of }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn each_answer_is_one_of_those_offered(seed in any::<u64>(), some in 2..1_000_usize, many in 2..=usize::MAX) {
        for (name, mut source) in seeded(seed) {
            for of in [2, 3, some, many] {
                let answer = source.choose(&value(of));
                prop_assert!(answer < of, "{} answers {} of {}", name, answer, of);
            }
        }
        for machine in [stepping(sc(2), 3), stepping(sc(5), 3), stepping(tso(3), 3)] {
            for (name, source) in seeded(seed) {
                for decision in decisions(&machine, source) {
                    prop_assert!(decision.chosen < decision.of && decision.of > 1, "{}: {}", name, decision);
                }
            }
        }
    }

    /// ChaCha8 with the bytes of the seed as its key, and the high word of the product. With store buffers this holds for the
    /// runs without patience. The other runs draw again if a drain is drawn.
    #[test]
    fn random_draws_once_a_decision(seed in any::<u64>(), buffers in any::<bool>()) {
        let (machine, seed) =
            if buffers { (stepping(tso(3), 4), seed & !3) } else { (stepping(sc(3), 12), seed) };
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut draws = ChaCha8Rng::from_seed(key);
        let decisions = decisions(&machine, Source::Random(Random::new(seed)));
        prop_assert!(decisions.len() > 20);
        for decision in decisions {
            let expected = (u128::from(draws.next_u64()) * u128::from(decision.of)) >> 64;
            prop_assert_eq!(u128::from(decision.chosen), expected, "{}", decision);
        }
    }
}

/// The stream is part of the record format: these numbers may never change.
#[test]
fn the_stream_of_a_seed() {
    for (seed, expected) in [
        (0, [836, 631, 232, 117, 255, 98]),
        (1, [381, 294, 798, 916, 855, 139]),
        (u64::MAX, [704, 232, 650, 416, 537, 545]),
    ] {
        let mut random = Random::new(seed);
        let answers = [(); 6].map(|()| random.choose(&value(1_000)));
        assert_eq!(answers, expected, "seed {seed}");
    }
}

/// The one that ran last, the other CPUs, other tasks, interrupts, store buffers.
#[test]
fn what_is_offered_in_which_order() {
    let machine = Machine::new(tso(3))
        .task(0, |_, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
            })
        })
        .task(0, |_, _| Box::pin(async {}))
        .task(0, |_, _| Box::pin(async {}))
        .task(1, |_, cpu| {
            Box::pin(async move {
                cpu.raise(CpuId(2), Vector(7));
                cpu.store(X, 1).await;
                cpu.load(X).await;
            })
        })
        .task(2, |_, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
            })
        });
    let offered = ["cpu1", "cpu0", "cpu2", "cpu0 to task 1", "cpu0 to task 2", "cpu2 interrupt 7", "cpu1 drain"];
    for (n, what) in (0..).zip(offered) {
        let record = vec![(1, 6), (n, 7)];
        let decisions = decisions(&machine, Source::Replay(Replay::lenient(record)));
        assert_eq!(decisions[0].to_string(), "1/6 cpu1");
        assert_eq!(decisions[1].to_string(), format!("{n}/7 {what}"));
    }
}

#[test]
fn first_runs_each_task_to_its_end() {
    assert_eq!(stepping(sc(3), 2).run_with(Source::First), "0 0 1 1 2 2");
}

#[test]
fn sticky_stays_seven_times_out_of_eight() {
    let machine = stepping(sc(2), 100);
    let answers: Vec<_> =
        (0..50).flat_map(|seed| decisions(&machine, Source::Sticky(Sticky::new(seed)))).collect();
    let between_cpus = answers.iter().filter(|decision| decision.of == 2);
    let (stayed, all) = between_cpus.fold((0, 0), |(stayed, all), d| (stayed + u32::from(d.chosen == 0), all + 1));
    let share = f64::from(stayed) / f64::from(all);
    assert!((0.865..0.885).contains(&share), "stayed {stayed} of {all} times");
}

/// How often the trace goes from a CPU to another although the first CPU comes again later.
fn preemptions(trace: &str) -> usize {
    let said: Vec<_> = trace.split(' ').collect();
    (1..said.len()).filter(|&n| said[n - 1] != said[n] && said[n..].contains(&said[n - 1])).count()
}

/// At depth d, the actor with the highest priority goes on, except for d - 1 changes.
#[test]
fn pct_preempts_at_its_change_points_only() {
    let machine = stepping(sc(3), 6);
    for depth in 1..4 {
        let traces: BTreeSet<_> =
            (0..300).map(|seed| machine.run_with(Source::Pct(Pct::new(seed, depth, 12)))).collect();
        let most = traces.iter().map(|trace| preemptions(trace)).max();
        assert_eq!(most, Some(depth as usize - 1), "the most preemptions at depth {depth}");
        assert!(depth > 1 || traces.len() == 6, "three CPUs have six orders, not {}", traces.len());
    }
}

/// In how many of 2200 runs the second CPU's one access of X comes after all of the first's.
fn last_of_2200(first: Vec<Instr>, second: Instr, source: fn(u64) -> Source) -> usize {
    let machine = Machine::executing(MemoryModel::Sc, &[first, vec![second]]);
    machine.core.keep_decisions(true);
    let is_last = |&seed: &u64| {
        machine.core.set_source(source(seed));
        machine.run(|m, _| m.core.decisions().iter().all(|decision| decision.chosen == 0))
    };
    (0..2_200).filter(is_last).count()
}

/// Twenty steps that race with nothing count as one place for the store. It comes after them and after the load with which
/// it races in one of 22 runs: when all their priorities are above its own. But among twenty stores, a load has twenty
/// places. A random walk sees no difference.
#[test]
fn pos_orders_races_rather_than_steps() {
    let no_race = || std::iter::repeat_n(Load(Y), 20).chain([Load(X)]).collect();
    let races = || vec![Store(X, 1); 21];
    let pos = |seed| Source::Pos(Pos::new(seed));
    let random = |seed| Source::Random(Random::new(seed));
    let apart = last_of_2200(no_race(), Store(X, 1), pos);
    assert!((70..130).contains(&apart), "pos has the store last in {apart} of 2200 runs");
    assert_eq!(last_of_2200(races(), Load(X), pos), 0, "pos has the load last");
    assert_eq!(last_of_2200(no_race(), Store(X, 1), random), 0, "random has the store last");
    assert_eq!(last_of_2200(races(), Load(X), random), 0, "random has the load last");
}

/// Each source finds everything that an exhaustive search finds. PCT does so if its depth allows it, and the clocks do so if
/// the jitter allows it.
#[test]
fn each_source_reaches_all_outcomes_of_store_buffering() {
    let program = [vec![Store(X, 1), Load(Y)], vec![Store(Y, 1), Load(X)]];
    let machine = Machine::executing(MemoryModel::Tso, &program);
    let all: BTreeSet<_> = machine.explore(|m, _| m.registers()).reached.into_keys().collect();
    let mut reached = BTreeMap::<_, BTreeSet<_>>::new();
    for (name, source) in (0..200).flat_map(seeded).filter(|(name, _)| *name != "pct depth 1") {
        machine.core.set_source(source);
        reached.entry(name).or_default().insert(machine.run(|m, _| m.registers()));
    }
    for (name, reached) in reached {
        assert_eq!(reached, all, "by {name}");
    }
}

#[test]
fn a_lenient_replay_takes_what_fits() {
    // Of three CPUs with one store each, in the order of `Enabled`: the one that ran last, then by number.
    let machine = stepping(sc(3), 1);
    for (record, expected) in [
        (&[][..], "0 1 2"),
        (&[(2, 3)], "2 0 1"),
        (&[(2, 3), (1, 2)], "2 1 0"),
        (&[(2, 9), (1, 9)], "2 1 0"),
        (&[(5, 9), (1, 2)], "0 2 1"),
        (&[(2, 3), (1, 2), (1, 2), (1, 2)], "2 1 0"),
    ] {
        let trace = machine.run_with(Source::Replay(Replay::lenient(record.to_vec())));
        assert_eq!(trace, expected, "a lenient replay of {record:?}");
    }
}
