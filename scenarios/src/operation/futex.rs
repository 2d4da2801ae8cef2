//! `futex_add`: a system call changes a word of user memory.

use std::fmt;

use sim_gup::callers::futex_wake_op;
use sim_mmu::{DataOp, Locked};

use super::argument::{NewValue, Word};
use super::{Operation, Running, as_text, operation};
use crate::stage::{Place, Task};

operation! {
    /// The kernel adds a value to the first word of a page, as `FUTEX_WAKE_OP` does, and answers 0. It cannot wait there, and so a fault is handled by `fixup_user_fault()` before the kernel
    /// tries again. Who waits for the futex is not modelled.
    "futex_add" FutexAdd {
        /// The page.
        required "at" at: Place,
        /// The value that it adds.
        required "value" value: Word,
        /// The name of the old value in checks.
        optional "as" name: NewValue,
    }
}

impl fmt::Display for FutexAdd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "futex, add {} to {}{}", self.value, self.at, as_text(self.name.as_ref()))
    }
}

impl Operation for FutexAdd {
    fn routine(&self) -> Option<&'static str> {
        Some("futex_wake_op")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let add = DataOp::Locked(Locked::Xadd(self.value));
            let old = futex_wake_op(task.cpu, task.address(&self.at)?, add).await?;
            task.keep(self.name.as_deref(), old);
            Ok(0)
        })
    }
}
