//! Interrupts: when they are taken, in which order, and what they interrupt. Also what happens when a CPU waits for the
//! handler of another.

use crate::common::{Machine, X, Y, in_order, sc, word};
use sim_core::{Cpu, CpuId, Gate, Op, OpKind, Vector};

/// Announces an access and raises interrupts on `target` at the moment at which it is performed.
async fn send(cpu: Cpu<'_>, target: CpuId, vectors: &[u8]) {
    cpu.step(Op::new(OpKind::Write, X.loc()), |cpu| {
        vectors.iter().for_each(|&vector| cpu.raise(target, Vector(vector)));
    })
    .await;
}

/// A machine whose CPU 1 sends vector 7 to CPU 0.
fn interrupted() -> Machine {
    Machine::new(sc(2)).task(1, |_, cpu| Box::pin(send(cpu, CpuId(0), &[7])))
}

/// One access, and its name in the trace when it is done.
async fn access(m: &Machine, cpu: Cpu<'_>, name: &str) {
    cpu.load(Y).await;
    m.say(name);
}

#[test]
fn taken_between_any_two_accesses() {
    let machine = interrupted().task(0, |m, cpu| {
        Box::pin(async move {
            access(m, cpu, "a").await;
            access(m, cpu, "b").await;
        })
    });
    machine.traces().is_exactly("where the interrupt falls", ["irq7 a b", "a irq7 b", "a b irq7"]);
}

#[test]
fn not_taken_while_the_flag_is_clear() {
    let machine = interrupted().task(0, |m, cpu| {
        Box::pin(async move {
            access(m, cpu, "a").await;
            let off = cpu.irq_save();
            assert!(!cpu.irqs_enabled());
            access(m, cpu, "b").await;
            access(m, cpu, "c").await;
            drop(off);
            assert!(cpu.irqs_enabled());
            access(m, cpu, "d").await;
        })
    });
    let expected = ["irq7 a b c d", "a b c irq7 d", "a b c d irq7"];
    machine.traces().is_exactly("where the interrupt falls", expected);
}

#[test]
fn nested_guards_put_back_what_was() {
    let machine = interrupted().task(0, |m, cpu| {
        Box::pin(async move {
            let outer = cpu.irq_save();
            let inner = cpu.irq_save();
            access(m, cpu, "a").await;
            drop(inner);
            assert!(!cpu.irqs_enabled(), "the outer guard still holds");
            access(m, cpu, "b").await;
            drop(outer);
            assert!(cpu.irqs_enabled());
            access(m, cpu, "c").await;
        })
    });
    machine.traces().is_exactly("where the interrupt falls", ["a b irq7 c", "a b c irq7"]);
}

#[test]
fn the_higher_vector_first_and_none_on_top_of_another() {
    let machine = Machine::new(sc(2))
        .task(0, |_, _| Box::pin(async {}))
        .task(1, |_, cpu| Box::pin(send(cpu, CpuId(0), &[3, 31, 1, 3])))
        .on_interrupt(|m, cpu, vector| {
            Box::pin(async move {
                assert!(!cpu.irqs_enabled(), "a handler runs with interrupts off");
                m.say(format!("{}(", vector.0));
                cpu.load(Y).await;
                m.say(")");
            })
        });
    machine.traces().is_exactly("vectors sent in one step, one of them twice", ["31( ) 3( ) 1( )"]);
}

#[test]
fn a_later_higher_vector_waits_for_the_handler() {
    let machine = Machine::new(sc(2))
        .task(0, |_, _| Box::pin(async {}))
        .task(1, |_, cpu| {
            Box::pin(async move {
                send(cpu, CpuId(0), &[1]).await;
                send(cpu, CpuId(0), &[2]).await;
            })
        })
        .on_interrupt(|m, cpu, vector| {
            Box::pin(async move {
                m.say(format!("{}(", vector.0));
                cpu.load(Y).await;
                m.say(")");
            })
        });
    machine.traces().is_exactly("the order of handlers", ["1( ) 2( )", "2( ) 1( )"]);
}

#[test]
fn the_mode_is_restored() {
    let machine = interrupted().task(0, |m, cpu| {
        Box::pin(async move {
            access(m, cpu, "a").await;
            assert!(cpu.irqs_enabled(), "after the handler as before");
        })
    });
    machine.traces().is_exactly("where the interrupt falls", ["irq7 a", "a irq7"]);
}

/// The handler makes the condition true for which the task below it waits, sleeping or not.
#[test]
fn on_top_of_a_waiting_task() {
    for sleeps in [false, true] {
        let machine = interrupted()
            .task(0, move |m, cpu| {
                Box::pin(async move {
                    let op = Op::new(OpKind::Wait, Y.loc()).behind(Gate::NonZero(Y.loc()));
                    cpu.step(if sleeps { op.sleeping() } else { op }, |_| ()).await;
                    m.say("woken");
                })
            })
            .on_interrupt(|m, cpu, _| {
                Box::pin(async move {
                    cpu.store(Y, 1).await;
                    m.say("handled");
                })
            });
        machine.traces().is_exactly(&format!("a task that waits, sleeping: {sleeps}"), ["handled woken"]);
    }
}

/// While a handler is on top of a sleeping task, its CPU switches to no other.
#[test]
fn a_handler_keeps_the_cpu() {
    let machine = interrupted()
        .task(0, |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                let op = Op::new(OpKind::Wait, Y.loc()).behind(Gate::NonZero(Y.loc()));
                cpu.step(op.sleeping(), |_| ()).await;
                m.say("woken");
            })
        })
        .task(0, |m, cpu| {
            Box::pin(async move {
                let _kernel = cpu.enter_kernel();
                access(m, cpu, "other").await;
            })
        })
        .on_interrupt(|m, cpu, _| {
            Box::pin(async move {
                m.say("irq(");
                cpu.load(X).await;
                cpu.store(Y, 1).await;
                m.say(")");
            })
        });
    let expected = ["irq( ) woken other", "irq( ) other woken", "other irq( ) woken"];
    machine.traces().is_exactly("a sleeper, its neighbour and a handler", expected);
}

/// A CPU without a task takes interrupts too.
#[test]
fn on_top_of_nothing() {
    let machine = Machine::new(sc(3)).task(1, |_, cpu| Box::pin(send(cpu, CpuId(2), &[7])));
    machine.traces().is_exactly("an interrupt of an idle CPU", ["irq7"]);
}

#[test]
fn an_interrupt_of_the_own_cpu() {
    let machine = Machine::new(sc(1)).task(0, |m, cpu| {
        Box::pin(async move {
            send(cpu, cpu.id, &[7]).await;
            access(m, cpu, "a").await;
        })
    });
    machine.traces().is_exactly("where the interrupt falls", ["irq7 a", "a irq7"]);
}

/// Two CPUs send each other an IPI and wait until the other's handler has acknowledged it.
fn mutual(irqs_off: [bool; 2]) -> Machine {
    let machine = Machine::new(sc(2)).on_interrupt(|m, cpu, _| {
        Box::pin(async move {
            let other = word(1 - u32::from(cpu.id.0));
            cpu.store(other, 0).await;
            m.say(format!("ack{}", cpu.id.0));
        })
    });
    (0..2).fold(machine, |machine, n| {
        machine.task(n, move |m, cpu| {
            Box::pin(async move {
                let _off = irqs_off[usize::from(n)].then(|| cpu.irq_save());
                let own = word(u32::from(n));
                cpu.store(own, 1).await;
                cpu.raise(CpuId(1 - n), Vector(7));
                cpu.wait(Gate::Zero(own.loc())).await;
                m.say(format!("done{n}"));
            })
        })
    })
}

#[test]
fn mutual_acknowledgement_needs_interrupts() {
    let both_on = mutual([false, false]).traces();
    both_on.never("both complete", |trace| {
        !in_order(trace, &["ack1", "done0"]) || !in_order(trace, &["ack0", "done1"])
    });
    both_on.sometimes("handlers may be before both waits", |trace| trace.starts_with("ack0 ack1"));
    mutual([true, false]).traces().is_exactly("with interrupts off on CPU 0", ["ack1 done0 ack0 done1"]);
    mutual([true, true]).traces().is_exactly("with interrupts off on both, both are named", ["deadlock(0 1)"]);
}
