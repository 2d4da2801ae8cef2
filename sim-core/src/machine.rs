//! The state that a run changes: the shared words and objects, the CPUs, the grace periods.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::cpu_state::CpuState;
use crate::gate::Gate;
use crate::id::CpuId;
use crate::memory::Memory;
use crate::op::{Op, OpKind};
use crate::rcu::{Rcu, RcuRules};

/// The order in which other CPUs see a CPU's stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryModel {
    /// Other CPUs see each store at once.
    #[default]
    Sc,
    /// Stores go through a first-in first-out store buffer for each CPU (x86-TSO).
    Tso,
}

/// The description from which a machine is made.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Number of CPUs, 1 to 64.
    pub cpus: usize,
    /// The memory model.
    pub memory: MemoryModel,
    /// The rules by which a CPU counts as quiescent for a grace period.
    pub rcu: RcuRules,
    /// Whether a task may be preempted between two accesses of preemptible kernel code.
    pub preempt: bool,
    /// Cycles of each [`OpKind`](crate::OpKind), in its order.
    pub cycles: [u32; 7],
}

impl Default for Config {
    fn default() -> Self {
        Config { cpus: 1, memory: MemoryModel::Sc, rcu: RcuRules::default(), preempt: false, cycles: [1; 7] }
    }
}

/// State outside words that changed since the checkpoint.
pub(crate) trait Changed {
    /// The present state is the new checkpoint.
    fn keep(&self);
    /// Back to the checkpoint.
    fn restore(&self);
}

/// Shared memory and the state of the CPUs. The [`Core`](crate::Core) adds the one who decides and the one who watches.
pub struct Machine {
    /// The shared words.
    pub memory: Memory,
    /// What the machine was made with.
    pub config: Config,
    /// RCU-sched: callbacks and grace periods.
    pub rcu: Rcu,
    pub(crate) cpus: Vec<CpuState>,
    /// CPUs whose announced operation nothing can hold back.
    pub(crate) open: Cell<u64>,
    /// CPUs whose announced operation is behind a gate, or waits for the store buffer.
    pub(crate) gated: Cell<u64>,
    /// CPUs with a pending interrupt.
    pub(crate) interrupted: Cell<u64>,
    /// Places of state that lives outside words.
    pub(crate) reserved: Cell<u32>,
    /// The objects that changed since the checkpoint.
    changed: RefCell<Vec<Rc<dyn Changed>>>,
}

impl Machine {
    pub(crate) fn new(memory: Memory, config: Config) -> Machine {
        assert!((1..=64).contains(&config.cpus), "1 to 64 CPUs, not {}", config.cpus);
        Machine {
            memory,
            rcu: Rcu::new(config.rcu, config.cpus),
            cpus: (0..config.cpus).map(|_| CpuState::default()).collect(),
            config,
            open: Cell::new(0),
            gated: Cell::new(0),
            interrupted: Cell::new(0),
            reserved: Cell::new(0),
            changed: RefCell::default(),
        }
    }

    /// Cycles that a CPU has spent in the present run.
    pub fn cycles(&self, cpu: CpuId) -> u64 {
        self.cpus[cpu.index()].cycles.get()
    }

    /// The present state of words and objects becomes the checkpoint.
    pub(crate) fn keep(&self) {
        self.memory.checkpoint();
        self.changed.borrow_mut().drain(..).for_each(|object| object.keep());
    }

    /// Words, objects and CPUs go back to the checkpoint.
    pub(crate) fn restore(&self) {
        self.memory.rewind();
        self.changed.borrow_mut().drain(..).for_each(|object| object.restore());
        for cpu in &self.cpus {
            cpu.reset();
        }
        self.open.set(0);
        self.gated.set(0);
        self.interrupted.set(0);
        self.rcu.reset();
    }

    /// An object changes for the first time since the checkpoint.
    #[cold]
    pub(crate) fn note_changed(&self, object: Rc<dyn Changed>) {
        self.changed.borrow_mut().push(object);
    }

    /// Replaces what the context on top of a CPU has announced.
    pub(crate) fn set_op(&self, cpu: CpuId, op: Option<&Op>) {
        match op {
            Some(op) => self.announce(cpu, op),
            None => {
                let bit = 1 << cpu.0;
                self.open.set(self.open.get() & !bit);
                self.gated.set(self.gated.get() & !bit);
                self.cpus[cpu.index()].withdraw();
            }
        }
    }

    /// The context on top of a CPU announces an operation.
    // A kernel has hundreds of awaits, and few of them are in the processor's cache at a time. So this is not copied to each.
    #[inline]
    pub(crate) fn announce(&self, cpu: CpuId, op: &Op) {
        let bit = 1 << cpu.0;
        if matches!(op.gate, Gate::Open) && (!op.kind.drains() || self.config.memory == MemoryModel::Sc) {
            self.open.set(self.open.get() | bit);
            self.gated.set(self.gated.get() & !bit);
        } else {
            self.open.set(self.open.get() & !bit);
            self.gated.set(self.gated.get() | bit);
        }
        self.cpus[cpu.index()].announce(op);
    }

    /// Whether nothing holds back what the CPU announced.
    pub(crate) fn gate_is_open(&self, cpu: CpuId) -> bool {
        let state = &self.cpus[cpu.index()];
        state.kind().is_some_and(|kind| state.lets_through(kind, state.gate(), self))
    }

    pub(crate) fn all_drained(&self) -> bool {
        self.cpus.iter().all(|cpu| cpu.buffer.is_empty())
    }
}

impl CpuState {
    /// Whether nothing holds an announced operation back.
    #[inline]
    pub(crate) fn is_enabled(&self, op: &Op, machine: &Machine) -> bool {
        self.lets_through(op.kind, op.gate, machine)
    }

    #[inline]
    fn lets_through(&self, kind: OpKind, gate: Gate, machine: &Machine) -> bool {
        self.finds_open(gate, machine)
            && (machine.config.memory == MemoryModel::Sc || !kind.drains() || self.buffer.is_empty())
    }

    /// Whether the CPU finds a gate open.
    #[inline]
    pub(crate) fn finds_open(&self, gate: Gate, machine: &Machine) -> bool {
        let see = |loc| match machine.config.memory {
            MemoryModel::Sc => machine.memory.word(loc),
            MemoryModel::Tso => self.buffer.over(loc, machine.memory.word(loc)),
        };
        match gate {
            Gate::OneSource(loc, bytes) => self.buffer.can_forward(loc, bytes),
            gate => gate.is_open(see, || machine.all_drained()),
        }
    }
}
