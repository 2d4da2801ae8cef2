//! The process that acts, and the return values of its operations.

use std::pin::Pin;

use sim_core::TaskId;
use sim_mm::{Cpu, Errno, Memfd, MmId};
use sim_mmu::VirtAddr;

use crate::conform::machine::Machine;
use crate::conform::trace::{Access, Args, Returned};

/// An operation as code.
pub(in crate::conform) type Code<'m> = Pin<Box<dyn Future<Output = Returned> + 'm>>;

/// The process that acts.
#[derive(Clone, Copy)]
pub(in crate::conform) struct Actor<'m> {
    pub(in crate::conform) machine: &'m Machine,
    pub(in crate::conform) cpu: Cpu<'m>,
    pub(in crate::conform) task: TaskId,
    pub(in crate::conform) mm: MmId,
    pub(in crate::conform) window: VirtAddr,
}

impl<'m> Actor<'m> {
    /// The addresses of `n` pages from `pg` on.
    pub(super) fn range(&self, args: &Args) -> Option<(VirtAddr, VirtAddr)> {
        let start = self.window.plus_pages(args.pg?);
        Some((start, start.plus_pages(args.n?)))
    }

    /// The address of a page of the window.
    pub(super) fn page(&self, page: u64) -> VirtAddr {
        self.window.plus_pages(page)
    }

    /// The memfd that the operation is about.
    pub(super) fn memfd(&self, args: &Args) -> Option<&'m Memfd> {
        self.machine.memfds.get(usize::try_from(args.fd?).ok()?)
    }

    /// Whether the recorder does the operation from outside of the process.
    pub(in crate::conform) fn is_remote(&self, op: &str) -> bool {
        matches!(op, "procmem" | "pvm" | "pipe_read" | "ftruncate" | "punch_hole" | "fd_write" | "fd_read")
    }
}

/// The result of a system call that returns a number.
pub(super) fn returned(result: Result<i64, Errno>) -> Returned {
    match result {
        Ok(ret) => Returned { ret: Some(ret), ..Returned::default() },
        Err(errno) => Returned { err: Some(errno.to_string()), ..Returned::default() },
    }
}

/// The result of a system call that returns nothing.
pub(super) fn done(result: Result<(), Errno>) -> Returned {
    returned(result.map(|()| 0))
}

/// Notes the result of the access to a page. It is added to the last run of pages, or it begins a new one.
pub(super) fn note(runs: &mut Vec<(u64, u64, Access)>, page: u64, access: Access) {
    match runs.last_mut() {
        Some((first, pages, last)) if *first + *pages == page && *last == access => *pages += 1,
        _ => runs.push((page, 1, access)),
    }
}
