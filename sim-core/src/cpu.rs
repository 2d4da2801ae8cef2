//! A simulated CPU: its identity, its mode, and the guards that change the mode.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;

use crate::core::{Core, MemoryModel};
use crate::event::Event;
use crate::gate::Gate;
use crate::memory::Loc;
use crate::op::{Op, OpKind};
use crate::routine::Routine;
use crate::step::Step;

/// The number of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub u8);

impl CpuId {
    /// The number as an index.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All CPUs of a machine with `n` of them.
    pub fn all(n: usize) -> impl Iterator<Item = CpuId> {
        (0..n as u8).map(CpuId)
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu{}", self.0)
    }
}

/// The number of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u8);

/// The number of an interrupt, 0 to 31. A higher number is taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vector(pub u8);

/// What an interrupt saves and the return from it restores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) irq_on: bool,
    pub(crate) user: bool,
    pub(crate) preempt: u16,
    pub(crate) rcu: u16,
}

impl Mode {
    /// A task in user mode, and a CPU that idles.
    pub(crate) const USER: Mode = Mode { irq_on: true, user: true, preempt: 0, rcu: 0 };
    /// An interrupt handler.
    pub(crate) const HANDLER: Mode = Mode { irq_on: false, user: false, preempt: 1, rcu: 0 };
}

#[derive(Debug)]
pub(crate) struct CpuState {
    /// The announced operation of the context on top, field by field: written and read whole it
    /// would stall on every step. Without a kind there is none.
    kind: Cell<Option<OpKind>>,
    loc: Cell<Loc>,
    place: Cell<&'static Location<'static>>,
    sleeps: Cell<bool>,
    gate: Cell<Gate>,
    pub(crate) mode: Cell<Mode>,
    pub(crate) pending: Cell<u32>,
    pub(crate) cycles: Cell<u64>,
    /// When each pending interrupt can be taken. Known only under a cost model.
    pub(crate) arrivals: RefCell<[u64; 32]>,
    pub(crate) task: Cell<Option<TaskId>>,
    pub(crate) buffer: RefCell<VecDeque<(Loc, u64)>>,
    /// Stores that entered the buffer in this run.
    pub(crate) stores: Cell<u32>,
    pub(crate) routines: RefCell<Vec<Routine>>,
}

/// Stores that a CPU's buffer holds. Real ones hold some sixty; this is as many as a search can tell apart.
pub(crate) const STORE_BUFFER: usize = 1024;

impl Default for CpuState {
    fn default() -> Self {
        CpuState {
            kind: Cell::new(None),
            loc: Cell::new(Loc::NONE),
            place: Cell::new(Location::caller()),
            sleeps: Cell::new(false),
            gate: Cell::new(Gate::Open),
            mode: Cell::new(Mode::USER),
            pending: Cell::new(0),
            cycles: Cell::new(0),
            arrivals: RefCell::default(),
            task: Cell::new(None),
            buffer: RefCell::default(),
            stores: Cell::new(0),
            routines: RefCell::default(),
        }
    }
}

impl CpuState {
    /// The announced operation of the context on top, if there is one.
    pub(crate) fn op(&self) -> Option<Op> {
        Some(Op {
            kind: self.kind.get()?,
            loc: self.loc.get(),
            gate: self.gate.get(),
            sleeps: self.sleeps.get(),
            place: self.place.get(),
        })
    }

    /// Whether a store has to wait until the oldest one has left the buffer.
    pub(crate) fn buffer_is_full(&self) -> bool {
        self.buffer.borrow().len() >= STORE_BUFFER
    }

    /// The CPU's own newest buffered store to the word.
    #[cold]
    pub(crate) fn newest_buffered(&self, loc: Loc) -> Option<u64> {
        self.buffer.borrow().iter().rev().find(|(at, _)| *at == loc).map(|(_, value)| *value)
    }

    /// When a pending interrupt can be taken: zero without a cost model.
    pub(crate) fn arrival(&self, vector: Vector) -> u64 {
        self.arrivals.borrow()[usize::from(vector.0)]
    }

    /// Whether no context has announced anything: the CPU idles.
    pub(crate) fn is_idle(&self) -> bool {
        self.kind.get().is_none()
    }

    pub(crate) fn reset(&self) {
        self.kind.set(None);
        self.mode.set(Mode::USER);
        self.pending.set(0);
        self.cycles.set(0);
        self.task.set(None);
        self.buffer.borrow_mut().clear();
        self.stores.set(0);
        self.routines.borrow_mut().clear();
    }

    /// Whether nothing holds an announced operation back.
    #[inline]
    pub(crate) fn is_enabled(&self, op: &Op, core: &Core) -> bool {
        (op.gate == Gate::Open || self.finds_open(op.gate, core))
            && (core.config.memory == MemoryModel::Sc || !op.kind.drains() || self.buffer.borrow().is_empty())
    }

    /// Whether the CPU finds a gate open.
    #[inline]
    pub(crate) fn finds_open(&self, gate: Gate, core: &Core) -> bool {
        let see = |loc| match core.config.memory {
            MemoryModel::Sc => core.memory.word(loc),
            MemoryModel::Tso => self.newest_buffered(loc).unwrap_or_else(|| core.memory.word(loc)),
        };
        gate.is_open(see, || core.all_drained())
    }
}

impl Core {
    /// Replaces what the context on top of a CPU has announced.
    #[inline]
    pub(crate) fn set_op(&self, cpu: CpuId, op: Option<&Op>) {
        let (bit, state) = (1 << cpu.0, &self.cpus[cpu.index()]);
        let open = op.is_some_and(|op| {
            op.gate == Gate::Open && (self.config.memory == MemoryModel::Sc || !op.kind.drains())
        });
        let gated = op.is_some() && !open;
        self.open.set(self.open.get() & !bit | if open { bit } else { 0 });
        self.gated.set(self.gated.get() & !bit | if gated { bit } else { 0 });
        state.kind.set(op.map(|op| op.kind));
        let Some(op) = op else { return };
        state.loc.set(op.loc);
        state.place.set(op.place);
        state.sleeps.set(op.sleeps);
        if op.gate != state.gate.get() {
            state.gate.set(op.gate);
        }
    }

    /// Whether nothing holds back what the CPU announced.
    pub(crate) fn gate_is_open(&self, cpu: CpuId) -> bool {
        let state = &self.cpus[cpu.index()];
        state.op().is_some_and(|op| state.is_enabled(&op, self))
    }

    pub(crate) fn all_drained(&self) -> bool {
        self.cpus.iter().all(|cpu| cpu.buffer.borrow().is_empty())
    }
}

/// A CPU as the code that runs on it sees it.
#[derive(Clone, Copy)]
pub struct Cpu<'m> {
    /// The machine.
    pub core: &'m Core,
    /// Which of its CPUs.
    pub id: CpuId,
}

impl<'m> Cpu<'m> {
    #[inline]
    pub(crate) fn state(self) -> &'m CpuState {
        &self.core.cpus[self.id.index()]
    }

    #[inline]
    pub(crate) fn announce(self, op: &Op) {
        self.core.set_op(self.id, Some(op));
    }

    #[inline]
    pub(crate) fn charge(self, op: &Op) {
        if self.core.is_watched() && self.core.is_costed() {
            self.charge_by_model(op);
        } else {
            self.spend(u64::from(self.core.config.cycles[op.kind as usize]));
        }
    }

    /// Adds to the CPU's clock what the kind of an operation does not tell. Under a cost model the caller
    /// puts it to account.
    #[inline]
    pub fn spend(self, cycles: u64) {
        let clock = &self.state().cycles;
        clock.set(clock.get() + cycles);
    }

    /// An operation of the caller's own making: announced as `op`, then `perform`ed at once.
    #[inline]
    pub fn step<R, F: FnMut(Cpu<'m>) -> R + Unpin>(self, op: Op, perform: F) -> Step<'m, F> {
        Step::new(self, op, perform)
    }

    /// The task that runs here.
    pub fn task(self) -> Option<TaskId> {
        self.state().task.get()
    }

    /// Makes an interrupt pending on another CPU (or this one). Its cause is the caller's step.
    pub fn raise(self, target: CpuId, vector: Vector) {
        // One that is pending already is no change, but whether it is pending still is what counts.
        self.core.touch(self.core.places().pending(target), true);
        let pending = &self.core.cpus[target.index()].pending;
        pending.set(pending.get() | 1 << vector.0);
        self.core.interrupted.set(self.core.interrupted.get() | 1 << target.0);
        if self.core.is_costed() {
            self.note_raised(target, vector);
        }
        self.core.emit(self.id, || Event::Raise { target, vector });
    }
}
