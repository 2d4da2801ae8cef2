//! `wait_until`: user code that spins on a word.

use std::fmt;

use sim_core::{Gate, Op, OpKind};
use sim_mm::arch::fault::user_access_bytes;
use sim_mmu::DataOp;

use super::argument::NewValue;
use super::{Operation, Running, as_text, operation};
use crate::json::{Bool, Fields};
use crate::stage::{Spot, Task};

operation! {
    /// User code reads a word again and again until it is not zero, or until it is. Each read that it tells of is one; the
    /// reads in between change nothing. Its page must stay where it is meanwhile.
    "wait_until" WaitUntil {
        /// Where.
        required "at" at: Spot,
        /// Whether it waits for zero; for anything else if not given.
        or (false) "zero" zero: Bool,
        /// What checks call the value that it read in the end.
        optional "as" name: NewValue,
    }
    where is_a_word
}

fn is_a_word(fields: &Fields<'_>, wait: &WaitUntil) -> Option<()> {
    if !wait.at.is_word() {
        fields.get("at")?.error("a whole word is waited for".to_owned());
        return None;
    }
    Some(())
}

impl fmt::Display for WaitUntil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.zero { "" } else { "not " };
        write!(f, "wait until {} is {not}zero{}", self.at, as_text(self.name.as_ref()))
    }
}

impl Operation for WaitUntil {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.spot(&self.at)?;
            loop {
                let value = user_access_bytes(task.cpu, va, self.at.bytes(), DataOp::Read).await?;
                if (value == 0) == self.zero {
                    task.keep(self.name.as_deref(), value);
                    return Ok(value.cast_signed());
                }
                // Reads that find the same change nothing, so the next is the one that can find something else.
                let loc = task.word_behind(va, self.at.word())?;
                let gate = if self.zero { Gate::Zero(loc) } else { Gate::NonZero(loc) };
                task.cpu.step(Op::new(OpKind::Wait, loc).behind(gate), |_| ()).await;
            }
        })
    }
}
