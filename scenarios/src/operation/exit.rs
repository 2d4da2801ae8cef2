//! `exit`.

use std::fmt;

use sim_mm::do_exit;

use super::{Operation, Running, operation};
use crate::stage::Task;

operation! {
    /// This thread ends. If it is the last thread of its process, the process ends too.
    "exit" Exit {}
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("exit")
    }
}

impl Operation for Exit {
    fn is_last(&self) -> bool {
        true
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            do_exit(task.cpu, task.id).await;
            Ok(0)
        })
    }
}
