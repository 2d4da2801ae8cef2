//! How a run ended.

use crate::id::{CpuId, TaskId};
use crate::op::Op;

/// A context that waits when nothing can happen any more.
#[derive(Clone, Copy, Debug)]
pub struct Blocked {
    /// The CPU on which it would run.
    pub cpu: CpuId,
    /// The task. For a handler, the task below it, if there is one.
    pub task: Option<TaskId>,
    /// Whether an interrupt handler, or the code between two tasks, is what waits.
    pub in_handler: bool,
    /// What it waits to do.
    pub op: Op,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// Every task ran to its end, and nothing is pending.
    Completed,
    /// Nothing can happen, and these contexts are not at their end. Tasks that never began are not in the list.
    Deadlock(Vec<Blocked>),
    /// The bound on steps was reached.
    StepBound,
    /// Somebody asked for the end: [`Core::request_stop`](crate::Core::request_stop).
    Stopped,
    /// A search gave the run up, because it has covered everything that could follow.
    Pruned,
}
