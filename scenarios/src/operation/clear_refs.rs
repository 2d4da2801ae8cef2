//! `clear_refs`.

use std::fmt;

use sim_mm::{Release, clear_refs_write};

use super::argument::OldProcess;
use super::{Operation, Running, operation};
use crate::stage::Task;

operation! {
    /// The kernel forgets which pages of a process were written: the value 4 is written to `/proc/PID/clear_refs`. From then on
    /// soft-dirty tells the pages that are written, if the machine has `"soft_dirty": "on"`.
    "clear_refs" ClearRefs since [Release::v(3, 11)] {
        /// The process.
        required "process" process: OldProcess,
    }
}

impl fmt::Display for ClearRefs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clear_refs of {}", self.process)
    }
}

impl Operation for ClearRefs {
    fn routine(&self) -> Option<&'static str> {
        Some("clear_refs_write")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            task.with_mm(&self.process, async |mm| clear_refs_write(task.cpu, mm).await).await?;
            Ok(0)
        })
    }
}
