//! Several tasks on a CPU: when it goes from one to another, and what it runs in between.

use crate::common::{Machine, W, X, Y, in_order, sc, tso};
use sim_core::{Config, Cpu, CpuId, Gate, Op, OpKind, SpinLock, TaskId, Vector};

/// One access, and its name in the trace when it is done.
async fn access(m: &Machine, cpu: Cpu<'_>, name: &str) {
    cpu.load(X).await;
    m.say(name);
}

async fn sleep_until_set(cpu: Cpu<'_>) {
    let op = Op::new(OpKind::Wait, Y.loc()).behind(Gate::NonZero(Y.loc())).sleeping();
    cpu.step(op, |_| ()).await;
}

fn preemptible(cpus: usize) -> Config {
    Config { preempt: true, ..sc(cpus) }
}

/// What a task has around two accesses.
#[derive(Clone, Copy, Debug)]
enum Inside {
    User,
    Kernel,
    /// In the kernel, back from a second entry such as a fault.
    KernelAgain,
    IrqsOff,
    PreemptOff,
    Spinlock,
    RcuReader,
}

impl Inside {
    async fn run(self, m: &Machine, cpu: Cpu<'_>) {
        let _kernel = (!matches!(self, Inside::User)).then(|| cpu.enter_kernel());
        if matches!(self, Inside::KernelAgain) {
            drop(cpu.enter_kernel());
        }
        let _irqs = matches!(self, Inside::IrqsOff).then(|| cpu.irq_save());
        let _preempt = matches!(self, Inside::PreemptOff).then(|| cpu.preempt_disable());
        let _reader = matches!(self, Inside::RcuReader).then(|| cpu.rcu_read_lock());
        let _held = match self {
            Inside::Spinlock => Some(cpu.lock(SpinLock(W.loc())).await),
            _ => None,
        };
        access(m, cpu, "a").await;
        access(m, cpu, "b").await;
    }
}

#[test]
fn preempted_where_that_is_allowed() {
    for (inside, preempt, expected) in [
        (Inside::User, false, true),
        (Inside::User, true, true),
        (Inside::Kernel, false, false),
        (Inside::Kernel, true, true),
        (Inside::KernelAgain, false, false),
        (Inside::IrqsOff, true, false),
        (Inside::PreemptOff, true, false),
        (Inside::Spinlock, true, false),
        (Inside::RcuReader, true, true),
    ] {
        let machine = Machine::new(Config { preempt, ..sc(1) })
            .task(0, move |m, cpu| Box::pin(inside.run(m, cpu)))
            .task(0, |m, cpu| Box::pin(access(m, cpu, "other")));
        let what = format!("{inside:?}, preempt {preempt}: other between a and b");
        let between = |trace: &String| in_order(trace, &["a", "other", "b"]);
        let traces = machine.traces_within(10);
        if expected {
            traces.sometimes(&what, between);
        } else {
            traces.never(&what, between);
        }
    }
}

/// Without preemption, kernel code of the next task comes after the end of the first. The task that was added first runs
/// first.
#[test]
fn one_after_the_other() {
    let machine = Machine::new(sc(1))
        .task(0, |m, cpu| Box::pin(Inside::Kernel.run(m, cpu)))
        .task(0, |m, cpu| Box::pin(access(m, cpu, "c")))
        .task(0, |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                access(m, cpu, "d").await;
            })
        });
    // Task 1 stays in user mode, so task 2 may come before its access.
    machine.traces().is_exactly("three tasks", ["a b c d", "a b d c"]);
}

#[test]
fn preemption_anywhere_between_accesses() {
    let machine =
        Machine::new(preemptible(1)).task(0, |m, cpu| Box::pin(Inside::Kernel.run(m, cpu))).task(0, |m, cpu| {
            Box::pin(async move {
                let _off = cpu.preempt_disable();
                access(m, cpu, "c").await;
                access(m, cpu, "d").await;
            })
        });
    machine.traces().is_exactly("two tasks, one not preemptible", ["a b c d", "a c d b", "c d a b"]);
}

/// Switch code takes steps of its own, with interrupts off, before the first access of the task.
#[test]
fn switch_code_runs_first() {
    let machine = Machine::new(sc(2))
        .task(0, |m, cpu| Box::pin(Inside::Kernel.run(m, cpu)))
        .task(0, |m, cpu| {
            m.say("begun");
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                assert_eq!(cpu.task(), Some(TaskId(1)));
                access(m, cpu, "c").await;
            })
        })
        .on_switch(|m, cpu, next| {
            Some(Box::pin(async move {
                assert!(!cpu.irqs_enabled(), "a switch is not interrupted");
                assert_eq!(cpu.task(), Some(next));
                m.say(format!("to{}(", next.0));
                cpu.load(X).await;
                m.say(")");
            }))
        })
        .task(1, |_, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                cpu.raise(CpuId(0), Vector(7));
            })
        });
    let explored = machine.explore(|m, outcome| m.trace(outcome).replacen("begun ", "", 1));
    let around =
        ["irq7 a b to1( ) c", "a irq7 b to1( ) c", "a b irq7 to1( ) c", "a b to1( ) irq7 c", "a b to1( ) c irq7"];
    explored.is_exactly("a switch and an interrupt", around);
}

/// A CPU goes back to a sleeping task only when the task is woken, and runs the switch code again.
#[test]
fn back_to_a_woken_sleeper() {
    let machine = Machine::new(sc(1))
        .task(0, |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                let _off = cpu.irq_save();
                access(m, cpu, "a").await;
                sleep_until_set(cpu).await;
                assert!(!cpu.irqs_enabled(), "a task finds its mode as it left it");
                m.say("woken");
            })
        })
        .task(0, |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                assert!(cpu.irqs_enabled(), "a mode is its task's own");
                access(m, cpu, "b").await;
                cpu.store(Y, 1).await;
                access(m, cpu, "c").await;
            })
        })
        .on_switch(|m, _, next| {
            m.say(format!("to{}", next.0));
            None
        });
    machine.traces().is_exactly("sleeper and waker", ["a to1 b c to0 woken"]);
}

/// A sleeping operation whose gate is open is like any other.
#[test]
fn no_sleep_without_need() {
    let machine = Machine::new(sc(1))
        .task(0, |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                cpu.store(Y, 1).await;
                sleep_until_set(cpu).await;
                m.say("on");
            })
        })
        .task(0, |m, cpu| Box::pin(access(m, cpu, "other")));
    machine.traces().is_exactly("a task that need not sleep, and its neighbour", ["on other"]);
}

#[test]
fn a_sleeper_without_a_neighbour_waits() {
    let machine = Machine::new(sc(2))
        .task(0, |m, cpu| {
            Box::pin(async move {
                sleep_until_set(cpu).await;
                m.say("woken");
            })
        })
        .task(1, |m, cpu| {
            Box::pin(async move {
                access(m, cpu, "a").await;
                cpu.store(Y, 1).await;
            })
        });
    machine.traces().is_exactly("woken from another CPU", ["a woken"]);
}

#[test]
fn sleepers_that_nobody_wakes_are_named() {
    let machine = Machine::new(sc(1))
        .task(0, |_, cpu| Box::pin(sleep_until_set(cpu)))
        .task(0, |m, cpu| Box::pin(access(m, cpu, "a")))
        .task(0, |_, cpu| Box::pin(sleep_until_set(cpu)));
    machine.traces().is_exactly("two sleepers", ["a deadlock(0 2)"]);
}

/// A store buffer is the CPU's, not the task's: the next task sees what is in it.
#[test]
fn the_next_task_sees_the_store_buffer() {
    let machine = Machine::new(tso(1))
        .task(0, |_, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                cpu.store(X, 1).await;
            })
        })
        .task(0, |m, cpu| {
            Box::pin(async move {
                let seen = cpu.load(X).await;
                m.say(seen.to_string());
            })
        });
    machine.traces().is_exactly("the word that the task before wrote", ["1"]);
}

#[test]
fn a_run_ends_at_its_bound() {
    let machine = Machine::new(sc(1)).task(0, |m, cpu| {
        Box::pin(async move {
            for name in ["a", "b", "c"] {
                access(m, cpu, name).await;
            }
        })
    });
    for (bound, expected) in [(0, "endless"), (2, "a b endless"), (3, "a b c"), (4, "a b c")] {
        assert_eq!(machine.run_at_most(bound, Machine::trace), expected, "of at most {bound} steps");
    }
}

#[test]
fn a_run_ends_when_asked_to() {
    let machine = Machine::new(sc(1)).task(0, |m, cpu| {
        Box::pin(async move {
            access(m, cpu, "a").await;
            m.core.request_stop();
            m.say("asked");
            access(m, cpu, "b").await;
        })
    });
    machine.traces().is_exactly("after the present step", ["a asked stopped"]);
}
