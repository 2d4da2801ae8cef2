//! System calls on the two memfds themselves. A byte at the beginning of each page is read or written.

use sim_mm::{Errno, sys_ftruncate, sys_pread, sys_punch_hole, sys_pwrite};

use super::super::trace::{Access, Args, Returned};
use super::actor::{Actor, Code, done, note, returned};

pub(super) fn ftruncate<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (fd, pages) = (actor.memfd(args)?, args.n?);
    Some(Box::pin(async move { done(sys_ftruncate(actor.cpu, fd, pages).await) }))
}

pub(super) fn punch_hole<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (fd, from, pages) = (actor.memfd(args)?, args.off?, args.n?);
    Some(Box::pin(async move { done(sys_punch_hole(actor.cpu, fd, from, pages).await) }))
}

/// Pages one by one. What comes before the first failure counts.
pub(super) fn write<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (fd, from, pages, value) = (actor.memfd(args)?, args.off?, args.n?, u64::from(args.val?));
    Some(Box::pin(async move {
        let mut written = 0;
        for page in from..from + pages {
            match sys_pwrite(actor.cpu, fd, page, value).await {
                Ok(()) => written += 1,
                Err(errno) if written == 0 => return returned(Err(errno)),
                Err(_) => break,
            }
        }
        returned(Ok(written))
    }))
}

/// Pages one by one, up to the end of the file. They are counted from the first that is read.
pub(super) fn read<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (fd, from, pages) = (actor.memfd(args)?, args.off?, args.n?);
    Some(Box::pin(async move {
        let mut bytes = Vec::new();
        let mut read: Result<i64, Errno> = Ok(0);
        for nth in 0..pages {
            match sys_pread(actor.cpu, fd, from + nth).await {
                Ok(Some(word)) => {
                    note(&mut bytes, nth, Access::byte(word));
                    read = Ok(nth as i64 + 1);
                }
                Ok(None) => break,
                Err(errno) if nth == 0 => read = Err(errno),
                Err(_) => break,
            }
        }
        Returned { acc: bytes, ..returned(read) }
    }))
}
