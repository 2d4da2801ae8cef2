//! Cases that once went wrong, because several parts meet in them.

use crate::common::{Machine, W, X, Y, Z, answers, in_order, sc, tso, word};
use sim_core::rcu::RcuRules;
use sim_core::source::{Pct, Pos, Random, Replay, Source};
use sim_core::*;

/// Tasks of one CPU that could be switched to and fro make progress under PCT and POS.
#[test]
fn pct_and_pos_make_progress_with_two_user_tasks() {
    let machine = Machine::new(sc(1))
        .task(0, |m, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                cpu.load(X).await;
                m.say("a")
            })
        })
        .task(0, |m, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                cpu.load(X).await;
                m.say("b")
            })
        });
    let mut stuck = 0;
    for seed in 0..100 {
        for source in [Source::Pct(Pct::new(seed, 3, 20)), Source::Pos(Pos::new(seed))] {
            machine.core.set_source(source);
            stuck += u32::from(machine.run_at_most(100_000, |_, o| matches!(o, Outcome::StepBound)));
        }
    }
    assert_eq!(stuck, 0, "of 200 runs of four accesses do not end within 100,000 steps");
}

/// Under TSO, a task that gets a semaphore sees everything that was stored while it was held.
#[test]
fn a_released_semaphore_shows_what_was_done_under_it() {
    let machine = (0..2).fold(Machine::new(tso(2)), |machine, cpu| {
        machine.task(cpu, |m, cpu| {
            Box::pin(async move {
                let _held = cpu.down_write(m.sem).await;
                let x = cpu.load(X).await;
                m.say(x.to_string());
                cpu.store(X, x + 1).await;
            })
        })
    });
    machine.traces().is_exactly("what the first and the second writer see", ["0 1"]);
}

/// A reader that is preempted inside `rcu_read_lock()` holds up the grace period.
#[test]
fn a_preempted_reader_holds_up_a_grace_period() {
    let rcu = RcuRules { read_lock_counts: true, preempt: true };
    let machine = Machine::new(Config { rcu, preempt: true, ..sc(2) })
        .task(0, |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                let _reader = cpu.rcu_read_lock();
                cpu.load(X).await;
                m.say("in");
                cpu.load(X).await;
                m.say("out");
            })
        })
        .task(0, |_, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
            })
        })
        .task(1, |m, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                cpu.core.rcu.call(cpu.id, 1);
                m.say("call1");
            })
        });
    machine.traces_within(10).never("preempted inside", |t| in_order(t, &["in", "call1", "callback1", "out"]));
}

/// A wait sees the CPU's own buffered store.
#[test]
fn a_wait_sees_the_own_store() {
    let machine = Machine::new(tso(1)).task(0, |_, cpu| {
        Box::pin(async move {
            cpu.store(X, 1).await;
            cpu.wait(Gate::Zero(X.loc())).await;
        })
    });
    machine.traces().is_exactly("nobody clears the word", ["deadlock(0)"]);
}

/// A grace period is a full barrier: stores made before `call_rcu()` are in memory when it ends.
#[test]
fn a_grace_period_orders_stores() {
    let machine = Machine::new(tso(2))
        .task(0, |m, cpu| {
            Box::pin(async move {
                cpu.store(X, 1).await;
                cpu.load(Y).await;
                m.core.rcu.call(cpu.id, 1);
            })
        })
        .task(1, |m, cpu| {
            Box::pin(async move {
                cpu.load(Y).await;
                m.say("in");
                let _kernel = cpu.enter_kernel();
                let _reader = cpu.rcu_read_lock();
                let x = cpu.load(X).await;
                m.say(if x == 0 { "old" } else { "new" });
            })
        });
    machine.traces().never("a section after the callback sees what was before the call", |t| {
        in_order(t, &["callback1", "in", "old"])
    });
}

/// A handler that waits for ever is a deadlock, even on a CPU whose task has ended.
#[test]
fn a_stuck_handler_is_no_completion() {
    let machine = Machine::new(sc(2))
        .task(0, |_, _| Box::pin(async {}))
        .task(1, |_, cpu| Box::pin(async move { cpu.raise(CpuId(0), Vector(7)) }))
        .on_interrupt(|_, cpu, _| Box::pin(async move { cpu.wait(Gate::NonZero(X.loc())).await }));
    machine.run(|_, outcome| assert!(!matches!(outcome, Outcome::Completed), "{outcome:?}"));
}

/// A lock is taken with interrupts on, and again in a handler. The deadlock names the lock for which the handler waits.
#[test]
fn a_deadlock_shows_what_is_waited_for() {
    let lock = SpinLock(W.loc());
    let machine = Machine::new(sc(1))
        .task(0, move |_, cpu| {
            Box::pin(async move {
                let _held = cpu.lock(lock).await;
                cpu.raise(cpu.id, Vector(7));
                cpu.store(X, 1).await;
            })
        })
        .on_interrupt(move |_, cpu, _| Box::pin(async move { drop(cpu.lock(lock).await) }));
    machine.core.set_source(Source::Replay(Replay::lenient(vec![(1, 2)])));
    machine.run(|_, outcome| {
        let Outcome::Deadlock(blocked) = outcome else { panic!("{outcome:?}") };
        assert!(blocked.iter().any(|b| b.op.kind == OpKind::Acquire), "{blocked:?}");
    });
}

/// Switch code that waits for ever is named in the deadlock.
#[test]
fn a_task_below_stuck_switch_code_is_named() {
    let machine = Machine::new(sc(1))
        .task(0, |_, _| Box::pin(async {}))
        .task(0, |_, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
            })
        })
        .on_switch(|_, cpu, _| Some(Box::pin(async move { cpu.wait(Gate::NonZero(X.loc())).await })));
    machine.traces().is_exactly("task 1 cannot go on", ["deadlock(1)"]);
}

/// The digest of the first run is that of any later one, and every access counts in it.
#[test]
fn the_first_run_has_the_same_digest() {
    struct Bare;
    impl<'m> Platform<'m> for Bare {
        fn interrupt(&'m self, _: Cpu<'m>, _: Vector) -> BoxFuture<'m> {
            Box::pin(async {})
        }
        fn switch_to(&'m self, _: Cpu<'m>, _: TaskId) -> Option<BoxFuture<'m>> {
            None
        }
        fn rcu_vector(&self) -> Vector {
            Vector(0)
        }
    }
    let mut memory = MemoryBuilder::default();
    let at = Shared::<u64>::at(memory.words("w", 1));
    let core = Core::new(memory.build(), Config::default());
    core.set_digested(true);
    let mut digests = Vec::new();
    for _ in 0..2 {
        let mut executor = Executor::new(&core, &Bare);
        let cpu = Cpu { core: &core, id: CpuId(0) };
        executor.spawn(
            CpuId(0),
            TaskId(0),
            Box::pin(async move {
                cpu.load(at).await;
            }),
        );
        executor.run(10);
        digests.push(core.digest());
        executor.clear();
        core.rewind();
    }
    assert_eq!(digests[0], digests[1]);
}

/// There is a digest after every `DIGEST_EVERY` steps, the last of them included.
#[test]
fn a_digest_after_sixteen_steps() {
    let machine = Machine::new(sc(1)).task(0, |_, cpu| {
        Box::pin(async move {
            for n in 1..=DIGEST_EVERY {
                cpu.store(X, n).await
            }
        })
    });
    machine.run(|m, _| assert_eq!(m.core.digests(), [m.core.digest()]));
}

/// A failed `try_lock()` is logged and digested.
#[test]
fn a_failed_try_lock_is_an_event() {
    let machine = Machine::new(sc(1))
        .task(0, |_, cpu| {
            Box::pin(async move {
                cpu.store(W, 9).await;
                assert!(cpu.try_lock(SpinLock(W.loc())).await.is_none());
            })
        })
        .logged();
    let accesses = machine.run(|m, _| m.log.events().len());
    assert_eq!(accesses, 2, "a store and a locked operation");
}

/// The step at which a waiter gets a semaphore is logged and digested too.
#[test]
fn getting_a_semaphore_is_an_event() {
    let machine = (0..2)
        .fold(Machine::new(sc(2)), |machine, cpu| {
            machine.task(cpu, |m, cpu| {
                Box::pin(async move {
                    let _held = cpu.down_write(m.sem).await;
                    cpu.load(X).await;
                })
            })
        })
        .logged();
    machine.core.set_source(Source::Replay(Replay::lenient(vec![(0, 2), (1, 2)])));
    let (events, steps) = machine.run(|m, _| {
        (m.log.events().iter().filter(|(_, e)| matches!(e, Event::Access { .. })).count() as u64, m.core.steps())
    });
    assert_eq!(events, steps, "each step is one access");
}

/// A run can go on after a bound, though a CPU's first task has ended meanwhile.
#[test]
fn a_bounded_run_goes_on() {
    let machine = Machine::new(sc(2))
        .task(0, |_, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
            })
        })
        .task(1, |_, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                cpu.load(X).await;
            })
        });
    machine.core.rewind();
    let mut executor = Executor::new(&machine.core, &machine);
    let cpu = |id| Cpu { core: &machine.core, id: CpuId(id) };
    let (a, b) = (cpu(0), cpu(1));
    executor.spawn(
        CpuId(0),
        TaskId(0),
        Box::pin(async move {
            a.load(X).await;
        }),
    );
    executor.spawn(
        CpuId(1),
        TaskId(1),
        Box::pin(async move {
            b.load(X).await;
            b.load(X).await;
        }),
    );
    assert!(matches!(executor.run(2), Outcome::StepBound));
    assert!(matches!(executor.run(10), Outcome::Completed));
}

/// At the bound on steps, no decision is asked for, because it would not be carried out.
#[test]
fn a_bounded_run_keeps_what_it_did() {
    let machine = (0..2).fold(Machine::new(sc(2)), |machine, cpu| {
        machine.task(cpu, |_, cpu| {
            Box::pin(async move {
                for _ in 0..3 {
                    cpu.load(X).await;
                }
            })
        })
    });
    machine.core.keep_decisions(true);
    let decisions = machine.run_at_most(2, |m, _| m.core.decisions());
    assert_eq!(decisions.len(), 2, "two steps were taken: {decisions:?}");
}

/// A choice among very many values is recorded and replayed as it was.
#[test]
fn a_choice_among_many_replays() {
    let machine = Machine::new(sc(1)).task(0, |m, cpu| {
        Box::pin(async move {
            cpu.load(X).await;
            m.say(m.core.choose_value("free frame", 1 << 20).to_string());
        })
    });
    machine.core.keep_decisions(true);
    let first = machine.run_with(Source::Random(Random::new(1)));
    let decisions = answers(&machine.core.decisions());
    assert_eq!(machine.run_with(Source::Replay(Replay::strict(decisions))), first);
}

/// A record whose answer is not below its number of answers diverges.
#[test]
fn a_replay_answers_below_of() {
    let mut replay = Replay::strict(vec![(7, 2)]);
    let answer = replay.choose(&Choice::Value { what: "x", of: 2 });
    assert!(answer < 2, "{answer} of 2");
}

/// A strict replay of a run that ends sooner than its record diverges.
#[test]
fn a_shorter_run_diverges() {
    let two = |n: u32| {
        (0..2).fold(Machine::new(sc(2)), |machine, cpu| {
            machine.task(cpu, move |_, cpu| {
                Box::pin(async move {
                    for _ in 0..n {
                        cpu.load(word(0)).await;
                    }
                })
            })
        })
    };
    let long = two(3);
    long.core.keep_decisions(true);
    long.run_with(Source::Random(Random::new(3)));
    let record = answers(&long.core.decisions());
    let short = two(1);
    short.run_with(Source::Replay(Replay::strict(record)));
    let divergence = short.core.with_source(|s| match s {
        Source::Replay(r) => r.divergence(),
        _ => None,
    });
    assert!(divergence.is_some());
}

/// A hundred waiters of one semaphore get it in their order.
#[test]
fn many_waiters() {
    let machine = (0..70).fold(Machine::new(sc(1)), |machine, n| {
        machine.task(0, move |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                let _held = cpu.down_write(m.sem).await;
                m.say(n.to_string());
                if n == 0 {
                    // Sleeps inside until all others wait in line.
                    let op = Op::new(OpKind::Wait, Z.loc()).behind(Gate::NonZero(Z.loc())).sleeping();
                    cpu.step(op, |_| ()).await;
                }
            })
        })
    });
    // By `Source::First` the tasks ask in the order of their numbers; then any may be woken.
    let machine = machine.task(0, |m, cpu| {
        Box::pin(async move {
            let _kernel = cpu.enter_kernel();
            cpu.store(Z, 1).await;
            m.core.set_source(Source::Random(Random::new(2)));
        })
    });
    machine.core.set_source(Source::First);
    let trace = machine.run_at_most(100_000, Machine::trace);
    let fifo: Vec<_> = (0..70).map(|n| n.to_string()).collect();
    assert_eq!(trace, fifo.join(" "));
}

/// The return from a handler waits for the store buffer, since IRET is serialising (SDM volume 3, "Serializing
/// Instructions").
#[test]
fn the_return_from_an_interrupt_drains() {
    let machine = Machine::new(tso(2))
        .task(0, |m, cpu| {
            Box::pin(async move {
                cpu.store(X, 1).await;
                m.say("stored");
                let y = cpu.load(Y).await;
                m.say(format!("y{y}"));
            })
        })
        .task(1, |m, cpu| {
            Box::pin(async move {
                cpu.raise(CpuId(0), Vector(7));
                cpu.rmw(Y, |_| 1_u64).await;
                let x = cpu.load(X).await;
                m.say(format!("x{x}"));
            })
        });
    machine.traces().never("both read zero over an interrupt", |t| {
        in_order(t, &["stored", "irq7", "y0"]) && in_order(t, &["x0"])
    });
}

/// A task that was just switched to, and must wait, may be preempted by the one that it waits for.
#[test]
fn a_preemptible_waiter_is_preempted() {
    let machine = Machine::new(sc(2))
        .task(0, |_, cpu| {
            Box::pin(async move {
                cpu.load(Y).await;
                cpu.wait(Gate::NonZero(X.loc())).await;
            })
        })
        .task(0, |_, cpu| {
            Box::pin(async move {
                cpu.store(X, 1).await;
                cpu.store(X, 1).await;
            })
        })
        .task(1, |_, cpu| {
            Box::pin(async move {
                cpu.store(X, 0).await;
            })
        });
    let traces = machine.traces_within(20);
    // Task 0 alone may wait for ever (CPU 1 comes last); not while task 1 could still set the word.
    traces.never("task 1 is kept from its CPU by a preemptible waiter", |t| t.contains("deadlock(0 1)"));
}

/// Of three tasks on a CPU, PCT and POS reach every order.
#[test]
fn pct_and_pos_reach_each_task() {
    let machine = (0..3).fold(Machine::new(sc(1)), |machine, n| {
        machine.task(0, move |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                cpu.load(X).await;
                m.say(n.to_string());
            })
        })
    });
    for source in
        [(|seed| Source::Pct(Pct::new(seed, 3, 4))) as fn(u64) -> Source, |seed| Source::Pos(Pos::new(seed))]
    {
        let traces: std::collections::BTreeSet<_> = (0..200).map(|seed| machine.run_with(source(seed))).collect();
        assert_eq!(traces.into_iter().collect::<Vec<_>>(), ["0 1 2", "0 2 1"]);
    }
}

/// A store buffer is finite. A CPU that goes on storing drains it to make room. A search can handle that.
#[test]
fn more_stores_than_a_buffer_holds() {
    const STORES: u64 = 2_500;
    let machine = Machine::new(tso(2))
        .task(0, |m, cpu| {
            Box::pin(async move {
                for value in 1..=STORES {
                    cpu.store(X, value).await;
                }
                let own = cpu.load(X).await;
                // A locked operation waits until all of them are in memory.
                cpu.rmw(Y, |y: u64| y + 1).await;
                m.say(format!("{own} {}", cpu.core.memory.get(X.loc())));
            })
        })
        .task(1, |_, _| Box::pin(async {}));
    let sources = (0..20).map(|seed| Source::Random(Random::new(seed)));
    for source in std::iter::once(Source::First).chain(sources) {
        machine.core.set_source(source);
        let told = machine.run_at_most(20_000, |m, outcome| m.trace(outcome));
        assert!(told.contains("2500 2500"), "{told}");
    }
}
