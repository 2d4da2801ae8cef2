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
    /// that it tells of is one; the reads in between change nothing. From the second on they go where the page tables lead
    /// then, and not by what was cached before. If its page moves while it waits, so that it would
    /// read elsewhere, and nothing else can happen, the run is given up: `lost-wait`.
    "wait_until" WaitUntil {
        /// Where.
        required "at" at: Spot,
        /// The value that it compares with.
        or (0) "value" value: Word,
        /// Whether it waits for that value; for any other if not given.
        or (false) "is" is: Bool,
        /// What checks call the value that it read in the end.
        optional "as" name: NewValue,
    }
    where fits
}

fn fits(fields: &Fields<'_>, wait: &WaitUntil) -> Option<()> {
    value_fits(fields, "value", &wait.at, wait.value)
}

impl fmt::Display for WaitUntil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.is { "" } else { "not " };
        let value = if self.value == 0 { "zero".to_owned() } else { self.value.to_string() };
        write!(f, "wait until {} is {not}{value}{}", self.at, as_text(self.name.as_ref()))
    }
}

impl Operation for WaitUntil {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.spot(&self.at)?;
            let (wanted, is) = (self.value, self.is);
            let bytes = self.at.bytes();
            loop {
                let value = user_access_bytes(task.cpu, va, bytes, DataOp::Read).await?;
                if (value == wanted) == is {
                    task.keep(self.name.as_deref(), value);
                    return Ok(value.cast_signed());
                }
                // A processor that spins does not keep what it has cached for ever. So that no run spins on a stale
                // translation, from here on it reads where the tables lead.
                task.cpu.evict(va);
                // Reads that find the same change nothing, so the next is the one that can find something else.
                // While the kernel changes an entry there may be no page behind it. Then the next read waits in its fault.
                let Ok(loc) = task.word_behind(va, self.at.word()) else { continue };
                let gate = if is { Gate::Is(loc, bytes, wanted) } else { Gate::IsNot(loc, bytes, wanted) };
                task.begin_wait(va, self.at.word(), loc);
                task.cpu.step(Op::new(OpKind::Wait, loc).behind(gate), |_| ()).await;
                task.end_wait();
            }
        })
    }
}
