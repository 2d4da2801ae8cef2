//! The event log: what happened, where in memory and where in the code, and in which order.

use crate::common::{Machine, W, X, Y, sc, tso};
use sim_core::source::{Replay, Source};
use sim_core::{CpuId, Event, Gate, OpKind, Outcome, SpinLock, Vector};

fn show(m: &Machine, (cpu, event): &(CpuId, Event)) -> String {
    let name = |loc| m.core.memory.describe(loc);
    let what = match *event {
        Event::Access { kind, loc, old, new, .. } => format!("{kind:?} {} {old}->{new}", name(loc)),
        Event::Drain { loc, old, new } => format!("drain {} {old}->{new}", name(loc)),
        Event::Release { loc } => format!("release {}", name(loc)),
        Event::Enter(routine) => format!("{routine}("),
        Event::Exit => ")".to_owned(),
        Event::Raise { target, vector } => format!("raise {} on {target}", vector.0),
        Event::Interrupt(vector) => format!("interrupt {}", vector.0),
        Event::Return => "return".to_owned(),
        Event::Switch(task) => format!("switch to {}", task.0),
    };
    format!("{cpu} {what}")
}

/// The log of the run in which each decision is the first, except for the given ones.
fn log(machine: Machine, decisions: &[(u32, u32)]) -> Vec<String> {
    let machine = machine.logged();
    machine.core.set_source(Source::Replay(Replay::lenient(decisions.to_vec())));
    machine.run(|m, _| m.log.events().iter().map(|event| show(m, event)).collect())
}

#[test]
fn accesses() {
    let machine = Machine::new(sc(1)).task(0, |m, cpu| {
        Box::pin(async move {
            let _f = cpu.enter("f");
            cpu.store(X, 1).await;
            cpu.load(X).await;
            {
                let _g = cpu.enter("g");
                assert_eq!(cpu.routines(), ["f", "g"]);
                cpu.rmw(X, |x: u64| x + 1).await;
                cpu.cmpxchg(X, 9, 5).await;
                cpu.xchg(X, 4).await;
            }
            assert_eq!(cpu.routines(), ["f"]);
            cpu.walk_load(X).await;
            cpu.wait(Gate::NonZero(X.loc())).await;
            drop(cpu.lock(SpinLock(W.loc())).await);
            drop(cpu.down_read(m.sem).await);
        })
    });
    let expected = [
        "cpu0 f(",
        "cpu0 Write word[0] 0->1",
        "cpu0 Read word[0] 1->1",
        "cpu0 g(",
        "cpu0 Rmw word[0] 1->2",
        "cpu0 Rmw word[0] 2->2",
        "cpu0 Rmw word[0] 2->4",
        "cpu0 )",
        "cpu0 Walk word[0] 4->4",
        "cpu0 Wait word[0] 4->4",
        "cpu0 Acquire word[3] 0->1",
        "cpu0 release word[3]",
        "cpu0 Acquire sem 0->1",
        "cpu0 release sem",
        "cpu0 )",
    ];
    assert_eq!(log(machine, &[]), expected);
}

/// The log has a store twice: when it is made, with the value that the word will have, and when it drains.
#[test]
fn buffered_stores() {
    let machine = Machine::new(tso(1)).task(0, |_, cpu| {
        Box::pin(async move {
            cpu.store(X, 1).await;
            cpu.load(X).await;
            cpu.rmw(Y, |y: u64| y + 1).await;
        })
    });
    let expected =
        ["cpu0 Write word[0] 0->1", "cpu0 Read word[0] 1->1", "cpu0 drain word[0] 0->1", "cpu0 Rmw word[1] 0->1"];
    assert_eq!(log(machine, &[]), expected);
}

/// Routines belong to their context: a handler begins with none, and its task finds its own again.
#[test]
fn interrupts_and_switches() {
    let machine = Machine::new(sc(1))
        .task(0, |_, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                let _f = cpu.enter("f");
                cpu.raise(cpu.id, Vector(7));
                cpu.store(X, 1).await;
                assert_eq!(cpu.routines(), ["f"]);
            })
        })
        .task(0, |_, cpu| {
            Box::pin(async move {
                assert!(cpu.routines().is_empty());
                cpu.load(X).await;
            })
        })
        .on_interrupt(|_, cpu, _| {
            Box::pin(async move {
                assert!(cpu.routines().is_empty());
                let _h = cpu.enter("h");
                cpu.load(X).await;
            })
        });
    let expected = [
        "cpu0 f(",
        "cpu0 raise 7 on cpu0",
        "cpu0 interrupt 7",
        "cpu0 h(",
        "cpu0 Read word[0] 0->0",
        "cpu0 )",
        "cpu0 return",
        "cpu0 Write word[0] 0->1",
        "cpu0 )",
        "cpu0 switch to 1",
        "cpu0 Read word[0] 1->1",
    ];
    assert_eq!(log(machine, &[(1, 2)]), expected);
}

/// An access is placed where the simulated code makes it, not in this crate.
#[test]
fn places() {
    const FIRST: u32 = line!() + 5;
    let machine = Machine::new(sc(1))
        .task(0, |m, cpu| {
            Box::pin(async move {
                // One a line, from here.
                cpu.load(X).await;
                cpu.store(X, 1).await;
                cpu.rmw(X, |x: u64| x).await;
                cpu.xchg(X, 1).await;
                cpu.cmpxchg(X, 1, 1).await;
                cpu.walk_load(X).await;
                cpu.wait(Gate::Open).await;
                drop(cpu.lock(SpinLock(W.loc())).await);
                drop(cpu.try_lock(SpinLock(W.loc())).await);
                drop(cpu.down_read(m.sem).await);
                drop(cpu.down_write(m.sem).await);
            })
        })
        .logged();
    let lines: Vec<_> = machine.run(|m, _| {
        let places = m.log.events().into_iter().filter_map(|(_, event)| match event {
            Event::Access { place, .. } => Some((place.file(), place.line())),
            _ => None,
        });
        places.collect()
    });
    assert_eq!(lines, (FIRST..FIRST + 11).map(|line| (file!(), line)).collect::<Vec<_>>());
}

/// The place of an access for which a blocked task waits is in the simulated code too.
#[test]
fn places_of_blocked_tasks() {
    let machine = Machine::new(sc(1)).task(0, |_, cpu| {
        Box::pin(async move {
            cpu.store(X, 1).await;
            cpu.wait(Gate::Zero(X.loc())).await;
        })
    });
    let line = line!() - 3;
    machine.run(|_, outcome| {
        let Outcome::Deadlock(blocked) = outcome else { panic!("{outcome:?}") };
        let [blocked] = blocked.as_slice() else { panic!("{blocked:?}") };
        let op = blocked.op;
        assert_eq!((op.kind, op.loc, op.gate), (OpKind::Wait, X.loc(), Gate::Zero(X.loc())));
        assert_eq!((op.place.file(), op.place.line()), (file!(), line));
    });
}

#[test]
fn nothing_without_tracing() {
    let machine = Machine::new(sc(1)).logged().task(0, |_, cpu| {
        Box::pin(async move {
            let _f = cpu.enter("f");
            assert!(cpu.routines().is_empty());
            cpu.load(X).await;
        })
    });
    machine.core.set_traced(false);
    machine.run(|m, _| assert!(m.log.events().is_empty(), "{:?}", m.log.events()));
}
