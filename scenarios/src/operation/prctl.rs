//! `prctl`.

use std::fmt;

use sim_mm::{Release, prctl_set_memory_merge};

use super::{Operation, Running, operation};
use crate::json::Bool;
use crate::stage::Task;

operation! {
    /// The process says whether equal pages of all its private memory may be merged: `prctl(PR_SET_MEMORY_MERGE)`. It is a flag of
    /// its mappings. When they may not any more, what is merged becomes pages of its own again.
    "prctl" Prctl since [Release::v(6, 4)] {
        /// Whether they may.
        required "set_memory_merge" set_memory_merge: Bool,
    }
}

impl fmt::Display for Prctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whether = if self.set_memory_merge { "may" } else { "must not" };
        write!(f, "prctl: equal pages {whether} be merged")
    }
}

impl Operation for Prctl {
    fn routine(&self) -> Option<&'static str> {
        Some("prctl_set_memory_merge")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            prctl_set_memory_merge(task.cpu, self.set_memory_merge).await?;
            Ok(0)
        })
    }
}
