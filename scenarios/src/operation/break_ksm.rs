//! `break_ksm`: ksmd looks whether a page is a merged one.

use std::fmt;

use sim_mm::break_cow;

use super::{Operation, Running, operation};
use crate::stage::{Place, Task};

operation! {
    /// ksmd has given up merging a page of the process. If a merged page is mapped there, it is copied: `break_cow()`. The mapping must have been
    /// given the advice `mergeable`.
    "break_ksm" BreakKsm {
        /// The page.
        required "at" at: Place,
    }
}

impl fmt::Display for BreakKsm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ksmd looks at {}", self.at)
    }
}

impl Operation for BreakKsm {
    fn routine(&self) -> Option<&'static str> {
        Some("break_cow")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let mm = task.cpu.kernel.mm(task.mm()?);
            break_cow(task.cpu, mm, task.address(&self.at)?).await?;
            Ok(0)
        })
    }
}
