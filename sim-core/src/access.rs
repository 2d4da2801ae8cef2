//! The accesses: loads, stores and locked operations on words, reads and changes of objects.
//!
//! Each is a plain function that returns the leaf future, so that `#[track_caller]` names the line
//! of simulated code that made the access.

use crate::core::MemoryModel;
use crate::cpu::Cpu;
use crate::event::Event;
use crate::gate::Gate;
use crate::memory::Loc;
use crate::object::Object;
use crate::op::{Op, OpKind};
use crate::step::Step;
use crate::word::{Shared, Word};

impl<'m> Cpu<'m> {
    /// A load: `READ_ONCE()`.
    #[inline]
    #[track_caller]
    pub fn load<T: Word>(self, cell: Shared<T>) -> Step<'m, impl FnMut(Cpu<'m>) -> T + Unpin> {
        let op = Op::new(OpKind::Read, cell.loc());
        self.step(op, move |cpu| T::from_word(cpu.perform_load(op)))
    }

    /// A load by hardware beside the CPU: it does not see the CPU's own buffered stores.
    #[inline]
    #[track_caller]
    pub fn walk_load<T: Word>(self, cell: Shared<T>) -> Step<'m, impl FnMut(Cpu<'m>) -> T + Unpin> {
        let op = Op::new(OpKind::Walk, cell.loc());
        self.step(op, move |cpu| {
            let value = cpu.core.memory.get(op.loc);
            cpu.core.performed(cpu.id, op, op.loc, value, value);
            T::from_word(value)
        })
    }

    /// A store: `WRITE_ONCE()`.
    #[inline]
    #[track_caller]
    pub fn store<T: Word>(self, cell: Shared<T>, value: T) -> Step<'m, impl FnMut(Cpu<'m>) + Unpin> {
        let op = Op::new(OpKind::Write, cell.loc());
        let word = value.into_word();
        self.step(op, move |cpu| cpu.perform_store(op, word))
    }

    /// A locked read-modify-write: the word becomes `update(old)`; answers the old value.
    #[inline]
    #[track_caller]
    pub fn rmw<T: Word, U: FnMut(T) -> T + Unpin>(
        self,
        cell: Shared<T>,
        mut update: U,
    ) -> Step<'m, impl FnMut(Cpu<'m>) -> T + Unpin> {
        let op = Op::new(OpKind::Rmw, cell.loc());
        self.step(op, move |cpu| {
            let old = cpu.core.memory.get(op.loc);
            cpu.perform_rmw(op, old, update(T::from_word(old)).into_word());
            T::from_word(old)
        })
    }

    /// `xchg()`: answers what was there.
    #[inline]
    #[track_caller]
    pub fn xchg<T: Word + Unpin>(self, cell: Shared<T>, new: T) -> Step<'m, impl FnMut(Cpu<'m>) -> T + Unpin> {
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
    ) -> Step<'m, impl FnMut(Cpu<'m>) -> T + Unpin> {
        self.rmw(cell, move |old: T| if old.into_word() == expected.into_word() { new } else { old })
    }

    /// Waits, without doing anything, until the gate opens.
    #[inline]
    #[track_caller]
    pub fn wait(self, gate: Gate) -> Step<'m, impl FnMut(Cpu<'m>) + Unpin> {
        let loc = match gate {
            Gate::Zero(loc) | Gate::NonZero(loc) | Gate::Clear(loc, _) => loc,
            Gate::Open | Gate::AllDrained => Loc::NONE,
        };
        let op = Op::new(OpKind::Wait, loc).behind(gate);
        self.step(op, move |cpu| {
            let value = if loc == Loc::NONE { 0 } else { cpu.core.memory.get(loc) };
            cpu.core.performed(cpu.id, op, loc, value, value);
        })
    }

    /// Reads an object under one access.
    #[inline]
    #[track_caller]
    pub fn read<'o, T: Clone, R, F: FnMut(&T) -> R + Unpin>(
        self,
        object: &'o Object<T>,
        mut look: F,
    ) -> Step<'m, impl FnMut(Cpu<'m>) -> R + Unpin + use<'m, 'o, T, R, F>> {
        let op = Op::new(OpKind::Read, object.loc());
        self.step(op, move |cpu| {
            let version = cpu.core.memory.get(op.loc);
            cpu.core.performed(cpu.id, op, op.loc, version, version);
            look(&object.peek())
        })
    }

    /// Changes an object under one access. The change is visible at once: objects stand for state
    /// that the simulated code changes only under a lock, whose release orders it.
    #[inline]
    #[track_caller]
    pub fn update<'o, T: Clone, R, F: FnMut(&mut T) -> R + Unpin>(
        self,
        object: &'o Object<T>,
        mut change: F,
    ) -> Step<'m, impl FnMut(Cpu<'m>) -> R + Unpin + use<'m, 'o, T, R, F>> {
        let op = Op::new(OpKind::Rmw, object.loc());
        self.step(op, move |cpu| {
            let version = cpu.core.memory.get(op.loc);
            let result = object.poke(cpu.core, &mut change);
            cpu.core.performed(cpu.id, op, op.loc, version, version + 1);
            result
        })
    }

    /// Reads a word that only this CPU uses, or that the caller's step covers: no access of its own.
    #[inline]
    pub fn this_cpu_read<T: Word>(self, cell: Shared<T>) -> T {
        T::from_word(self.core.memory.get(cell.loc()))
    }

    /// Writes a word that only this CPU uses, or that the caller's step covers: no access of its own.
    #[inline]
    pub fn this_cpu_write<T: Word>(self, cell: Shared<T>, value: T) {
        self.core.memory.set(cell.loc(), value.into_word());
    }

    /// Performs the load that `op` announced, for an operation of the caller's own making.
    #[inline]
    pub fn perform_load(self, op: Op) -> u64 {
        let value = self.forwarded(op.loc).unwrap_or_else(|| self.core.memory.get(op.loc));
        self.core.performed(self.id, op, op.loc, value, value);
        value
    }

    /// Performs the store that `op` announced, for an operation of the caller's own making.
    #[inline]
    pub fn perform_store(self, op: Op, value: u64) {
        let old = self.core.memory.get(op.loc);
        self.put(op.loc, value);
        self.core.performed(self.id, op, op.loc, old, value);
    }

    /// Performs the locked operation that `op` announced, for an operation of the caller's own making.
    #[inline]
    pub fn perform_rmw(self, op: Op, old: u64, new: u64) {
        if new != old {
            self.core.memory.set(op.loc, new);
        }
        self.core.performed(self.id, op, op.loc, old, new);
    }

    /// Stores a word on the way out of a step: a lock release. Under TSO it goes through the buffer.
    #[inline]
    pub(crate) fn put(self, loc: Loc, value: u64) {
        match self.core.config.memory {
            MemoryModel::Sc => self.core.memory.set(loc, value),
            MemoryModel::Tso => self.state().buffer.borrow_mut().push_back((loc, value)),
        }
    }

    /// The CPU's own newest buffered store to the word.
    #[inline]
    fn forwarded(self, loc: Loc) -> Option<u64> {
        match self.core.config.memory {
            MemoryModel::Sc => None,
            MemoryModel::Tso => {
                self.state().buffer.borrow().iter().rev().find(|(at, _)| *at == loc).map(|(_, value)| *value)
            }
        }
    }

    /// The oldest buffered store reaches memory.
    pub(crate) fn drain_one(self) {
        let drained = self.state().buffer.borrow_mut().pop_front();
        if let Some((loc, value)) = drained {
            let old = self.core.memory.get(loc);
            self.core.memory.set(loc, value);
            self.core.emit(self.id, || Event::Drain { loc, old, new: value });
        }
    }
}
