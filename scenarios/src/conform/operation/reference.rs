//! References to pages that outlive the system call: pipes and fixed buffers.

use sim_gup::callers::{RemoteOp, fixed_rw, pipe_read, register_buffer, unregister_buffer, vmsplice};
use sim_mm::Errno;

use super::super::trace::{Access, Args, Returned};
use super::actor::{Actor, Code, done, note, returned};

impl Actor<'_> {
    fn slot(&self, args: &Args) -> Option<usize> {
        args.slot.filter(|slot| *slot < self.machine.pipes.len())
    }
}

/// Does one page in each call. Only the pages before the first failure count.
pub(super) fn vmsplice_pages<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, _) = actor.range(args)?;
    let (pages, slot) = (args.n?, actor.slot(args)?);
    Some(Box::pin(async move {
        let mut spliced = 0;
        for page in 0..pages {
            match vmsplice(actor.cpu, &actor.machine.pipes[slot], start.plus_pages(page), 1).await {
                Ok(_) => spliced += 1,
                Err(errno) if spliced == 0 => return returned(Err(errno)),
                Err(_) => break,
            }
        }
        returned(Ok(spliced))
    }))
}

/// Reads a byte of each buffer, without waiting.
pub(super) fn read_pipe<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (wanted, slot) = (args.n?, actor.slot(args)?);
    Some(Box::pin(async move {
        let pipe = &actor.machine.pipes[slot];
        let mut bytes = Vec::new();
        let mut nr = 0;
        while nr < wanted && !pipe.is_empty() {
            let word = pipe_read(actor.cpu, pipe, actor.mm).await;
            note(&mut bytes, nr, Access::byte(word));
            nr += 1;
        }
        if nr == 0 && wanted > 0 {
            return returned(Err(Errno::Eagain));
        }
        Returned { ret: Some(nr as i64), acc: bytes, ..Returned::default() }
    }))
}

/// Opens the ring of the slot, if that has not happened, and registers a buffer with it.
pub(super) fn pin<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (start, _) = actor.range(args)?;
    let (pages, slot) = (args.n?, actor.slot(args)?);
    Some(Box::pin(async move {
        actor.machine.open[slot].set(true);
        done(register_buffer(actor.cpu, &actor.machine.rings[slot], start, pages).await)
    }))
}

pub(super) fn unpin<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let slot = actor.slot(args)?;
    Some(Box::pin(async move {
        if !actor.machine.open[slot].get() {
            return returned(Err(Errno::Ebadf));
        }
        done(unregister_buffer(actor.cpu, &actor.machine.rings[slot]).await)
    }))
}

pub(super) fn pin_rw<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (first, pages, slot) = (args.pg?, args.n?, actor.slot(args)?);
    let op = match args.acc.as_deref()? {
        "read" => RemoteOp::Read,
        "write" => RemoteOp::Write(u64::from(args.val?)),
        _ => return None,
    };
    Some(Box::pin(async move {
        if !actor.machine.open[slot].get() {
            return returned(Err(Errno::Ebadf));
        }
        let mut accesses = Vec::new();
        for page in first..first + pages {
            let came = match fixed_rw(actor.cpu, &actor.machine.rings[slot], actor.page(page), op).await {
                Ok(word) => Access::byte(word),
                Err(errno) => Access::Failed(errno.to_string()),
            };
            note(&mut accesses, page, came);
        }
        Returned { ret: Some(0), acc: accesses, ..Returned::default() }
    }))
}
