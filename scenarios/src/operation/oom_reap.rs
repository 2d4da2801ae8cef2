//! `oom_reap`.

use std::fmt;

use sim_mm::{Release, oom_reap_task};

use super::argument::OldProcess;
use super::{Operation, Running, operation};
use crate::stage::Task;

operation! {
    /// The OOM reaper takes the private memory of a process that is being killed: `oom_reap_task()`. Threads of the process may
    /// still run.
    "oom_reap" OomReap since [Release::v(4, 6)] {
        /// The process.
        required "process" process: OldProcess,
    }
}

impl fmt::Display for OomReap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OOM reaper takes the memory of {}", self.process)
    }
}

impl Operation for OomReap {
    fn routine(&self) -> Option<&'static str> {
        Some("oom_reap_task")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            task.with_mm(&self.process, async |mm| oom_reap_task(task.cpu, mm).await).await?;
            Ok(0)
        })
    }
}
