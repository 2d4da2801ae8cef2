//! A cost model: it hears of every cycle by which a clock advances. A CPU is never earlier than another for which it waits.

use std::cell::RefCell;
use std::rc::Rc;

use crate::common::{Machine, W, X, Y, Z, sc, tso};
use sim_core::source::{Random, Source};
use sim_core::{Config, Core, Costs, CpuId, Gate, Op, OpKind, SpinLock, Vector};

/// Every operation costs 100 cycles, and waiting costs nothing. Interrupts arrive after 1000 cycles.
#[derive(Default)]
struct Flat {
    told: RefCell<Vec<u64>>,
}

impl Flat {
    fn tell(&self, cpu: CpuId, cycles: u64) -> u64 {
        let mut told = self.told.borrow_mut();
        let cpus = told.len().max(cpu.index() + 1);
        told.resize(cpus, 0);
        told[cpu.index()] += cycles;
        cycles
    }
}

impl Costs for Flat {
    fn operation(&self, _: &Core, cpu: CpuId, op: &Op) -> u64 {
        self.tell(cpu, if op.kind == OpKind::Wait { 0 } else { 100 })
    }

    fn flight(&self) -> u64 {
        1000
    }

    fn interrupt(&self, cpu: CpuId) -> u64 {
        self.tell(cpu, 30)
    }

    fn interrupt_return(&self, cpu: CpuId) -> u64 {
        self.tell(cpu, 7)
    }

    fn waited(&self, cpu: CpuId, cycles: u64) {
        self.tell(cpu, cycles);
    }

    fn reset(&self) {
        self.told.borrow_mut().clear();
    }
}

fn costed(machine: Machine) -> (Machine, Rc<Flat>) {
    let costs = Rc::new(Flat::default());
    machine.core.set_costs(Some(costs.clone()));
    (machine, costs)
}

fn clock(m: &Machine, cpu: u8) -> u64 {
    m.core.cycles(CpuId(cpu))
}

#[test]
fn without_a_model_operations_cost_what_their_kind_does() {
    let machine = Machine::new(Config { cycles: [3; 7], ..sc(1) })
        .task(0, |_, cpu| Box::pin(async move { cpu.store(X, 1).await }));
    assert_eq!(machine.run(|m, _| clock(m, 0)), 3);
    let (machine, _) = costed(machine);
    assert!(machine.core.is_costed());
    assert_eq!(machine.run(|m, _| clock(m, 0)), 100);
    machine.core.set_costs(None);
    assert_eq!(machine.run(|m, _| clock(m, 0)), 3);
}

/// CPU 1 takes the lock when CPU 0 has released it, which was at 400.
#[test]
fn a_lock_is_not_taken_before_it_is_free() {
    let (machine, _) = costed(
        Machine::new(sc(2))
            .task(0, |_, cpu| {
                Box::pin(async move {
                    let held = cpu.lock(SpinLock(W.loc())).await;
                    cpu.store(X, 1).await;
                    cpu.store(Y, 1).await;
                    cpu.store(Z, 1).await;
                    drop(held);
                })
            })
            .task(1, |m, cpu| {
                Box::pin(async move {
                    drop(cpu.lock(SpinLock(W.loc())).await);
                    m.say(m.core.cycles(cpu.id).to_string());
                })
            }),
    );
    assert_eq!(machine.run_with(Source::First), "500");
}

/// A semaphore is handed over, or it is free. In both cases it was released at 200.
#[test]
fn a_semaphore_is_not_taken_before_it_is_free() {
    for wait_first in [false, true] {
        let (machine, _) = costed(
            Machine::new(sc(2))
                .task(0, move |m, cpu| {
                    Box::pin(async move {
                        let held = cpu.down_write(m.sem).await;
                        cpu.store(X, 1).await;
                        drop(held);
                    })
                })
                .task(1, move |m, cpu| {
                    Box::pin(async move {
                        drop(cpu.down_read(m.sem).await);
                        m.say(m.core.cycles(cpu.id).to_string());
                    })
                }),
        );
        let decisions = if wait_first { vec![(0, 2), (1, 2)] } else { vec![(0, 2), (0, 2)] };
        let source = Source::Replay(sim_core::source::Replay::lenient(decisions));
        let expected = if wait_first { "200" } else { "300" };
        assert_eq!(machine.run_with(source), expected, "waits first: {wait_first}");
    }
}

/// The acknowledgement was written at 1000 + 200 + 30 + 100.
#[test]
fn an_interrupt_arrives_and_is_answered() {
    let (machine, costs) = costed(
        Machine::new(sc(2))
            .task(0, |m, cpu| {
                Box::pin(async move {
                    cpu.store(X, 1).await;
                    cpu.load(Y).await;
                    cpu.raise(CpuId(1), Vector(3));
                    cpu.wait(Gate::Zero(X.loc())).await;
                    m.say(m.core.cycles(cpu.id).to_string());
                })
            })
            .on_interrupt(|_, cpu, _| Box::pin(async move { cpu.store(X, 0).await })),
    );
    assert_eq!(machine.run_with(Source::First), "1330");
    assert_eq!(clock(&machine, 1), 1337);
    assert_eq!(*costs.told.borrow(), [1330, 1337]);
}

/// A grace period ends when the last CPU was seen outside of sections. Its callback is not called before.
#[test]
fn a_callback_runs_when_its_grace_period_has_ended() {
    let (machine, _) = costed(
        Machine::new(sc(2))
            .task(0, |m, cpu| {
                Box::pin(async move {
                    m.core.rcu.call(cpu.id, 1);
                    cpu.load(X).await;
                })
            })
            .task(1, |_, cpu| {
                Box::pin(async move {
                    let _kernel = cpu.enter_kernel();
                    cpu.store(Y, 1).await;
                    cpu.store(Y, 2).await;
                    cpu.store(Y, 3).await;
                })
            }),
    );
    assert_eq!(machine.run_with(Source::First), "callback1");
    // The last store was done at 300; then the interrupt is taken and returned from.
    assert!(clock(&machine, 0) >= 337, "{}", clock(&machine, 0));
}

/// Under TSO too, in any order, the model hears of all cycles. It begins anew in every run.
#[test]
fn the_model_is_told_of_every_cycle() {
    for config in [sc(3), tso(3)] {
        let mut machine =
            Machine::new(config).on_interrupt(|_, cpu, _| Box::pin(async move { cpu.store(Z, 1).await }));
        for cpu in 0..3 {
            machine = machine.task(cpu, |m, cpu| {
                Box::pin(async move {
                    for _ in 0..3 {
                        let held = cpu.lock(SpinLock(W.loc())).await;
                        cpu.store(X, 1).await;
                        drop(held);
                        cpu.raise(CpuId((cpu.id.0 + 1) % 3), Vector(5));
                        drop(cpu.down_read(m.sem).await);
                    }
                })
            });
        }
        let (machine, costs) = costed(machine);
        for seed in 0..50 {
            machine.run_with(Source::Random(Random::new(seed)));
            let clocks: Vec<u64> = (0..3).map(|cpu| clock(&machine, cpu)).collect();
            assert_eq!(clocks, *costs.told.borrow(), "seed {seed}");
        }
    }
}
