//! The timed source: which CPU goes next by the clocks, and how waiting changes the clocks.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::common::{Machine, RCU, W, X, Y, Z, sc, tso};
use sim_core::source::{Source, Timed};
use sim_core::{Config, Core, Costs, Cpu, CpuId, Gate, Op, SpinLock, Vector};

/// Each operation takes a cycle, an interrupt 50 to arrive, 20 to be taken and 10 to return from.
struct Simple;

impl Costs for Simple {
    fn operation(&self, _: &Core, _: CpuId, _: &Op) -> u64 {
        1
    }
    fn flight(&self) -> u64 {
        50
    }
    fn interrupt(&self, _: CpuId) -> u64 {
        20
    }
    fn interrupt_return(&self, _: CpuId) -> u64 {
        10
    }
    fn waited(&self, _: CpuId, _: u64) {}
    fn reset(&self) {}
}

fn timed(machine: Machine) -> Machine {
    machine.core.set_costs(Some(Rc::new(Simple)));
    machine
}

fn exact() -> Source {
    Source::Timed(Timed::exact())
}

fn jittered(seed: u64, jitter: u32) -> Source {
    Source::Timed(Timed::new(seed, jitter))
}

/// Says its name and the time.
fn say(m: &Machine, cpu: Cpu<'_>, name: &str) {
    m.say(format!("{name}@{}", m.core.cycles(cpu.id)));
}

/// CPUs of which each makes so many accesses of its own pace, and says its number after each.
fn at_paces(paces: &'static [u64], accesses: usize) -> Machine {
    let machine = Machine::new(sc(paces.len()));
    timed((0..).zip(paces).fold(machine, |machine, (n, &pace)| {
        machine.task(n, move |m, cpu| {
            Box::pin(async move {
                for _ in 0..accesses {
                    cpu.load(X).await;
                    cpu.spend(pace - 1);
                    m.say(n.to_string());
                }
            })
        })
    }))
}

#[test]
fn the_earliest_clock_goes_next() {
    // Their accesses begin at 0 3 6, 0 5 10 and 0 2 4.
    assert_eq!(at_paces(&[3, 5, 2], 3).run_with(exact()), "0 1 2 2 0 2 1 0 1");
}

/// The CPU that ran last comes first, and then the others by number.
#[test]
fn of_equal_clocks_the_simplest_goes_next() {
    assert_eq!(at_paces(&[1, 1, 1], 2).run_with(exact()), "0 1 2 2 0 1");
}

#[test]
fn a_value_is_the_first() {
    let machine = timed(Machine::new(sc(1)).task(0, |m, cpu| {
        Box::pin(async move {
            cpu.load(X).await;
            m.say(m.core.choose_value("a value", 3).to_string());
        })
    }));
    assert_eq!(machine.run_with(jittered(7, 100)), "0");
}

/// CPU 0 interrupts CPU 1 in its second access, at cycle 2: it arrives at 52.
fn interrupting(pace: u64, accesses: usize) -> Machine {
    let machine = Machine::new(sc(2))
        .task(0, |_, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                cpu.load(X).await;
                cpu.raise(CpuId(1), Vector(7));
            })
        })
        .task(1, move |m, cpu| {
            Box::pin(async move {
                for _ in 0..accesses {
                    cpu.load(Y).await;
                    cpu.spend(pace - 1);
                    say(m, cpu, "user");
                }
            })
        })
        .on_interrupt(|m, cpu, _| {
            Box::pin(async move {
                cpu.load(Z).await;
                say(m, cpu, "handler");
            })
        });
    timed(machine)
}

#[test]
fn an_interrupt_is_taken_when_it_has_arrived() {
    // Before the first access that begins after 52; 20 for the entry, 1 for the load, 10 for the return.
    let trace = interrupting(20, 4).run_with(exact());
    assert_eq!(trace, "user@20 user@40 user@60 handler@81 user@111");
    // At the very moment: before the access.
    assert_eq!(interrupting(26, 3).run_with(exact()), "user@26 user@52 handler@73 user@109");
}

#[test]
fn a_cpu_that_idles_takes_an_interrupt_when_it_arrives() {
    assert_eq!(interrupting(1, 1).run_with(exact()), "user@1 handler@73");
}

#[test]
fn an_interrupt_waits_for_the_flag() {
    let machine = Machine::new(sc(2))
        .task(0, |_, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                cpu.raise(CpuId(1), Vector(7));
            })
        })
        .task(1, |m, cpu| {
            Box::pin(async move {
                let off = cpu.irq_save();
                cpu.load(Y).await;
                cpu.spend(199);
                cpu.load(Y).await;
                drop(off);
                say(m, cpu, "on");
            })
        })
        .on_interrupt(|m, cpu, _| {
            Box::pin(async move {
                cpu.load(Z).await;
                say(m, cpu, "handler");
            })
        });
    assert_eq!(timed(machine).run_with(exact()), "on@201 handler@222");
}

/// A lock is passed on when it is released, and no waiter lags behind.
#[test]
fn a_waiter_is_not_behind_the_one_that_lets_it_go_on() {
    let machine = (0..3).fold(Machine::new(sc(3)), |machine, n| {
        machine.task(n, move |m, cpu| {
            Box::pin(async move {
                let held = cpu.lock(SpinLock(W.loc())).await;
                cpu.load(X).await;
                cpu.spend(99);
                drop(held);
                say(m, cpu, "released");
                cpu.load(Y).await;
                say(m, cpu, "beyond");
            })
        })
    });
    let expected = "released@101 beyond@102 released@202 beyond@203 released@303 beyond@304";
    assert_eq!(timed(machine).run_with(exact()), expected);
}

/// CPU 0 interrupts all others and waits for their acknowledgements: handlers run side by side, so the
/// whole takes a flight, a handler, and a store and a look for each.
#[test]
fn handlers_run_in_parallel() {
    for others in 1..6_u8 {
        let machine = Machine::new(sc(usize::from(others) + 1))
            .task(0, move |m, cpu| {
                Box::pin(async move {
                    for n in 1..=others {
                        cpu.store(crate::common::word(u32::from(n)), 1).await;
                        cpu.raise(CpuId(n), Vector(7));
                    }
                    for n in 1..=others {
                        cpu.wait(Gate::Zero(crate::common::word(u32::from(n)).loc())).await;
                    }
                    say(m, cpu, "done");
                })
            })
            .on_interrupt(|_, cpu, _| {
                Box::pin(async move {
                    cpu.load(X).await;
                    cpu.spend(200);
                    cpu.store(crate::common::word(u32::from(cpu.id.0)), 0).await;
                })
            });
        let last_acknowledgement = u64::from(others) + 50 + 20 + 1 + 200 + 1;
        let trace = timed(machine).run_with(exact());
        assert_eq!(trace, format!("done@{}", last_acknowledgement + 1), "{others} others");
    }
}

/// A task that sleeps leaves the CPU; one that could go on keeps it.
#[test]
fn a_task_is_left_only_when_it_cannot_go_on() {
    let machine = Machine::new(sc(2))
        .task(0, |m, cpu| {
            Box::pin(async move {
                for _ in 0..3 {
                    cpu.load(X).await;
                }
                say(m, cpu, "first");
                let asleep = Op::new(sim_core::OpKind::Wait, W.loc()).behind(Gate::NonZero(W.loc())).sleeping();
                cpu.step(asleep, |_| ()).await;
                say(m, cpu, "woken");
            })
        })
        .task(0, |m, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                say(m, cpu, "second");
            })
        })
        .task(1, |_, cpu| {
            Box::pin(async move {
                cpu.load(Y).await;
                cpu.spend(998);
                cpu.store(W, 1).await;
            })
        });
    // The CPU idles until the task is woken at 1000.
    assert_eq!(timed(machine).run_with(exact()), "first@3 second@4 woken@1001");
}

/// Store buffering: each sees the other's store once it has left the buffer.
#[test]
fn a_store_leaves_the_buffer_after_a_while() {
    let outcome = |delay: u64| {
        let machine =
            [(0, X, Y), (1, Y, X)].into_iter().fold(Machine::new(tso(2)), |machine, (n, mine, other)| {
                machine.task(n, move |m, cpu| {
                    Box::pin(async move {
                        cpu.store(mine, 1).await;
                        cpu.load(Z).await;
                        cpu.spend(delay);
                        let value = cpu.load(other).await;
                        m.keep(cpu, value);
                    })
                })
            });
        let machine = timed(machine);
        machine.core.set_source(exact());
        machine.run(|m, _| m.registers())
    };
    assert_eq!(outcome(0), [0, 0]);
    assert_eq!(outcome(100), [1, 1]);
}

/// A callback waits for the tick after the grace period.
#[test]
fn a_callback_comes_with_a_tick() {
    let machine = Machine::new(Config { cpus: 2, ..Config::default() })
        .task(0, |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                cpu.load(X).await;
                m.core.rcu.call(cpu.id, 5);
            })
        })
        .task(1, |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                for _ in 0..3 {
                    cpu.load(Y).await;
                    cpu.spend(999);
                }
                m.say("reader");
            })
        });
    let machine = timed(machine);
    machine.core.set_source(exact());
    let (trace, clock) = machine.run(|m, outcome| (m.trace(outcome), m.core.cycles(CpuId(0))));
    assert_eq!(trace, "reader callback5", "vector {}", RCU.0);
    // The reader's last step begins at 2000 and ends at 3000; 30 more are the interrupt's.
    assert_eq!(clock, 4_003_030);
}

#[test]
fn jitter_is_a_matter_of_the_seed() {
    let machine = at_paces(&[3, 4, 5], 8);
    let run = |seed, jitter| machine.run_with(jittered(seed, jitter));
    for seed in 0..50 {
        assert_eq!(run(seed, 0), machine.run_with(exact()), "seed {seed} without jitter");
        assert_eq!(run(seed, 9), run(seed, 9), "seed {seed} twice");
    }
    let traces: BTreeSet<_> = (0..50).map(|seed| run(seed, 9)).collect();
    assert!(traces.len() > 40, "50 seeds have {} orders", traces.len());
}

/// Clocks that start apart are a part of the run: no CPU goes before its start.
#[test]
fn starts_are_a_matter_of_the_seed() {
    let machine = timed((0..3).fold(Machine::new(sc(3)), |machine, n| {
        machine.task(n, move |m, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                m.say(m.core.cycles(cpu.id).to_string());
            })
        })
    }));
    let mut starts = BTreeSet::new();
    for seed in 0..50 {
        let run = || machine.run_with(Source::Timed(Timed::new(seed, 0).starting_within(1_000)));
        let times: Vec<u64> = run().split(' ').map(|time| time.parse().expect("a clock")).collect();
        assert!(
            times.is_sorted() && times.iter().all(|time| (1..=1_001).contains(time)),
            "seed {seed}: {times:?}"
        );
        assert_eq!(run(), run(), "seed {seed} twice");
        starts.extend(times);
    }
    assert!(starts.len() > 100, "50 seeds have {} starts", starts.len());
    assert_eq!(machine.run_with(exact()), "1 1 1", "after a run with starts");
}

/// No CPU goes before another that is earlier by more than the jitter.
#[test]
fn jitter_has_bounds() {
    let machine = timed((0..2).fold(Machine::new(sc(2)), |machine, n| {
        machine.task(n, move |m, cpu| {
            Box::pin(async move {
                for _ in 0..20 {
                    m.say(m.core.cycles(cpu.id).to_string());
                    cpu.load(X).await;
                    cpu.spend(10 + u64::from(n));
                }
            })
        })
    }));
    for seed in 0..200 {
        let trace = machine.run_with(jittered(seed, 30));
        let times: Vec<u64> = trace.split(' ').map(|time| time.parse().expect("a clock")).collect();
        let mut latest = 0;
        for time in times {
            // What was said begins an access; an access that began later may have gone before.
            assert!(time + 30 + 12 >= latest, "seed {seed}: {time} after {latest}");
            latest = latest.max(time);
        }
    }
}
