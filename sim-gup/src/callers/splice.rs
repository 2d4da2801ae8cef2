//! Pipes that hold references to user pages: `fs/splice.c`.

use std::collections::VecDeque;

use sim_core::{BoxFuture, Gate, Loc, MemoryBuilder, Object, Op, OpKind, Routine};
use sim_mm::{Cpu, Errno, Event, MmId, Page};
use sim_mmu::VirtAddr;

use super::device::touched;
use crate::get_user_pages_fast::get_user_pages_fast;
use crate::pages::{Pages, Pin, put_pin};

/// A pipe.
#[derive(Debug)]
pub struct Pipe {
    buffers: Object<VecDeque<Pin>>,
    /// The number of buffers: what a reader sleeps on.
    filled: Loc,
}

impl Pipe {
    /// An empty pipe.
    pub fn new(memory: &mut MemoryBuilder, name: &str) -> Pipe {
        Pipe {
            buffers: Object::new(memory, format!("pipe.{name}"), VecDeque::new()),
            filled: memory.words(format!("pipe.{name}.nrbufs"), 1),
        }
    }

    /// How many references to a page it holds. Not an access: for those who look at the machine between two runs.
    pub fn references(&self, page: Page) -> u64 {
        self.buffers.peek().iter().filter(|pin| pin.page == page).count() as u64
    }

    /// Whether a reader would wait. Not an access: for those who look at the machine between two runs.
    pub fn is_empty(&self) -> bool {
        self.buffers.peek().is_empty()
    }
}

/// `vmsplice()`: puts references to user pages, not copies, into a pipe. Answers how many.
///
/// # Errors
/// As [`get_user_pages_fast`].
pub fn vmsplice<'m>(
    cpu: Cpu<'m>,
    pipe: &'m Pipe,
    start: VirtAddr,
    nr_pages: u64,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(vmsplice_to_pipe(cpu, pipe, start, nr_pages))
}

async fn vmsplice_to_pipe(cpu: Cpu<'_>, pipe: &Pipe, start: VirtAddr, nr_pages: u64) -> Result<u64, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("vmsplice_to_pipe"));
    let mut pages = Pages::default();
    let nr = get_user_pages_fast(cpu, start, nr_pages, false, &mut pages).await?;
    let pins = pages.take();
    for pin in &pins {
        cpu.note(Event::PinMoved { id: pin.id });
    }
    cpu.update(&pipe.buffers, |buffers| buffers.extend(&pins)).await;
    cpu.core.memory.set(pipe.filled, cpu.core.memory.get(pipe.filled) + pins.len() as u64);
    Ok(nr)
}

/// `read()` from a pipe: waits for a buffer, copies the first word of its page to the reader, drops
/// the reference.
pub fn pipe_read<'m>(cpu: Cpu<'m>, pipe: &'m Pipe, reader: MmId) -> BoxFuture<'m, u64> {
    Box::pin(read_one(cpu, pipe, reader))
}

async fn read_one(cpu: Cpu<'_>, pipe: &Pipe, reader: MmId) -> u64 {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("pipe_read"));
    let pin = loop {
        let op = Op::new(OpKind::Wait, pipe.filled).behind(Gate::NonZero(pipe.filled)).sleeping();
        cpu.step(op, |hw| hw.perform_rmw(&op, hw.core.memory.get(op.loc), hw.core.memory.get(op.loc))).await;
        let popped = cpu.update(&pipe.buffers, VecDeque::pop_front).await;
        if let Some(pin) = popped {
            cpu.core.memory.set(pipe.filled, cpu.core.memory.get(pipe.filled) - 1);
            break pin;
        }
    };
    let op = Op::new(OpKind::Read, cpu.mmu.phys.word(pin.page.0, 0));
    let value = cpu
        .step(op, move |hw| {
            let value = hw.perform_load(&op);
            touched(cpu, pin, reader, value, false);
            value
        })
        .await;
    put_pin(cpu, pin).await;
    value
}
