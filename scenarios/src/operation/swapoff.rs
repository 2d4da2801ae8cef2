//! `swapoff`.

use std::fmt;

use sim_mm::sys_swapoff;

use super::{Operation, Running, operation};
use crate::stage::Task;

operation! {
    /// Takes the swap area out of use: `swapoff()`. What is in swap comes back to memory before, and afterwards nothing is swapped out
    /// any more.
    "swapoff" Swapoff {}
}

impl fmt::Display for Swapoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "swapoff()")
    }
}

impl Operation for Swapoff {
    fn routine(&self) -> Option<&'static str> {
        Some("swapoff")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move { sys_swapoff(task.cpu).await.map(|()| 0) })
    }
}
