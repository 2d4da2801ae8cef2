//! Reader-writer semaphores. A task that waits for one sleeps. They are fair, and a release hands the semaphore over.

use crate::cpu::Cpu;
use crate::event::Event;
use crate::gate::Gate;
use crate::loc::Loc;
use crate::memory::Memory;
use crate::op::{Op, OpKind};
use crate::record::Field;

const WRITER: u64 = 1 << 32;

/// `struct rw_semaphore`, a few words. Its first word counts the readers, and counts a writer as 2^32.
///
/// The semaphore is fair. A task waits in line if a holder excludes it, or if others wait already. A release hands the
/// semaphore to the head of the line. If the head is a reader, the readers right behind it get the semaphore too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RwSem(Loc);

/// The number of waiters that one semaphore can tell apart at a time.
const SLOTS: u32 = 256;

/// The value that the slot of a waiter holds until the waiter is let in.
const READS: u64 = 1;
const WRITES: u64 = 2;

impl Field for RwSem {
    const WORDS: u32 = 2 + SLOTS;
    const PARTS: &'static [&'static str] = &["", ".wait_list", ".waiter"];

    #[inline]
    fn at(loc: Loc) -> Self {
        RwSem(loc)
    }
}

/// The line of those who wait: the tickets from `head` up to `next`.
#[derive(Clone, Copy)]
struct Line {
    head: u32,
    next: u32,
}

impl Line {
    fn from_word(word: u64) -> Line {
        Line { head: (word >> 32) as u32, next: word as u32 }
    }

    fn into_word(self) -> u64 {
        u64::from(self.head) << 32 | u64::from(self.next)
    }

    fn is_empty(self) -> bool {
        self.head == self.next
    }
}

impl RwSem {
    /// The first word of the semaphore. The event log calls the semaphore by its name.
    pub fn loc(self) -> Loc {
        self.0
    }

    fn line(self) -> Loc {
        self.0.offset(1)
    }

    /// The slot of a ticket. It becomes zero when the waiter is let in, and that opens the gate of the waiter.
    fn slot(self, ticket: u32) -> Loc {
        self.0.offset(2 + ticket % SLOTS)
    }

    /// Takes the semaphore if that is allowed now. Otherwise it answers a ticket to wait with.
    fn enter(self, cpu: Cpu<'_>, op: Op, write: bool) -> Result<(), u32> {
        let memory = &cpu.core.memory;
        let count = memory.get(self.0);
        let line = Line::from_word(memory.get(self.line()));
        let free = if write { count == 0 } else { count < WRITER };
        if free && line.is_empty() {
            cpu.perform_rmw(&op, count, count + if write { WRITER } else { 1 });
            return Ok(());
        }
        cpu.perform_rmw(&op, count, count);
        let ticket = line.next;
        assert!(ticket - line.head < SLOTS, "simulator defect: more than {SLOTS} wait for one semaphore");
        memory.set(self.line(), Line { next: ticket + 1, ..line }.into_word());
        memory.set(self.slot(ticket), if write { WRITES } else { READS });
        Err(ticket)
    }

    /// Takes the semaphore if that is allowed now.
    fn try_enter(self, cpu: Cpu<'_>, op: Op, write: bool) -> bool {
        let memory = &cpu.core.memory;
        let count = memory.get(self.0);
        let free = if write { count == 0 } else { count < WRITER };
        let taken = free && Line::from_word(memory.get(self.line())).is_empty();
        let more = if write { WRITER } else { 1 };
        cpu.perform_rmw(&op, count, if taken { count + more } else { count });
        taken
    }

    /// Takes `amount` away from the count, and lets in the waiters that may come in now.
    fn leave(self, cpu: Cpu<'_>, amount: u64) {
        cpu.drain_all();
        let memory = &cpu.core.memory;
        memory.set(self.0, memory.get(self.0) - amount);
        self.hand_over(memory);
        cpu.core.emit(cpu.id, || Event::Release { loc: self.0 });
    }

    fn hand_over(self, memory: &Memory) {
        loop {
            let line = Line::from_word(memory.get(self.line()));
            if line.is_empty() {
                return;
            }
            let count = memory.get(self.0);
            let write = memory.get(self.slot(line.head)) == WRITES;
            if if write { count != 0 } else { count >= WRITER } {
                return;
            }
            memory.set(self.0, count + if write { WRITER } else { 1 });
            memory.set(self.slot(line.head), 0);
            memory.set(self.line(), Line { head: line.head + 1, ..line }.into_word());
        }
    }
}

impl<'m> Cpu<'m> {
    async fn down(self, sem: RwSem, write: bool, place: &'static std::panic::Location<'static>) {
        self.might_sleep();
        let op = Op { place, ..Op::new(OpKind::Acquire, sem.0) };
        if let Err(ticket) = self.step(op, |cpu| sem.enter(cpu, op, write)).await {
            let slot = sem.slot(ticket);
            let wake = Op { place, ..Op::new(OpKind::Wait, slot) }.behind(Gate::Zero(slot)).sleeping();
            self.step(wake, |cpu| cpu.perform_rmw(&wake, 0, 0)).await;
        }
    }

    /// `down_read()`.
    #[track_caller]
    pub fn down_read(self, sem: RwSem) -> impl Future<Output = ReadHeld<'m>> {
        let place = std::panic::Location::caller();
        async move {
            self.down(sem, false, place).await;
            ReadHeld { cpu: self, sem: Some(sem) }
        }
    }

    /// `down_read_trylock()`: takes the semaphore if nobody holds it for writing and nobody waits for it.
    #[track_caller]
    pub fn down_read_trylock(self, sem: RwSem) -> impl Future<Output = Option<ReadHeld<'m>>> {
        let op = Op::new(OpKind::Acquire, sem.0);
        let taken = self.step(op, move |cpu| sem.try_enter(cpu, op, false));
        async move { taken.await.then(|| ReadHeld { cpu: self, sem: Some(sem) }) }
    }

    /// `down_write_trylock()`: takes the semaphore if nobody holds it and nobody waits for it.
    #[track_caller]
    pub fn down_write_trylock(self, sem: RwSem) -> impl Future<Output = Option<WriteHeld<'m>>> {
        let op = Op::new(OpKind::Acquire, sem.0);
        let taken = self.step(op, move |cpu| sem.try_enter(cpu, op, true));
        async move { taken.await.then(|| WriteHeld { cpu: self, sem: Some(sem) }) }
    }

    /// `down_write()`.
    #[track_caller]
    pub fn down_write(self, sem: RwSem) -> impl Future<Output = WriteHeld<'m>> {
        let place = std::panic::Location::caller();
        async move {
            self.down(sem, true, place).await;
            WriteHeld { cpu: self, sem: Some(sem) }
        }
    }
}

/// A semaphore held for reading. To drop it is `up_read()`.
#[must_use]
pub struct ReadHeld<'m> {
    cpu: Cpu<'m>,
    sem: Option<RwSem>,
}

impl Drop for ReadHeld<'_> {
    fn drop(&mut self) {
        if let Some(sem) = self.sem.take() {
            sem.leave(self.cpu, 1);
        }
    }
}

/// A semaphore held for writing. To drop it is `up_write()`.
#[must_use]
pub struct WriteHeld<'m> {
    cpu: Cpu<'m>,
    sem: Option<RwSem>,
}

impl<'m> WriteHeld<'m> {
    /// `downgrade_write()`: keeps the semaphore for reading. The readers at the head of the line now share it.
    pub fn downgrade(mut self) -> ReadHeld<'m> {
        let cpu = self.cpu;
        let sem = self.sem.take();
        if let Some(sem) = sem {
            cpu.drain_all();
            let memory = &cpu.core.memory;
            memory.set(sem.0, memory.get(sem.0) - WRITER + 1);
            sem.hand_over(memory);
            cpu.core.emit(cpu.id, || Event::Release { loc: sem.0 });
        }
        ReadHeld { cpu, sem }
    }
}

impl Drop for WriteHeld<'_> {
    fn drop(&mut self) {
        if let Some(sem) = self.sem.take() {
            sem.leave(self.cpu, WRITER);
        }
    }
}
