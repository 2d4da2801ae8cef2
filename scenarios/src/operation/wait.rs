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
    /// User code reads a word again and again until it does not have a certain value any more (0, if none is named), or, with
    /// `is`, until it has that value. Only some of the reads are steps, because a read that finds the same again changes nothing.
    /// The second read and all later ones go where the page tables lead at that moment, and do not use what was cached before. If
    /// the page of the word moves while the thread waits, and nothing else can happen, the run is given up: `lost-wait`.
    "wait_until" WaitUntil {
        /// The bytes that it reads.
        required "at" at: Spot,
        /// The value with which it compares the word.
        or (0) "value" value: Word,
        /// Whether it waits for that value. If this is not given, it waits for any other value.
        or (false) "is" is: Bool,
        /// The name in checks of the value that it read in the end.
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
                // A processor that spins does not keep a cached translation for ever. From here on it reads where the tables
                // lead, so that no run spins on a stale translation.
                task.cpu.evict(va);
                // A read that finds the old value again changes nothing. So the next step is the read that can find another.
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
