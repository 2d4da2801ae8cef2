//! `vfork`.

use std::fmt;

use sim_mm::{Errno, sys_vfork};

use super::argument::NewProcess;
use super::{Operation, Running, operation};
use crate::stage::Task;

operation! {
    /// Makes a child process that shares the memory of its parent: `vfork()`. The parent sleeps until the first thread of the child
    /// has run `exec` or `exit`.
    "vfork" Vfork {
        /// The name of the child.
        required "as" name: NewProcess,
    }
}

impl fmt::Display for Vfork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vfork as {}", self.name)
    }
}

impl Operation for Vfork {
    fn routine(&self) -> Option<&'static str> {
        Some("kernel_clone")
    }

    fn lends_mm_to(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let child = task.leader_of(&self.name).ok_or(Errno::Einval)?;
            let wake_up_new_task = move |mm| {
                task.adopt_child(&self.name, mm);
                task.start_threads_of(&self.name);
            };
            sys_vfork(task.cpu, child, wake_up_new_task).await?;
            Ok(0)
        })
    }
}
