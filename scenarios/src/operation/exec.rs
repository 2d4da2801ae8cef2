//! `exec`.

use std::fmt;

use sim_mm::sys_execve;

use super::argument::NewMapping;
use super::{Operation, Running, as_text, operation};
use crate::stage::Task;

operation! {
    /// The process gets a new address space: `execve()`. Nothing is mapped there but an empty stack of one page, which can grow.
    /// Other threads of the process die first, each when its present operation is done. Whoever else uses the old address space
    /// keeps it.
    "exec" Exec {
        /// The name of the stack.
        optional "as" name: NewMapping,
    }
}

impl fmt::Display for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exec{}", as_text(self.name.as_ref()))
    }
}

impl Operation for Exec {
    fn routine(&self) -> Option<&'static str> {
        Some("bprm_execve")
    }

    fn replaces_mm(&self) -> bool {
        true
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let installed = move |mm, stack| task.replace_mm(mm, (self.name.as_deref(), stack));
            sys_execve(task.cpu, task.id, installed).await?;
            Ok(0)
        })
    }
}
