//! `wait_until`: user code that spins on a word.

use std::fmt;

use sim_core::{Gate, Op, OpKind};
use sim_mm::arch::fault::user_access_bytes;
use sim_mmu::DataOp;

use super::access::value_fits;
use super::argument::{NewValue, Word};
use super::{Operation, Running, as_text, operation};
use crate::json::{Bool, Fields};
use crate::stage::{Spot, Task};

operation! {
    /// User code reads a word again and again until it is not zero, or until it has another value that is named. Each read
    /// that it tells of is one; the reads in between change nothing. If its page moves while it waits, so that it would
    /// read elsewhere, and nothing else can happen, the run is given up: `lost-wait`.
    "wait_until" WaitUntil {
        /// Where.
        required "at" at: Spot,
        /// Whether it waits for zero.
        or (false) "zero" zero: Bool,
        /// The value that it waits for.
        optional "value" value: Word,
        /// It waits for any value but this; for any but zero, if none of the three is given.
        optional "not" not: Word,
        /// What checks call the value that it read in the end.
        optional "as" name: NewValue,
    }
    where waits_for_one_thing
}

fn waits_for_one_thing(fields: &Fields<'_>, wait: &WaitUntil) -> Option<()> {
    let given = [("zero", wait.zero), ("value", wait.value.is_some()), ("not", wait.not.is_some())];
    let mut given = given.into_iter().filter(|(_, is_given)| *is_given);
    if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
        fields.get(second)?.error(format!("`{first}` says already what it waits for"));
        return None;
    }
    value_fits(fields, "value", &wait.at, wait.value.unwrap_or_default())?;
    value_fits(fields, "not", &wait.at, wait.not.unwrap_or_default())
}

impl WaitUntil {
    /// The value that it waits for; or, if the second is false, that it waits to see gone.
    fn wanted(&self) -> (u64, bool) {
        match (self.zero, self.value, self.not) {
            (true, ..) => (0, true),
            (_, Some(value), _) => (value, true),
            (.., not) => (not.unwrap_or_default(), false),
        }
    }
}

impl fmt::Display for WaitUntil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, is) = self.wanted();
        let not = if is { "" } else { "not " };
        let value = if value == 0 { "zero".to_owned() } else { value.to_string() };
        write!(f, "wait until {} is {not}{value}{}", self.at, as_text(self.name.as_ref()))
    }
}

impl Operation for WaitUntil {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.spot(&self.at)?;
            let (wanted, is) = self.wanted();
            let bytes = self.at.bytes();
            loop {
                let value = user_access_bytes(task.cpu, va, bytes, DataOp::Read).await?;
                if (value == wanted) == is {
                    task.keep(self.name.as_deref(), value);
                    return Ok(value.cast_signed());
                }
                // Reads that find the same change nothing, so the next is the one that can find something else.
                let loc = task.word_behind(va, self.at.word())?;
                let gate = if is { Gate::Is(loc, bytes, wanted) } else { Gate::IsNot(loc, bytes, wanted) };
                task.begin_wait(va, self.at.word(), loc);
                task.cpu.step(Op::new(OpKind::Wait, loc).behind(gate), |_| ()).await;
                task.end_wait();
            }
        })
    }
}
