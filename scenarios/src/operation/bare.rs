//! `set_entry`, `invlpg`, `mov_cr3` and `ipi_invlpg`: bare instructions on the page tables, for tests of the hardware.

use std::fmt;

use sim_mm::bare;

use super::{Operation, Running, operation};
use crate::json::Bool;
use crate::stage::{Place, Task};

operation! {
    /// Stores to the page-table entry of a page, without a lock or a flush, as no kernel does. Until then nothing is mapped
    /// there, or what another `set_entry` set; and a page next to it is in use, so that there is a table. The kernel keeps
    /// no account of such an entry.
    "set_entry" SetEntry {
        /// The page.
        required "of" of: Place,
        /// The page whose frame the entry leads to from now on, for reads and writes; without it, the entry is cleared.
        optional "to" to: Place,
        /// Whether D is set in it. If not, the first write sets it.
        or (true) "dirty" dirty: Bool,
    }
}

operation! {
    /// INVLPG: drops this CPU's translations of a page.
    "invlpg" Invlpg {
        /// The page.
        required "at" at: Place,
    }
}

operation! {
    /// MOV to CR3 of the value that it has: drops all of this CPU's translations that are not global.
    "mov_cr3" MovCr3 {}
}

operation! {
    /// Interrupts every other CPU, whose handler executes INVLPG, and waits until all have.
    "ipi_invlpg" IpiInvlpg {
        /// The page.
        required "at" at: Place,
    }
}

impl fmt::Display for SetEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Some(to) if self.dirty => write!(f, "set the entry of {} to {to}", self.of),
            Some(to) => write!(f, "set the entry of {} to {to}, clean", self.of),
            None => write!(f, "clear the entry of {}", self.of),
        }
    }
}

impl fmt::Display for Invlpg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invlpg {}", self.at)
    }
}

impl fmt::Display for MovCr3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mov cr3")
    }
}

impl fmt::Display for IpiInvlpg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invlpg {} on the other CPUs", self.at)
    }
}

impl Operation for SetEntry {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.address(&self.of)?;
            let to = self.to.as_ref().map(|to| task.address(to)).transpose()?;
            bare::set_entry(task.cpu, va, to, self.dirty).await?;
            Ok(0)
        })
    }
}

impl Operation for Invlpg {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            bare::invlpg(task.cpu, task.address(&self.at)?).await;
            Ok(0)
        })
    }
}

impl Operation for MovCr3 {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            bare::reload_cr3(task.cpu).await?;
            Ok(0)
        })
    }
}

impl Operation for IpiInvlpg {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            bare::invlpg_on_others(task.cpu, task.address(&self.at)?).await;
            Ok(0)
        })
    }
}
