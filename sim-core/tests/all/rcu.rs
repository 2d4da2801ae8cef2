//! Grace periods: what holds up a callback, for how long, and where it runs.

use crate::common::{Machine, W, X, Y, in_order, sc};
use sim_core::rcu::RcuRules;
use sim_core::{Config, Cpu, CpuId, Gate, Op, OpKind, SpinLock, Vector};

const OLD: RcuRules = RcuRules { read_lock_counts: false, preempt: true };
const CONSOLIDATED: RcuRules = RcuRules { read_lock_counts: true, preempt: true };
const NON_PREEMPTIBLE: RcuRules = RcuRules { read_lock_counts: true, preempt: false };

fn under(rules: RcuRules, cpus: usize) -> Machine {
    Machine::new(Config { rcu: rules, ..sc(cpus) })
}

/// Queues a callback at the moment of an access.
async fn call(m: &Machine, cpu: Cpu<'_>, token: u64) {
    cpu.load(X).await;
    m.core.rcu.call(cpu.id, token);
    m.say(format!("call{token}"));
}

/// What a CPU is in for two accesses.
#[derive(Clone, Copy, Debug)]
enum Inside {
    User,
    Kernel,
    IrqsOff,
    PreemptOff,
    ReadLock,
    Spinlock,
    Sleep,
    Handler,
}

impl Inside {
    async fn run(self, m: &Machine, cpu: Cpu<'_>) {
        let _kernel = (!matches!(self, Inside::User)).then(|| cpu.enter_kernel());
        let _irqs = matches!(self, Inside::IrqsOff).then(|| cpu.irq_save());
        let _preempt = matches!(self, Inside::PreemptOff).then(|| cpu.preempt_disable());
        let _reader = matches!(self, Inside::ReadLock).then(|| cpu.rcu_read_lock());
        let _held = match self {
            Inside::Spinlock => Some(cpu.lock(SpinLock(W.loc())).await),
            _ => None,
        };
        match self {
            Inside::Handler => cpu.raise(cpu.id, Vector(7)),
            Inside::Sleep => {
                m.say("in");
                let op = Op::new(OpKind::Wait, Y.loc()).behind(Gate::NonZero(Y.loc())).sleeping();
                cpu.step(op, |_| ()).await;
                m.say("out");
            }
            _ => section(m, cpu).await,
        }
    }
}

async fn section(m: &Machine, cpu: Cpu<'_>) {
    cpu.load(X).await;
    m.say("in");
    cpu.load(X).await;
    m.say("out");
}

#[test]
fn what_holds_up_a_grace_period() {
    let all = [OLD, CONSOLIDATED, NON_PREEMPTIBLE];
    for (inside, holds_up) in [
        (Inside::User, [false, false, false]),
        (Inside::Kernel, [false, false, true]),
        (Inside::IrqsOff, [true, true, true]),
        (Inside::PreemptOff, [true, true, true]),
        (Inside::Spinlock, [true, true, true]),
        (Inside::ReadLock, [false, true, true]),
        (Inside::Sleep, [false, false, false]),
        (Inside::Handler, [true, true, true]),
    ] {
        for (rules, holds_up) in all.into_iter().zip(holds_up) {
            let what = format!("{inside:?} holds up a grace period of {rules:?}: {holds_up}");
            let traces = under(rules, 2)
                .task(0, |m, cpu| {
                    Box::pin(async move {
                        call(m, cpu, 1).await;
                        // What wakes the sleeper, when the callback may have run.
                        cpu.load(X).await;
                        cpu.store(Y, 1).await;
                    })
                })
                .task(1, move |m, cpu| Box::pin(inside.run(m, cpu)))
                .on_interrupt(|m, cpu, _| Box::pin(section(m, cpu)))
                .traces();
            let inside_of_it = |trace: &String| in_order(trace, &["in", "call1", "callback1", "out"]);
            if holds_up {
                traces.never(&what, inside_of_it);
                // Not in vain: it was asked for inside, and ran outside.
                traces.sometimes(&what, |trace| in_order(trace, &["in", "call1", "out", "callback1"]));
            } else {
                traces.sometimes(&what, inside_of_it);
            }
            traces.never("one callback each time", |trace| trace.matches("callback").count() != 1);
        }
    }
}

/// A section that begins after the call need not be waited for, once its CPU was quiescent.
#[test]
fn later_sections_do_not_hold_it_up() {
    let machine = under(NON_PREEMPTIBLE, 3).task(0, |m, cpu| Box::pin(call(m, cpu, 1))).task(1, |m, cpu| {
        Box::pin(async move {
            cpu.load(X).await;
            let _kernel = cpu.enter_kernel();
            section(m, cpu).await;
        })
    });
    machine
        .traces()
        .sometimes("the callback is not delayed", |trace| in_order(trace, &["call1", "in", "callback1", "out"]));
}

/// For each of two callbacks, every section that was under way when it was queued has ended when it
/// runs, also when it was queued during the grace period of the other.
#[test]
fn each_callback_has_a_grace_period_of_its_own() {
    let machine = under(CONSOLIDATED, 3)
        .task(0, |m, cpu| Box::pin(call(m, cpu, 1)))
        .task(1, |m, cpu| {
            Box::pin(async move {
                let _reader = cpu.rcu_read_lock();
                let _kernel = cpu.enter_kernel();
                cpu.load(X).await;
                m.say("in1");
                call(m, cpu, 2).await;
                cpu.load(X).await;
                m.say("out1");
            })
        })
        .task(2, |m, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                let _kernel = cpu.enter_kernel();
                let _reader = cpu.rcu_read_lock();
                cpu.load(X).await;
                m.say("in2");
                cpu.load(X).await;
                m.say("out2");
            })
        });
    let traces = machine.traces();
    for token in [1, 2] {
        for section in [1, 2] {
            let [call, callback] = [format!("call{token}"), format!("callback{token}")];
            let [enter, leave] = [format!("in{section}"), format!("out{section}")];
            traces.never("a callback inside of a section", |trace| {
                in_order(trace, &[&enter, &call, &callback, &leave])
            });
        }
    }
    traces.sometimes("the second waits longer", |trace| {
        in_order(trace, &["call1", "in2", "call2", "callback1", "out2", "callback2"])
    });
    traces.sometimes("they share one", |trace| in_order(trace, &["call1", "call2", "callback1", "callback2"]));
    traces.never("each runs once", |trace| trace.matches("callback").count() != 2);
}

/// Callbacks run on the CPU that queued them (the machine asserts it), in the order of their calls,
/// and only when that CPU takes interrupts.
#[test]
fn callbacks_run_where_they_were_queued() {
    let machine = under(OLD, 2)
        .task(0, |m, cpu| {
            Box::pin(async move {
                let off = cpu.irq_save();
                call(m, cpu, 1).await;
                call(m, cpu, 2).await;
                drop(off);
                cpu.load(X).await;
                m.say("on");
            })
        })
        .task(1, |m, cpu| Box::pin(call(m, cpu, 3)));
    let traces = machine.traces();
    traces.never("interrupts are off", |trace| {
        in_order(trace, &["callback1", "call2"]) || in_order(trace, &["callback2", "callback1"])
    });
    for token in ["callback1", "callback2", "callback3"] {
        traces.never(&format!("{token} is lost"), |trace| !in_order(trace, &[token]));
    }
    traces.sometimes("both CPUs have one at a time", |trace| {
        in_order(trace, &["callback3", "callback1"]) && in_order(trace, &["callback1", "callback2"])
    });
}

/// A handler that queues a callback and a CPU that never runs anything: the run does not end before.
#[test]
fn a_run_ends_after_its_callbacks() {
    let machine =
        under(NON_PREEMPTIBLE, 4).task(0, |_, cpu| Box::pin(async move { cpu.raise(CpuId(3), Vector(7)) }));
    let machine = machine.on_interrupt(|m, cpu, _| {
        m.core.rcu.call(cpu.id, 1);
        Box::pin(async {})
    });
    machine.traces().is_exactly("after the last task", ["callback1"]);
}
