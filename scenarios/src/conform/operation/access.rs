//! Accesses to memory, by the process itself and by others.

use sim_core::BoxFuture;
use sim_gup::callers::{RemoteOp, access_remote_vm, process_vm_rw};
use sim_mm::arch::fault::{Killed, Signal, user_access};
use sim_mm::{Cpu, Errno, MmStruct};
use sim_mmu::{DataOp, VirtAddr};

use super::super::trace::{Access, Args, OTHER_SIGNAL, Returned};
use super::actor::{Actor, Code, note};

/// On whose behalf an access is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Via {
    User,
    /// A system call, on behalf of the process. It returns an errno where user code would get a signal.
    Kernel,
}

/// Loads, stores and fetches of user code, or `copy_from_user()` and `copy_to_user()`.
pub(super) fn touch<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let (page, pages) = (args.pg?, args.n?);
    let via = match args.via.as_deref()? {
        "user" => Via::User,
        "kernel" => Via::Kernel,
        _ => return None,
    };
    let data = match args.acc.as_deref()? {
        "read" => DataOp::Read,
        "write" => DataOp::Write(u64::from(args.val?)),
        "exec" if via == Via::User => DataOp::Fetch,
        _ => return None,
    };
    Some(Box::pin(async move {
        let mut accesses = Vec::new();
        for page in page..page + pages {
            let access = match user_access(actor.cpu, actor.page(page), data).await {
                // A trace does not have the bytes that were fetched.
                Ok(_) if data == DataOp::Fetch => Access::Value(0),
                Ok(word) => Access::byte(word),
                Err(Killed::Signal(Signal::SegvPkuerr)) if via == Via::User => {
                    Access::Failed(OTHER_SIGNAL.to_owned())
                }
                Err(Killed::Signal(signal)) if via == Via::User => Access::Failed(signal.to_string()),
                Err(killed) => Access::Failed(Errno::from(killed).to_string()),
            };
            note(&mut accesses, page, access);
        }
        Returned { ret: Some(0), acc: accesses, ..Returned::default() }
    }))
}

/// How another process accesses a word.
type Remote = for<'m> fn(Cpu<'m>, &'m MmStruct, VirtAddr, RemoteOp) -> BoxFuture<'m, Result<u64, Errno>>;

fn remote<'m>(actor: Actor<'m>, args: &Args, access: Remote) -> Option<Code<'m>> {
    let (page, pages) = (args.pg?, args.n?);
    let op = match args.acc.as_deref()? {
        "read" => RemoteOp::Read,
        "write" => RemoteOp::Write(u64::from(args.val?)),
        _ => return None,
    };
    Some(Box::pin(async move {
        let mut accesses = Vec::new();
        let mut count = 0;
        for page in page..page + pages {
            let mm = actor.machine.kernel.mm(actor.mm);
            let came = match access(actor.cpu, mm, actor.page(page), op).await {
                Ok(word) => {
                    count += 1;
                    Access::byte(word)
                }
                Err(errno) => Access::Failed(errno.to_string()),
            };
            note(&mut accesses, page, came);
        }
        Returned { ret: Some(count), acc: accesses, ..Returned::default() }
    }))
}

/// `/proc/PID/mem`.
pub(super) fn procmem<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    remote(actor, args, access_remote_vm)
}

/// `process_vm_readv()`, `process_vm_writev()`.
pub(super) fn pvm<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    remote(actor, args, process_vm_rw)
}
