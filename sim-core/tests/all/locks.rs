//! Spinlocks, semaphores and sequence counts: who excludes whom, who waits for whom, and what the CPU of a waiter does
//! meanwhile.

use crate::common::{Explored, Machine, W, X, Y, Z, in_order, sc, tso, word};
use sim_core::{Config, Event, Gate, OpKind, Outcome, SeqCount, SpinLock};

const LOCK: SpinLock = SpinLock(W.loc());

/// Each CPU adds one to a word by a load and a store.
fn adders(config: Config, locked: bool) -> Explored<u64> {
    let machine = (0..config.cpus as u8).fold(Machine::new(config), |machine, cpu| {
        machine.task(cpu, move |_, cpu| {
            Box::pin(async move {
                let _held = if locked { Some(cpu.lock(LOCK).await) } else { None };
                let seen = cpu.load(X).await;
                cpu.store(X, seen + 1).await;
            })
        })
    });
    machine.explore(|m, outcome| {
        assert!(matches!(outcome, Outcome::Completed), "{outcome:?}");
        assert_eq!(m.core.memory.get(W.loc()), 0, "the lock is left behind");
        m.core.memory.get(X.loc())
    })
}

#[test]
fn a_spinlock_excludes() {
    for config in [sc(2), sc(3), tso(2), tso(3)] {
        let (cpus, memory) = (config.cpus as u64, config.memory);
        adders(config, true).is_exactly(&format!("{cpus} additions under a lock, {memory:?}"), [cpus]);
        adders(config, false).is_exactly(&format!("{cpus} additions without a lock, {memory:?}"), 1..=cpus);
    }
}

#[test]
fn a_lock_names_its_holder() {
    let machine = Machine::new(sc(2)).task(1, |m, cpu| {
        Box::pin(async move {
            let held = cpu.lock(LOCK).await;
            m.say(m.core.memory.get(W.loc()).to_string());
            cpu.load(X).await;
            drop(held);
            m.say(m.core.memory.get(W.loc()).to_string());
        })
    });
    machine.traces().is_exactly("one more than the number of the CPU, then zero", ["2 0"]);
}

#[test]
fn try_lock_answers_at_once() {
    let machine = Machine::new(sc(2))
        .task(0, |m, cpu| {
            Box::pin(async move {
                let held = cpu.lock(LOCK).await;
                m.say("in");
                cpu.load(X).await;
                m.say("out");
                drop(held);
            })
        })
        .task(1, |m, cpu| {
            Box::pin(async move {
                match cpu.try_lock(LOCK).await {
                    Some(_held) => {
                        m.say("got");
                        cpu.load(X).await;
                        m.say("put");
                    }
                    None => m.say("busy"),
                }
            })
        });
    machine.traces().is_exactly("try_lock", ["got put in out", "in busy out", "in out got put"]);
}

/// The store buffer keeps the order of the critical section and its end.
#[test]
fn a_released_lock_shows_what_was_done_under_it() {
    for config in [sc(2), tso(2)] {
        let machine = (0..2).fold(Machine::new(config), |machine, cpu| {
            machine.task(cpu, |m, cpu| {
                Box::pin(async move {
                    let _held = cpu.lock(LOCK).await;
                    let (x, y) = (cpu.load(X).await, cpu.load(Y).await);
                    m.say(format!("{x}{y}"));
                    cpu.store(X, x + 1).await;
                    cpu.store(Y, y + 1).await;
                })
            })
        });
        machine.traces().is_exactly(&format!("what the first and the second see, {:?}", config.memory), ["00 11"]);
    }
}

/// What a CPU does with the semaphore.
#[derive(Clone, Copy)]
enum Role {
    Reader,
    Writer,
    /// A writer that goes on as a reader.
    Downgrader,
}
use Role::{Downgrader, Reader, Writer};

/// Each CPU takes the semaphore once, in its role, for one access (a downgrader for one in each
/// part). CPU 1 says `r1+ r1-` or `w1+ w1-`, or `w1+ w1- r1+ r1-` for a downgrader.
fn in_roles(roles: &[Role]) -> Machine {
    let machine = Machine::new(sc(roles.len()));
    (0..).zip(roles.to_vec()).fold(machine, |machine, (n, role)| {
        machine.task(n, move |m, cpu| {
            Box::pin(async move {
                let _reader = if matches!(role, Reader) {
                    cpu.down_read(m.sem).await
                } else {
                    let writer = cpu.down_write(m.sem).await;
                    m.say(format!("w{n}+"));
                    cpu.load(X).await;
                    m.say(format!("w{n}-"));
                    if matches!(role, Writer) {
                        return;
                    }
                    writer.downgrade()
                };
                m.say(format!("r{n}+"));
                cpu.load(X).await;
                m.say(format!("r{n}-"));
            })
        })
    })
}

/// Whether somebody is inside beside a writer. A waiter is in from the step at which it wakes.
fn clashes(trace: &str) -> bool {
    let (mut readers, mut writers) = (0, 0);
    trace.split(' ').any(|word| {
        match (&word[..1], &word[2..]) {
            ("r", "+") => readers += 1,
            ("r", "-") => readers -= 1,
            ("w", "+") => writers += 1,
            ("w", "-") => writers -= 1,
            _ => return true,
        }
        writers > 1 || (writers == 1 && readers > 0)
    })
}

#[test]
fn writers_exclude_and_readers_share() {
    for roles in [&[Writer, Writer][..], &[Writer, Writer, Writer], &[Reader, Writer, Reader]] {
        in_roles(roles).traces().never("a writer is not alone", |trace| clashes(trace));
    }
    in_roles(&[Writer, Writer]).traces().is_exactly("two writers", ["w0+ w0- w1+ w1-", "w1+ w1- w0+ w0-"]);
    let shared = ["r0+ r0- r1+ r1-", "r0+ r1+ r0- r1-", "r0+ r1+ r1- r0-"];
    let both_ways = shared.iter().flat_map(|trace| {
        let swapped = trace.replace("r0", "r_").replace("r1", "r0").replace("r_", "r1");
        [(*trace).to_owned(), swapped]
    });
    in_roles(&[Reader, Reader]).traces().is_exactly("two readers", both_ways);
}

/// If two tasks ask and one is a writer, the one that asked first comes in first. A waiting writer holds back later
/// readers, and a waiting reader holds back later writers.
#[test]
fn a_semaphore_is_fair() {
    for roles in [&[Reader, Writer, Reader][..], &[Writer, Reader, Writer], &[Writer, Writer, Writer]] {
        let machine = in_roles(roles).logged();
        let unfair = machine.explore(|m, outcome| {
            let asked: Vec<_> = m
                .log
                .events()
                .iter()
                .filter(|(_, event)| matches!(event, Event::Access { kind: OpKind::Acquire, .. }))
                .map(|(cpu, _)| cpu.index())
                .collect();
            let trace = m.trace(outcome);
            let entered = |cpu: usize| trace.find(&format!("{cpu}+")).expect("everybody comes in");
            let fair = asked.iter().enumerate().all(|(n, &first)| {
                asked[n + 1..].iter().all(|&second| {
                    let both_read = matches!((roles[first], roles[second]), (Reader, Reader));
                    both_read || entered(first) < entered(second)
                })
            });
            (!fair).then(|| format!("{trace}, asked for in the order {asked:?}"))
        });
        unfair.is_exactly("unfair", [None]);
    }
}

/// The reader that waits behind a writer comes in when the writer downgrades; a writer only when
/// the last of them has left.
#[test]
fn a_downgrade_lets_readers_in() {
    let with_reader = in_roles(&[Downgrader, Reader]).traces();
    with_reader.never("a writer is not alone", |trace| clashes(trace));
    with_reader.sometimes("the reader shares", |trace| in_order(trace, &["w0-", "r0+", "r1+", "r0-"]));
    with_reader.sometimes("the reader shares", |trace| in_order(trace, &["r0+", "r1+", "r1-", "r0-"]));
    let with_writer = in_roles(&[Downgrader, Writer]).traces();
    let expected = ["w0+ w0- r0+ r0- w1+ w1-", "w1+ w1- w0+ w0- r0+ r0-"];
    with_writer.is_exactly("no writer comes between", expected);
    let with_both = in_roles(&[Downgrader, Writer, Reader]).traces();
    with_both.never("a writer is not alone", |trace| clashes(trace));
    with_both.never("somebody writes between", |trace| in_order(trace, &["w0-", "w1+", "r0+"]));
}

/// Readers that are in line at the downgrade come in by it. To show that, the holder waits for them inside.
#[test]
fn a_downgrade_wakes_readers() {
    let machine = (1..3).fold(Machine::new(sc(3)), |machine, n| {
        machine.task(n, move |m, cpu| {
            Box::pin(async move {
                let _held = cpu.down_read(m.sem).await;
                cpu.store(word(n.into()), 1).await;
            })
        })
    });
    let machine = machine.task(0, |m, cpu| {
        Box::pin(async move {
            let writer = cpu.down_write(m.sem).await;
            cpu.load(X).await;
            let _reader = writer.downgrade();
            cpu.wait(Gate::NonZero(word(1).loc())).await;
            cpu.wait(Gate::NonZero(word(2).loc())).await;
            m.say("both in");
        })
    });
    machine.traces().is_exactly("two readers and the downgraded holder", ["both in"]);
}

/// CPU 1 holds what task 0 of CPU 0 waits for, until task 1 of CPU 0 has run.
fn waiter_with_neighbour(sleeping: bool) -> Machine {
    Machine::new(sc(2))
        .task(0, move |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                cpu.wait(Gate::NonZero(X.loc())).await;
                if sleeping {
                    let _held = cpu.down_read(m.sem).await;
                    m.say("in");
                } else {
                    let _held = cpu.lock(LOCK).await;
                    m.say("in");
                }
            })
        })
        .task(0, |m, cpu| {
            Box::pin(async move {
                cpu.store(Y, 1).await;
                m.say("neighbour");
            })
        })
        .task(1, move |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                if sleeping {
                    let _held = cpu.down_write(m.sem).await;
                    cpu.store(X, 1).await;
                    cpu.wait(Gate::NonZero(Y.loc())).await;
                    m.say("out");
                } else {
                    let _held = cpu.lock(LOCK).await;
                    cpu.store(X, 1).await;
                    cpu.wait(Gate::NonZero(Y.loc())).await;
                    m.say("out");
                }
            })
        })
}

#[test]
fn a_sleeper_leaves_its_cpu_to_another_task() {
    waiter_with_neighbour(true).traces().is_exactly("with a semaphore", ["neighbour out in"]);
}

#[test]
fn a_spinlock_waiter_keeps_its_cpu() {
    // Tasks 0 and 2 wait; task 1 was never begun.
    waiter_with_neighbour(false).traces().is_exactly("with a spinlock", ["deadlock(0 2)"]);
}

/// If the two counts of a reader are equal and even, no writer changed the words while it read them.
#[test]
fn a_sequence_count_tells_of_writers() {
    const SEQ: SeqCount = SeqCount(Z);
    for config in [sc(2), tso(2)] {
        let machine = Machine::new(config)
            .task(0, |_, cpu| {
                Box::pin(async move {
                    cpu.write_begin(SEQ).await;
                    cpu.store(X, 1).await;
                    cpu.store(Y, 1).await;
                    cpu.write_end(SEQ).await;
                })
            })
            .task(1, |m, cpu| {
                Box::pin(async move {
                    let before = cpu.read_seq(SEQ).await;
                    let (x, y) = (cpu.load(X).await, cpu.load(Y).await);
                    let after = cpu.read_seq(SEQ).await;
                    let told = before % 2 == 1 || before != after;
                    m.say(format!("{x}{y}{}", if told { " retry" } else { "" }));
                })
            });
        let expected = ["00", "11", "00 retry", "01 retry", "10 retry", "11 retry"];
        machine.traces().is_exactly(&format!("a read under {:?}", config.memory), expected);
    }
}
