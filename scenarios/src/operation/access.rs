//! `write` and `read`: loads and stores of user code.

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
        /// Where. `"buf[12:4]"` is 4 bytes at offset 12 of the page `buf`.
        required "to" to: Spot,
        /// The value.
        optional "value" value: Word,
        /// Instead of that, the value that an earlier operation of the thread read, by its `as`; of fewer bytes, the lowest
        /// of it. If that operation failed, this one fails with EFAULT.
        optional "value_of" value_of: OldValue,
    }
    where has_one_value
}

operation! {
    /// User code reads a word of a page, or some bytes of it.
    "read" Read {
        /// Where.
        required "from" from: Spot,
        /// What checks call the value.
        optional "as" name: NewValue,
    }
}

fn has_one_value(fields: &Fields<'_>, write: &Write) -> Option<()> {
    match (write.value, &write.value_of) {
        (Some(value), None) => value_fits(fields, "value", &write.to, value),
        (None, Some(_)) => Some(()),
        (Some(_), Some(_)) => {
            fields.get("value_of")?.error("`value` says already what is written".to_owned());
            None
        }
        (None, None) => {
            fields.get("to")?.error("nothing says what is written: `value` or `value_of`".to_owned());
            None
        }
    }
}

/// A value that is written has no more bytes than it is written to.
pub(super) fn value_fits(fields: &Fields<'_>, key: &str, spot: &Spot, value: u64) -> Option<()> {
    if !spot.holds(value) {
        fields.get(key)?.error(format!("{value} has more bytes than `{spot}`"));
        return None;
    }
    Some(())
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value_of {
            Some(name) => write!(f, "write {name} to {}", self.to),
            None => write!(f, "write {} to {}", self.value.unwrap_or_default(), self.to),
        }
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
            let value = match &self.value_of {
                Some(name) => task.kept(name).ok_or(Errno::Efault)?,
                None => self.value.unwrap_or_default(),
            };
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
