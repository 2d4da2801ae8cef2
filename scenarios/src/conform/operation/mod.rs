//! Running a recorded operation on the simulated kernel: one function for each.
//!
//! A new system call needs an arm in [`operation`] and a function. The function says with which arguments the
//! operation is modelled. Everything else is not modelled, and ends the comparison there.

mod access;
mod actor;
mod file;
mod mapping;
mod process;
mod reference;

pub(super) use actor::{Actor, Code};

use super::trace::Args;

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
        "move_pages" => mapping::move_pages(actor, args),
        "msync" => mapping::msync(actor, args),
        "touch" => access::touch(actor, args),
        "procmem" => access::procmem(actor, args),
        "pvm" => access::pvm(actor, args),
        "vmsplice" => reference::vmsplice_pages(actor, args),
        "pipe_read" => reference::read_pipe(actor, args),
        "pin" => reference::pin(actor, args),
        "unpin" => reference::unpin(actor, args),
        "pin_rw" => reference::pin_rw(actor, args),
        "ftruncate" => file::ftruncate(actor, args),
        "punch_hole" => file::punch_hole(actor, args),
        "fd_write" => file::write(actor, args),
        "fd_read" => file::read(actor, args),
        "clear_refs" => Some(process::clear_refs(actor)),
        "fork" => process::fork(actor, args),
        "exit" => Some(process::exit(actor)),
        _ => None,
    }
}
