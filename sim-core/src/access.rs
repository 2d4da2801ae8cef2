//! The accesses: loads, stores and locked operations on words, reads and changes of objects.
//!
//! Each is a plain function that returns the leaf future, so that `#[track_caller]` names the line
//! of simulated code that made the access.

use std::marker::PhantomData;

use crate::cpu::Cpu;
use crate::event::Event;
use crate::gate::Gate;
use crate::loc::Loc;
use crate::machine::MemoryModel;
use crate::object::Object;
use crate::op::{Op, OpKind};
use crate::step::{Perform, Step};
use crate::word::{Shared, Word};

/// Performs a load of a `T`.
pub struct Load<T>(PhantomData<fn() -> T>);

impl<'m, T: Word> Perform<'m> for Load<T> {
    type Output = T;

    #[inline(always)]
    fn perform(&mut self, cpu: Cpu<'m>, op: &Op) -> T {
        T::from_word(cpu.perform_load(op))
    }
}

/// Performs a load of a `T` that does not see the CPU's own buffered stores.
pub struct WalkLoad<T>(PhantomData<fn() -> T>);

impl<'m, T: Word> Perform<'m> for WalkLoad<T> {
    type Output = T;

    #[inline(always)]
    fn perform(&mut self, cpu: Cpu<'m>, op: &Op) -> T {
        let value = cpu.core.memory.word(op.loc);
        cpu.core.performed(cpu.id, op, value, value);
        T::from_word(value)
    }
}

/// Performs a store of a word.
pub struct Store(u64);

impl<'m> Perform<'m> for Store {
    type Output = ();

    #[inline(always)]
    fn perform(&mut self, cpu: Cpu<'m>, op: &Op) {
        cpu.perform_store(op, self.0);
    }
}

/// Performs a locked update of a `T`; answers what was there.
pub struct Rmw<T, U> {
    update: U,
    holds: PhantomData<fn() -> T>,
}

impl<'m, T: Word, U: FnMut(T) -> T + Unpin> Perform<'m> for Rmw<T, U> {
    type Output = T;

    #[inline(always)]
    fn perform(&mut self, cpu: Cpu<'m>, op: &Op) -> T {
        let old = cpu.core.memory.word(op.loc);
        let new = (self.update)(T::from_word(old)).into_word();
        cpu.perform_rmw(op, old, new);
        T::from_word(old)
    }
}

impl<'m> Cpu<'m> {
    /// A load: `READ_ONCE()`.
    #[inline]
    #[track_caller]
    pub fn load<T: Word>(self, cell: Shared<T>) -> Step<'m, Load<T>> {
        Step::new(self, Op::new(OpKind::Read, cell.loc()), Load(PhantomData))
    }

    /// A load by hardware beside the CPU: it does not see the CPU's own buffered stores.
    #[inline]
    #[track_caller]
    pub fn walk_load<T: Word>(self, cell: Shared<T>) -> Step<'m, WalkLoad<T>> {
        Step::new(self, Op::new(OpKind::Walk, cell.loc()), WalkLoad(PhantomData))
    }

    /// A store: `WRITE_ONCE()`.
    #[inline]
    #[track_caller]
    pub fn store<T: Word>(self, cell: Shared<T>, value: T) -> Step<'m, Store> {
        Step::new(self, Op::new(OpKind::Write, cell.loc()), Store(value.into_word()))
    }

    /// A locked read-modify-write: the word becomes `update(old)`; answers the old value.
    #[inline]
    #[track_caller]
    pub fn rmw<T: Word, U: FnMut(T) -> T + Unpin>(self, cell: Shared<T>, update: U) -> Step<'m, Rmw<T, U>> {
        Step::new(self, Op::new(OpKind::Rmw, cell.loc()), Rmw { update, holds: PhantomData })
    }

    /// `xchg()`: answers what was there.
    #[inline]
    #[track_caller]
    pub fn xchg<T: Word + Unpin>(
        self,
        cell: Shared<T>,
        new: T,
    ) -> Step<'m, Rmw<T, impl FnMut(T) -> T + Unpin + use<T>>> {
        self.rmw(cell, move |_| new)
    }

    /// `cmpxchg()`: the word becomes `new` if it holds `expected`; answers what was there.
    #[inline]
    #[track_caller]
    pub fn cmpxchg<T: Word + Unpin>(
        self,
        cell: Shared<T>,
        expected: T,
        new: T,
    ) -> Step<'m, Rmw<T, impl FnMut(T) -> T + Unpin + use<T>>> {
        self.rmw(cell, move |old: T| if old.into_word() == expected.into_word() { new } else { old })
    }

    /// Waits, without doing anything, until the gate opens.
    #[inline]
    #[track_caller]
    pub fn wait(self, gate: Gate) -> Step<'m, impl FnMut(Cpu<'m>) + Unpin> {
        let loc = match gate {
            Gate::Zero(loc) | Gate::NonZero(loc) => loc,
            Gate::Open | Gate::AllDrained => Loc::NONE,
        };
        let op = Op::new(OpKind::Wait, loc).behind(gate);
        self.step(op, move |cpu| {
            let value = if loc == Loc::NONE { 0 } else { cpu.core.memory.word(loc) };
            cpu.core.performed(cpu.id, &op, value, value);
        })
    }

    /// Reads an object under one access.
    #[inline]
    #[track_caller]
    pub fn read<'o, T: Clone + 'static, R, F: FnMut(&T) -> R + Unpin>(
        self,
        object: &'o Object<T>,
        mut look: F,
    ) -> Step<'m, impl FnMut(Cpu<'m>) -> R + Unpin + use<'m, 'o, T, R, F>> {
        let op = Op::new(OpKind::Read, object.loc());
        self.step(op, move |cpu| {
            let version = cpu.core.memory.word(op.loc);
            cpu.core.performed(cpu.id, &op, version, version);
            look(&object.look(cpu.core))
        })
    }

    /// Changes an object under one access. The change is visible at once: objects stand for state
    /// that the simulated code changes only under a lock, whose release orders it.
    #[inline]
    #[track_caller]
    pub fn update<'o, T: Clone + 'static, R, F: FnMut(&mut T) -> R + Unpin>(
        self,
        object: &'o Object<T>,
        mut change: F,
    ) -> Step<'m, impl FnMut(Cpu<'m>) -> R + Unpin + use<'m, 'o, T, R, F>> {
        let op = Op::new(OpKind::Rmw, object.loc());
        self.step(op, move |cpu| {
            let version = cpu.core.memory.word(op.loc);
            let result = object.poke(cpu.core, &mut change);
            cpu.core.performed(cpu.id, &op, version, version + 1);
            result
        })
    }

    /// Reads a word that only this CPU uses, or that the caller's step covers: no access of its own.
    #[inline]
    pub fn this_cpu_read<T: Word>(self, cell: Shared<T>) -> T {
        self.core.check_life(self.id, cell.loc());
        T::from_word(self.core.memory.get(cell.loc()))
    }

    /// Writes a word that only this CPU uses, or that the caller's step covers: no access of its own.
    #[inline]
    pub fn this_cpu_write<T: Word>(self, cell: Shared<T>, value: T) {
        self.core.check_life(self.id, cell.loc());
        self.core.memory.set(cell.loc(), value.into_word());
    }

    /// Performs the load that `op` announced, for an operation of the caller's own making.
    #[inline]
    pub fn perform_load(self, op: &Op) -> u64 {
        let value = self.forwarded(op.loc).unwrap_or_else(|| self.core.memory.word(op.loc));
        self.core.performed(self.id, op, value, value);
        value
    }

    /// Performs the store that `op` announced, for an operation of the caller's own making.
    #[inline]
    pub fn perform_store(self, op: &Op, value: u64) {
        let old = self.core.memory.word(op.loc);
        self.put(op.loc, value);
        self.core.performed(self.id, op, old, value);
    }

    /// Performs the locked operation that `op` announced, for an operation of the caller's own making.
    #[inline]
    pub fn perform_rmw(self, op: &Op, old: u64, new: u64) {
        if new != old {
            self.core.memory.set(op.loc, new);
        }
        self.core.performed(self.id, op, old, new);
    }

    /// Stores a word on the way out of a step: a lock release. Under TSO it goes through the buffer.
    #[inline]
    pub(crate) fn put(self, loc: Loc, value: u64) {
        match self.core.config.memory {
            MemoryModel::Sc => self.core.memory.set(loc, value),
            MemoryModel::Tso => self.buffer(loc, value),
        }
    }

    /// The CPU's own newest buffered store to the word.
    #[inline]
    fn forwarded(self, loc: Loc) -> Option<u64> {
        match self.core.config.memory {
            MemoryModel::Sc => None,
            MemoryModel::Tso => self.state().newest_buffered(loc),
        }
    }

    #[cold]
    fn buffer(self, loc: Loc, value: u64) {
        let state = self.state();
        if state.buffer_is_full() {
            self.drain_one();
        }
        state.stores.set(state.stores.get() + 1);
        state.buffer.borrow_mut().push_back((loc, value));
    }

    /// Every buffered store reaches memory: what a locked or serialising instruction at the tail of a
    /// step (a semaphore's release, the return from an interrupt) waits for.
    #[inline]
    pub(crate) fn drain_all(self) {
        if self.core.config.memory == MemoryModel::Tso {
            while !self.state().buffer.borrow().is_empty() {
                self.drain_one();
            }
        }
    }

    /// The oldest buffered store reaches memory.
    pub(crate) fn drain_one(self) {
        let drained = self.state().buffer.borrow_mut().pop_front();
        if let Some((loc, value)) = drained {
            let old = self.core.memory.word(loc);
            self.core.memory.set(loc, value);
            if self.core.is_costed() {
                self.note_drained();
            }
            self.core.emit(self.id, || Event::Drain { loc, old, new: value });
        }
    }
}
