//! The clock of a CPU: each operation adds the cost of its kind to the clock of the CPU that performs it.

use crate::common::{Machine, W, X, Y, sc};
use sim_core::{Config, CpuId, Gate, Loc, Op, OpKind, SpinLock, Vector};

#[test]
fn operations_cost_by_kind() {
    // In the order of `OpKind`: read, write, rmw, acquire, wait, serialize, walk.
    let cycles = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
    let machine = Machine::new(Config { cycles, ..sc(2) })
        .task(0, |m, cpu| {
            Box::pin(async move {
                cpu.load(X).await;
                m.say(m.core.cycles(cpu.id).to_string());
                cpu.store(X, 1).await;
                cpu.xchg(X, 1).await;
                drop(cpu.lock(SpinLock(W.loc())).await);
                m.say(m.core.cycles(cpu.id).to_string());
                cpu.wait(Gate::Open).await;
                cpu.step(Op::new(OpKind::Serialize, Loc::NONE), |cpu| cpu.spend(5)).await;
                cpu.walk_load(X).await;
                m.say(m.core.cycles(cpu.id).to_string());
                cpu.raise(CpuId(1), Vector(7));
            })
        })
        .on_interrupt(|_, cpu, _| Box::pin(async move { cpu.store(Y, 0).await }));
    for run in ["first", "second"] {
        let trace = machine.run(|m, outcome| {
            assert_eq!(m.core.cycles(CpuId(1)), 10, "the handler's store, {run} run");
            m.trace(outcome)
        });
        assert_eq!(trace, "1 1111 1111116", "{run} run");
    }
}
