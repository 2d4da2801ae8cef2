//! `write` and `read`: what user code does.

use std::fmt;

use sim_mm::arch::fault::user_access;
use sim_mmu::DataOp;

use super::argument::{NewValue, Word};
use super::{Operation, Running, as_text, operation};
use crate::stage::{Place, Task};

operation! {
    /// User code writes a value to the first word of a page.
    "write" Write {
        /// The page.
        required "to" to: Place,
        /// The value.
        required "value" value: Word,
    }
}

operation! {
    /// User code reads the first word of a page.
    "read" Read {
        /// The page.
        required "from" from: Place,
        /// What checks call the value.
        optional "as" name: NewValue,
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} to {}", self.value, self.to)
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {}{}", self.from, as_text(self.name.as_ref()))
    }
}

impl Operation for Write {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.address(&self.to)?;
            user_access(task.cpu, va, DataOp::Write(self.value)).await?;
            Ok(0)
        })
    }
}

impl Operation for Read {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.address(&self.from)?;
            let value = user_access(task.cpu, va, DataOp::Read).await?;
            task.keep(self.name.as_deref(), value);
            Ok(value.cast_signed())
        })
    }
}
