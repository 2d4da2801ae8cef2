//! What runs on a CPU: a task at the bottom, interrupt handlers above it.

use std::future::Future;
use std::pin::Pin;

use crate::cpu_state::Mode;
use crate::id::TaskId;
use crate::op::Op;
use crate::routine::Routine;

/// Simulated code, boxed at a border. There is a border between the executor and the code that it runs, and where one
/// crate calls a large part of another. Async code is compiled where it is first polled, so a border also keeps the
/// code in its own crate.
pub type BoxFuture<'m, T = ()> = Pin<Box<dyn Future<Output = T> + 'm>>;

/// What is saved of a context while another context runs above it or instead of it.
pub(crate) struct Saved {
    pub(crate) op: Option<Op>,
    pub(crate) mode: Mode,
    pub(crate) routines: Vec<Routine>,
}

/// What an interrupt handler interrupted.
pub(crate) struct Below<'m> {
    /// Whether it was an interrupt, not a switch between tasks.
    pub(crate) by_interrupt: bool,
    pub(crate) future: Option<BoxFuture<'m>>,
    pub(crate) saved: Saved,
}

pub(crate) enum TaskState {
    /// Not yet polled.
    Fresh,
    /// Its announcement is in the CPU, or in what the handlers above saved.
    Running,
    /// Another task runs in its place. The state is boxed because it is rare, and because tasks are made in every run.
    Parked(Box<Saved>),
    Done,
}

pub(crate) struct Task<'m> {
    pub(crate) id: TaskId,
    /// Its code, while it is not on top of the stack.
    pub(crate) future: Option<BoxFuture<'m>>,
    pub(crate) state: TaskState,
}

/// One CPU: the tasks at the bottom, the handlers above the one that runs.
#[derive(Default)]
pub(crate) struct ContextStack<'m> {
    /// The context on top: what a step of the CPU polls.
    pub(crate) top: Option<BoxFuture<'m>>,
    /// What lies below the handlers, the lowest first.
    pub(crate) below: Vec<Below<'m>>,
    pub(crate) tasks: Vec<Task<'m>>,
    pub(crate) running: Option<usize>,
    /// The running task took no step yet since the CPU switched to it. It may not be preempted now. Otherwise two
    /// tasks could pass the CPU to and fro for ever.
    pub(crate) just_switched: bool,
}
