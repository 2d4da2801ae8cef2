//! The accesses: loads, stores and locked operations on words, reads and changes of objects.
//!
//! Each is a plain function that returns the leaf future, so that `#[track_caller]` names the line
//! of simulated code that made the access.

use std::marker::PhantomData;

use crate::bytes::Bytes;
use crate::cpu::Cpu;
use crate::event::Event;
use crate::gate::Gate;
use crate::loc::Loc;
use crate::machine::MemoryModel;
use crate::object::Object;
use crate::op::{Op, OpKind};
use crate::step::{Perform, Step};
use crate::store_buffer::Buffered;
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

/// Performs a locked update of a `T`, and answers the value before it.
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

    /// A locked read-modify-write: the word becomes `update(old)`. Answers the old value.
    #[inline]
    #[track_caller]
    pub fn rmw<T: Word, U: FnMut(T) -> T + Unpin>(self, cell: Shared<T>, update: U) -> Step<'m, Rmw<T, U>> {
        Step::new(self, Op::new(OpKind::Rmw, cell.loc()), Rmw { update, holds: PhantomData })
    }

    /// `xchg()`. Answers the old value.
    #[inline]
    #[track_caller]
    pub fn xchg<T: Word + Unpin>(
        self,
        cell: Shared<T>,
        new: T,
    ) -> Step<'m, Rmw<T, impl FnMut(T) -> T + Unpin + use<T>>> {
        self.rmw(cell, move |_| new)
    }

    /// `cmpxchg()`: the word becomes `new` if it holds `expected`. Answers the old value.
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

    /// MFENCE: goes on when every earlier store of this CPU has reached memory.
    #[inline]
    #[track_caller]
    pub fn mfence(self) -> Step<'m, impl FnMut(Cpu<'m>) + Unpin> {
        let op = Op::new(OpKind::Serialize, Loc::NONE);
        self.step(op, move |cpu| cpu.core.performed(cpu.id, &op, 0, 0))
    }

    /// Waits, without doing anything, until the gate opens.
    #[inline]
    #[track_caller]
    pub fn wait(self, gate: Gate) -> Step<'m, impl FnMut(Cpu<'m>) + Unpin> {
        let loc = match gate {
            Gate::OneSource(loc, _) => loc,
            gate => gate.word().unwrap_or(Loc::NONE),
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

    /// Changes an object under one access. Other CPUs see the change at once, even under TSO. The simulated code
    /// changes objects only under a lock, so the release of the lock orders the change anyway.
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

    /// Reads a word that only this CPU uses, or that the caller's step covers. This is no access of its own.
    #[inline]
    pub fn this_cpu_read<T: Word>(self, cell: Shared<T>) -> T {
        self.core.check_life(self.id, cell.loc());
        T::from_word(self.core.memory.get(cell.loc()))
    }

    /// Writes a word that only this CPU uses, or that the caller's step covers. This is no access of its own.
    #[inline]
    pub fn this_cpu_write<T: Word>(self, cell: Shared<T>, value: T) {
        self.core.check_life(self.id, cell.loc());
        self.core.memory.set(cell.loc(), value.into_word());
    }

    /// Performs the load that `op` announced, for an operation of the caller's own making.
    #[inline]
    pub fn perform_load(self, op: &Op) -> u64 {
        let value = self.forwarded(op.loc, self.core.memory.word(op.loc));
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

    /// Performs the store of some bytes of a word that `op` announced.
    #[cold]
    pub fn perform_store_of(self, op: &Op, bytes: Bytes, number: u64) {
        let old = self.core.memory.word(op.loc);
        match self.core.config.memory {
            MemoryModel::Sc => self.core.memory.set(op.loc, bytes.put(old, number)),
            MemoryModel::Tso => self.buffer(Buffered::Word(op.loc, number, bytes)),
        }
        self.core.performed(self.id, op, old, bytes.put(old, number));
    }

    /// The gate for a load of these bytes of a word. It is open if the store buffer of this CPU has all of them or none.
    #[inline]
    pub fn load_gate(self, loc: Loc, bytes: Bytes) -> Gate {
        let waits = self.core.config.memory == MemoryModel::Tso && !self.state().buffer.can_forward(loc, bytes);
        if waits { Gate::OneSource(loc, bytes) } else { Gate::Open }
    }

    /// Performs the load of `count` words that `op` announced by the first of them.
    pub fn perform_block_load(self, op: &Op, count: u32) -> Box<[u64]> {
        self.perform_load(op);
        let words = (0..count).map(|index| op.loc.offset(index));
        words.map(|loc| self.forwarded(loc, self.core.memory.get(loc))).collect()
    }

    /// Performs the store of several words that `op` announced by the first of them. It does in one step what a
    /// string operation does. Under TSO the words also leave the store buffer in one step.
    pub fn perform_block_store(self, op: &Op, values: impl Iterator<Item = u64> + Clone) {
        let old = self.core.memory.word(op.loc);
        let new = values.clone().next().unwrap_or(old);
        match self.core.config.memory {
            MemoryModel::Sc => self.core.memory.fill(op.loc, values),
            MemoryModel::Tso => self.buffer(Buffered::Block(op.loc, values.collect())),
        }
        self.core.performed(self.id, op, old, new);
    }

    /// Performs the locked operation that `op` announced, for an operation of the caller's own making.
    #[inline]
    pub fn perform_rmw(self, op: &Op, old: u64, new: u64) {
        if new != old {
            self.core.memory.set(op.loc, new);
        }
        self.core.performed(self.id, op, old, new);
    }

    /// Stores a word at the end of a step, for example to release a lock. Under TSO the store goes through the buffer.
    #[inline]
    pub(crate) fn put(self, loc: Loc, value: u64) {
        match self.core.config.memory {
            MemoryModel::Sc => self.core.memory.set(loc, value),
            MemoryModel::Tso => self.buffer(Buffered::Word(loc, value, Bytes::ALL)),
        }
    }

    /// The value that the CPU sees through its own stores in a word that is `word` in memory.
    #[inline]
    fn forwarded(self, loc: Loc, word: u64) -> u64 {
        match self.core.config.memory {
            MemoryModel::Sc => word,
            MemoryModel::Tso => self.state().buffer.over(loc, word),
        }
    }

    #[cold]
    fn buffer(self, store: Buffered) {
        let buffer = &self.state().buffer;
        if buffer.is_full() {
            self.drain_one();
        }
        buffer.push(store);
    }

    /// Every buffered store reaches memory. A locked or serialising instruction at the end of a step waits for that: the
    /// release of a semaphore, the return from an interrupt.
    #[inline]
    pub fn drain_all(self) {
        if self.core.config.memory == MemoryModel::Tso {
            while !self.state().buffer.is_empty() {
                self.drain_one();
            }
        }
    }

    /// The oldest buffered store reaches memory.
    pub(crate) fn drain_one(self) {
        let Some(store) = self.state().buffer.pop() else { return };
        let loc = store.loc();
        let old = self.core.memory.word(loc);
        let new = store.over(loc, old);
        match store {
            Buffered::Word(..) => self.core.memory.set(loc, new),
            Buffered::Block(_, values) => self.core.memory.fill(loc, values.iter().copied()),
        }
        if self.core.is_costed() {
            self.note_drained();
        }
        self.core.emit(self.id, || Event::Drain { loc, old, new });
    }
}
