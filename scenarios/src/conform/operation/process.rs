//! Processes that begin and end.

use sim_core::TaskId;
use sim_mm::{clear_refs_write, do_exit, sys_fork};

use super::super::trace::Args;
use super::actor::{Actor, Code, returned};

pub(super) fn fork<'m>(actor: Actor<'m>, args: &Args) -> Option<Code<'m>> {
    let child = args.child?;
    Some(Box::pin(async move {
        let forked = sys_fork(actor.cpu).await;
        if let Ok(mm) = forked {
            actor.machine.kernel.set_task_mm(TaskId(child), Some(mm));
            actor.machine.processes.borrow_mut().insert(child, mm);
            actor.machine.shares(actor.task.0, child);
        }
        returned(forked.map(|_| 0))
    }))
}

pub(super) fn exit(actor: Actor<'_>) -> Code<'_> {
    Box::pin(async move {
        do_exit(actor.cpu, actor.task).await;
        actor.machine.processes.borrow_mut().remove(&actor.task.0);
        actor.machine.unshares(actor.task.0);
        returned(Ok(0))
    })
}

/// `/proc/PID/clear_refs`, which the recorder writes to while the process sleeps.
pub(super) fn clear_refs(actor: Actor<'_>) -> Code<'_> {
    Box::pin(async move {
        clear_refs_write(actor.cpu, actor.machine.kernel.mm(actor.mm)).await;
        returned(Ok(0))
    })
}
