//! `xchg`, `cmpxchg` and `xadd`: locked operations of user code. Each waits until the store buffer of its CPU is empty.

use std::fmt;

use sim_mm::arch::fault::user_access_bytes;
use sim_mmu::{DataOp, Locked};

use super::access::value_fits;
use super::argument::{NewValue, Word};
use super::{Operation, Running, as_text, operation};
use crate::json::Fields;
use crate::stage::{Spot, Task};

operation! {
    /// XCHG: user code writes a value and reads the old one, in one step.
    "xchg" Xchg {
        /// The bytes that it changes.
        required "at" at: Spot,
        /// The value.
        required "value" value: Word,
        /// The name of the old value in checks.
        optional "as" name: NewValue,
    }
    where xchg_fits
}

operation! {
    /// LOCK CMPXCHG: user code writes a value if a certain other value is there. It reads the old value in the same step. For
    /// the page tables it is a write in any case.
    "cmpxchg" Cmpxchg {
        /// The bytes that it changes.
        required "at" at: Spot,
        /// The value that must be there.
        required "expected" expected: Word,
        /// The value that takes its place.
        required "value" value: Word,
        /// The name of the old value in checks.
        optional "as" name: NewValue,
    }
    where cmpxchg_fits
}

operation! {
    /// LOCK XADD: user code adds a value and reads the old one, in one step. The sum wraps around.
    "xadd" Xadd {
        /// The bytes that it changes.
        required "at" at: Spot,
        /// The value that it adds.
        required "value" value: Word,
        /// The name of the old value in checks.
        optional "as" name: NewValue,
    }
    where xadd_fits
}

fn xchg_fits(fields: &Fields<'_>, xchg: &Xchg) -> Option<()> {
    value_fits(fields, "value", &xchg.at, xchg.value)
}

fn cmpxchg_fits(fields: &Fields<'_>, cmpxchg: &Cmpxchg) -> Option<()> {
    value_fits(fields, "expected", &cmpxchg.at, cmpxchg.expected)?;
    value_fits(fields, "value", &cmpxchg.at, cmpxchg.value)
}

fn xadd_fits(fields: &Fields<'_>, xadd: &Xadd) -> Option<()> {
    value_fits(fields, "value", &xadd.at, xadd.value)
}

impl fmt::Display for Xchg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xchg {} with {}{}", self.at, self.value, as_text(self.name.as_ref()))
    }
}

impl fmt::Display for Cmpxchg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cmpxchg { at, expected, value, name } = self;
        write!(f, "cmpxchg {at} from {expected} to {value}{}", as_text(name.as_ref()))
    }
}

impl fmt::Display for Xadd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xadd {} to {}{}", self.value, self.at, as_text(self.name.as_ref()))
    }
}

impl Operation for Xchg {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        perform(task, &self.at, Locked::Xchg(self.value), self.name.as_deref())
    }
}

impl Operation for Cmpxchg {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        let locked = Locked::Cmpxchg { expected: self.expected, new: self.value };
        perform(task, &self.at, locked, self.name.as_deref())
    }
}

impl Operation for Xadd {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        perform(task, &self.at, Locked::Xadd(self.value), self.name.as_deref())
    }
}

/// Performs a locked operation, and keeps the old value.
fn perform<'m>(task: Task<'m>, at: &'m Spot, locked: Locked, name: Option<&'m str>) -> Running<'m> {
    Box::pin(async move {
        let va = task.spot(at)?;
        let value = user_access_bytes(task.cpu, va, at.bytes(), DataOp::Locked(locked)).await?;
        task.keep(name, value);
        Ok(value.cast_signed())
    })
}
