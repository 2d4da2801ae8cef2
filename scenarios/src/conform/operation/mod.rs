//! Running a recorded operation on the simulated kernel: one function for each.
//!
//! This is where a new system call comes in: an arm in [`operation`] and its function, which says with which
//! arguments the operation is modelled. Everything else is not modelled, and ends the comparison there.

mod access;
mod mapping;
mod process;
mod reference;

use std::pin::Pin;

use sim_core::TaskId;
use sim_mm::{Cpu, Errno, MmId};
use sim_mmu::VirtAddr;

use super::replay::Machine;
use super::trace::{Access, Args, Returned};

/// An operation as code.
pub(super) type Code<'m> = Pin<Box<dyn Future<Output = Returned> + 'm>>;

/// The process that acts.
#[derive(Clone, Copy)]
pub(super) struct Actor<'m> {
    pub(super) machine: &'m Machine,
    pub(super) cpu: Cpu<'m>,
    pub(super) task: TaskId,
    pub(super) mm: MmId,
    pub(super) window: VirtAddr,
}

/// The code of an operation; `None` if it is not modelled.
pub(super) fn operation<'m>(actor: Actor<'m>, op: &str, args: &Args) -> Option<Code<'m>> {
    match op {
        "mmap" => mapping::mmap(actor, args),
        "munmap" => mapping::munmap(actor, args),
        "mprotect" => mapping::mprotect(actor, args),
        "mremap" => mapping::mremap(actor, args),
        "madvise" => mapping::madvise(actor, args),
        "mlock" => mapping::mlock(actor, args),
        "munlock" => mapping::munlock(actor, args),
        "mincore" => mapping::mincore(actor, args),
        "msync" => mapping::msync(actor, args),
        "touch" => access::touch(actor, args),
        "procmem" => access::procmem(actor, args),
        "pvm" => access::pvm(actor, args),
        "vmsplice" => reference::vmsplice_pages(actor, args),
        "pipe_read" => reference::read_pipe(actor, args),
        "pin" => reference::pin(actor, args),
        "unpin" => reference::unpin(actor, args),
        "pin_rw" => reference::pin_rw(actor, args),
        "fork" => process::fork(actor, args),
        "exit" => Some(process::exit(actor)),
        _ => None,
    }
}

impl<'m> Actor<'m> {
    /// The addresses of `n` pages from `pg` on.
    fn range(&self, args: &Args) -> Option<(VirtAddr, VirtAddr)> {
        let start = self.window.plus_pages(args.pg?);
        Some((start, start.plus_pages(args.n?)))
    }

    /// The address of a page of the window.
    fn page(&self, page: u64) -> VirtAddr {
        self.window.plus_pages(page)
    }

    /// Whether the recorder does the operation on the process from outside.
    pub(super) fn is_remote(&self, op: &str) -> bool {
        matches!(op, "procmem" | "pvm" | "pipe_read")
    }
}

/// What a system call returns.
fn returned(result: Result<i64, Errno>) -> Returned {
    match result {
        Ok(ret) => Returned { ret: Some(ret), ..Returned::default() },
        Err(errno) => Returned { err: Some(errno.to_string()), ..Returned::default() },
    }
}

/// The same for one that returns nothing.
fn done(result: Result<(), Errno>) -> Returned {
    returned(result.map(|()| 0))
}

/// Notes what came of the access to a page: one more of the last run, or a new one.
fn note(runs: &mut Vec<(u64, u64, Access)>, page: u64, access: Access) {
    match runs.last_mut() {
        Some((first, pages, last)) if *first + *pages == page && *last == access => *pages += 1,
        _ => runs.push((page, 1, access)),
    }
}
