//! The state of a CPU between two steps: what it announced, its mode, its interrupts, its store buffer.

use std::cell::{Cell, RefCell};
use std::panic::Location;

use crate::gate::Gate;
use crate::id::{TaskId, Vector};
use crate::loc::Loc;
use crate::op::{Op, OpKind, conflicts};
use crate::routine::Routine;
use crate::store_buffer::StoreBuffer;

/// What an interrupt saves and the return from it restores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) irq_on: bool,
    pub(crate) user: bool,
    pub(crate) preempt: u16,
    pub(crate) rcu: u16,
}

/// Why code must not sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomic {
    /// Interrupts are off.
    NoInterrupts,
    /// Preemption is off, as it is while a spin lock is held.
    NoPreemption,
    /// It is in a read-side section of RCU.
    RcuReader,
}

impl Mode {
    /// Why code must not sleep in this mode, if it must not.
    pub(crate) fn atomic(self) -> Option<Atomic> {
        match (self.irq_on, self.preempt, self.rcu) {
            (false, ..) => Some(Atomic::NoInterrupts),
            (true, 1.., _) => Some(Atomic::NoPreemption),
            (true, 0, 1..) => Some(Atomic::RcuReader),
            (true, 0, 0) => None,
        }
    }
    /// A task in user mode, and a CPU that idles.
    pub(crate) const USER: Mode = Mode { irq_on: true, user: true, preempt: 0, rcu: 0 };
    /// An interrupt handler.
    pub(crate) const HANDLER: Mode = Mode { irq_on: false, user: false, preempt: 1, rcu: 0 };
}

#[derive(Debug)]
pub(crate) struct CpuState {
    /// The announced operation of the context on top. It is kept field by field, because the processor would stall on
    /// every step if it were written and read as a whole. If there is no kind, nothing is announced.
    kind: Cell<Option<OpKind>>,
    loc: Cell<Loc>,
    place: Cell<&'static Location<'static>>,
    sleeps: Cell<bool>,
    gate: Cell<Gate>,
    pub(crate) mode: Cell<Mode>,
    pub(crate) pending: Cell<u32>,
    pub(crate) cycles: Cell<u64>,
    /// The time from which on each pending interrupt can be taken. It is known only under a cost model.
    pub(crate) arrivals: RefCell<[u64; 32]>,
    pub(crate) task: Cell<Option<TaskId>>,
    pub(crate) buffer: StoreBuffer,
    pub(crate) routines: RefCell<Vec<Routine>>,
}

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
            buffer: StoreBuffer::default(),
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

    /// The kind of the announced operation.
    #[inline]
    pub(crate) fn kind(&self) -> Option<OpKind> {
        self.kind.get()
    }

    /// Whether the announced operations of two CPUs do not commute.
    #[inline]
    pub(crate) fn races(&self, other: &CpuState) -> bool {
        match (self.kind.get(), other.kind.get()) {
            (Some(a), Some(b)) => conflicts((a, self.loc.get()), (b, other.loc.get())),
            _ => false,
        }
    }

    /// The gate of the announced operation.
    #[inline]
    pub(crate) fn gate(&self) -> Gate {
        self.gate.get()
    }

    /// The context on top announces an operation.
    #[inline(always)]
    pub(crate) fn announce(&self, op: &Op) {
        self.kind.set(Some(op.kind));
        self.loc.set(op.loc);
        self.place.set(op.place);
        self.sleeps.set(op.sleeps);
        // Of an open gate only the variant is written.
        match op.gate {
            Gate::Open => self.gate.set(Gate::Open),
            gate => self.gate.set(gate),
        }
    }

    /// The context on top has announced nothing.
    pub(crate) fn withdraw(&self) {
        self.kind.set(None);
    }

    /// The time from which on a pending interrupt can be taken. It is zero without a cost model.
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
        self.buffer.reset();
        self.routines.borrow_mut().clear();
    }
}
