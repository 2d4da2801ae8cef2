//! `write`, `write_value_of` and `read`: loads and stores of user code.

use std::fmt;

use sim_mm::Errno;
use sim_mm::arch::fault::user_access_bytes;
use sim_mmu::DataOp;

use super::argument::{NewValue, Word};
use super::{OldValue, Operation, Running, as_text, operation};
use crate::json::Fields;
use crate::stage::{Spot, Task};

operation! {
    /// User code writes a value to a word of a page, or to some bytes of it.
    "write" Write {
        /// The bytes that it writes. `"buf[12:4]"` is 4 bytes at offset 12 of the page `buf`.
        required "to" to: Spot,
        /// The value.
        required "value" value: Word,
    }
    where fits
}

operation! {
    /// User code writes the value that an earlier operation of the thread read. If that operation failed, this one fails with
    /// EFAULT.
    "write_value_of" WriteValueOf {
        /// The bytes that it writes.
        required "to" to: Spot,
        /// The name of the value: the `as` of the earlier operation. If it writes fewer bytes, it takes the lowest of the value.
        required "read" read: OldValue,
    }
}

operation! {
    /// User code reads a word of a page, or some bytes of it.
    "read" Read {
        /// The bytes that it reads.
        required "from" from: Spot,
        /// The name of the value in checks.
        optional "as" name: NewValue,
    }
}

fn fits(fields: &Fields<'_>, write: &Write) -> Option<()> {
    value_fits(fields, "value", &write.to, write.value)
}

/// A value must fit into the bytes to which it is written.
pub(super) fn value_fits(fields: &Fields<'_>, key: &str, spot: &Spot, value: u64) -> Option<()> {
    if !spot.holds(value) {
        fields.get(key)?.error(format!("{value} has more bytes than `{spot}`"));
        return None;
    }
    Some(())
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} to {}", self.value, self.to)
    }
}

impl fmt::Display for WriteValueOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} to {}", self.read, self.to)
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
            let va = task.spot(&self.to)?;
            user_access_bytes(task.cpu, va, self.to.bytes(), DataOp::Write(self.value)).await?;
            Ok(0)
        })
    }
}

impl Operation for WriteValueOf {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.spot(&self.to)?;
            let value = task.kept(&self.read).ok_or(Errno::Efault)?;
            user_access_bytes(task.cpu, va, self.to.bytes(), DataOp::Write(value)).await?;
            Ok(0)
        })
    }
}

impl Operation for Read {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.spot(&self.from)?;
            let value = user_access_bytes(task.cpu, va, self.from.bytes(), DataOp::Read).await?;
            task.keep(self.name.as_deref(), value);
            Ok(value.cast_signed())
        })
    }
}
