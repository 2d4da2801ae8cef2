//! Reader-writer semaphores: sleeping, fair, with direct hand-over.

use std::collections::VecDeque;

use crate::cpu::Cpu;
use crate::event::Event;
use crate::gate::Gate;
use crate::memory::{Loc, MemoryBuilder};
use crate::object::Object;
use crate::op::{Op, OpKind};

const WRITER: u64 = 1 << 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiter {
    ticket: u64,
    write: bool,
}

/// `struct rw_semaphore`. Its word counts the readers, and a writer as 2^32.
///
/// Fair: whoever finds it held in a way that excludes him, or others waiting, waits in line; a
/// release hands it to the head of the line, and with a reader to the readers right behind.
#[derive(Debug)]
pub struct RwSem {
    count: Loc,
    /// The ticket that was let in last; a waiter's gate opens when its own slot says so.
    granted: Loc,
    line: Object<(u64, VecDeque<Waiter>)>,
}

/// Waiters that one semaphore can tell apart at a time: more than there are tasks.
const SLOTS: u64 = 256;

impl RwSem {
    /// A free semaphore named `name`.
    pub fn new(memory: &mut MemoryBuilder, name: &str) -> RwSem {
        RwSem {
            count: memory.words(name.to_owned(), 1),
            granted: memory.words(format!("{name}.granted"), SLOTS as usize),
            line: Object::new(memory, format!("{name}.wait_list"), (0, VecDeque::new())),
        }
    }

    /// Where the semaphore is: what the event log calls it by.
    pub fn loc(&self) -> Loc {
        self.count
    }

    fn slot(&self, ticket: u64) -> Loc {
        self.granted.offset((ticket % SLOTS) as u32)
    }

    /// Takes the semaphore if that is allowed now, else a ticket to wait with.
    fn enter(&self, cpu: Cpu<'_>, op: Op, write: bool) -> Result<(), u64> {
        let count = cpu.core.memory.get(self.count);
        let free = if write { count == 0 } else { count < WRITER };
        if free && self.line.look(cpu.core).1.is_empty() {
            cpu.perform_rmw(&op, count, count + if write { WRITER } else { 1 });
            return Ok(());
        }
        cpu.perform_rmw(&op, count, count);
        Err(self.line.poke(cpu.core, |(next, line)| {
            let ticket = *next;
            *next += 1;
            line.push_back(Waiter { ticket, write });
            ticket
        }))
    }

    /// Takes `amount` back and lets in whoever may come in now.
    fn leave(&self, cpu: Cpu<'_>, amount: u64) {
        cpu.drain_all();
        let memory = &cpu.core.memory;
        memory.set(self.count, memory.get(self.count) - amount);
        self.hand_over(cpu);
        cpu.core.emit(cpu.id, || Event::Release { loc: self.count });
    }

    fn hand_over(&self, cpu: Cpu<'_>) {
        let memory = &cpu.core.memory;
        loop {
            let Some(head) = self.line.look(cpu.core).1.front().copied() else { return };
            let count = memory.get(self.count);
            if if head.write { count != 0 } else { count >= WRITER } {
                return;
            }
            memory.set(self.count, count + if head.write { WRITER } else { 1 });
            memory.set(self.slot(head.ticket), 1);
            self.line.poke(cpu.core, |(_, line)| line.pop_front());
        }
    }
}

impl<'m> Cpu<'m> {
    async fn down(self, sem: &'m RwSem, write: bool, place: &'static std::panic::Location<'static>) {
        let op = Op { place, ..Op::new(OpKind::Acquire, sem.count) };
        if let Err(ticket) = self.step(op, |cpu| sem.enter(cpu, op, write)).await {
            let slot = sem.slot(ticket);
            let wake = Op { place, ..Op::new(OpKind::Wait, slot) }.behind(Gate::NonZero(slot)).sleeping();
            self.step(wake, |cpu| cpu.perform_rmw(&wake, 1, 0)).await;
        }
    }

    /// `down_read()`.
    #[track_caller]
    pub fn down_read(self, sem: &'m RwSem) -> impl Future<Output = ReadHeld<'m>> {
        let place = std::panic::Location::caller();
        async move {
            self.down(sem, false, place).await;
            ReadHeld { cpu: self, sem: Some(sem) }
        }
    }

    /// `down_write()`.
    #[track_caller]
    pub fn down_write(self, sem: &'m RwSem) -> impl Future<Output = WriteHeld<'m>> {
        let place = std::panic::Location::caller();
        async move {
            self.down(sem, true, place).await;
            WriteHeld { cpu: self, sem: Some(sem) }
        }
    }
}

/// A semaphore held for reading. Dropping it is `up_read()`.
#[must_use]
pub struct ReadHeld<'m> {
    cpu: Cpu<'m>,
    sem: Option<&'m RwSem>,
}

impl Drop for ReadHeld<'_> {
    fn drop(&mut self) {
        if let Some(sem) = self.sem.take() {
            sem.leave(self.cpu, 1);
        }
    }
}

/// A semaphore held for writing. Dropping it is `up_write()`.
#[must_use]
pub struct WriteHeld<'m> {
    cpu: Cpu<'m>,
    sem: Option<&'m RwSem>,
}

impl<'m> WriteHeld<'m> {
    /// `downgrade_write()`: keeps the semaphore, now shared with the readers at the head of the line.
    pub fn downgrade(mut self) -> ReadHeld<'m> {
        let cpu = self.cpu;
        let sem = self.sem.take();
        if let Some(sem) = sem {
            cpu.drain_all();
            let memory = &cpu.core.memory;
            memory.set(sem.count, memory.get(sem.count) - WRITER + 1);
            sem.hand_over(cpu);
            cpu.core.emit(cpu.id, || Event::Release { loc: sem.count });
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
