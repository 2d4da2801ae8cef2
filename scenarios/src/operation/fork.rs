//! `fork`.

use std::fmt;

use sim_mm::sys_fork;

use super::argument::NewProcess;
use super::{Operation, Running, operation};
use crate::stage::Task;

operation! {
    /// Makes a child process: `fork()`. Threads of the child start when it exists.
    "fork" Fork {
        /// The name of the child.
        required "as" name: NewProcess,
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fork as {}", self.name)
    }
}

impl Operation for Fork {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            // If the child could not be made, its threads are let go as well. They end at once, because they have no process.
            let child = sys_fork(task.cpu).await.inspect_err(|_| task.start_threads_of(&self.name))?;
            task.adopt_child(&self.name, child);
            task.start_threads_of(&self.name);
            Ok(0)
        })
    }
}
