//! `set_entry`, `invlpg` and `ipi_invlpg`: bare instructions on the page tables, for tests of the hardware.

use std::fmt;

use serde_json::{Value, json};
use sim_mm::bare;
use sim_mmu::Level;

use super::argument::Argument;
use super::{Operation, Running, operation};
use crate::json::{Bool, Fields, Kind, Node};
use crate::stage::{Place, Task};

operation! {
    /// Stores to an entry on the way to a page, without a lock or a flush, as no kernel does. Until then nothing is there, or
    /// what another `set_entry` set (else it fails with EBUSY); and there is a table of that level, since pages next to it
    /// are in use (else it fails with EFAULT). The kernel keeps no account of such an entry, so nothing may be unmapped
    /// behind it, and its process may not end.
    "set_entry" SetEntry {
        /// The page.
        required "of" of: Place,
        /// The page whose frame the entry leads to from now on, for reads and writes; at an upper level, the page whose table
        /// it leads to. Without it, the entry is cleared.
        optional "to" to: Place,
        /// The level of the entry.
        or (Level::Pte) "level" level: EntryLevel,
        /// Whether D is set in it. If not, the first write sets it. Of an upper level, it cannot be said.
        or (true) "dirty" dirty: Bool,
    }
    where only_a_page_is_clean
}

fn only_a_page_is_clean(fields: &Fields<'_>, set: &SetEntry) -> Option<()> {
    if !set.dirty && set.level != Level::Pte {
        fields.get("dirty")?.error("an entry that leads to a table has no D".to_owned());
        return None;
    }
    Some(())
}

/// The level of an entry that is set.
pub(crate) struct EntryLevel;

impl Kind for EntryLevel {
    type Value = Level;

    fn decode(node: &Node<'_>) -> Option<Level> {
        node.named("level", LEVELS, &["pgd"])
    }

    fn schema() -> Value {
        json!({ "enum": LEVELS.iter().map(|(_, name)| *name).collect::<Vec<_>>() })
    }
}

impl Argument for EntryLevel {}

const LEVELS: &[(Level, &str)] =
    &[(Level::Pte, "pte"), (Level::Pmd, "pmd"), (Level::Pud, "pud"), (Level::P4d, "p4d")];

fn level_name(level: Level) -> &'static str {
    LEVELS.iter().find(|(other, _)| *other == level).map_or("?", |(_, name)| name)
}

operation! {
    /// INVLPG: drops this CPU's translations of a page.
    "invlpg" Invlpg {
        /// The page.
        required "at" at: Place,
    }
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
        let entry = match self.level {
            Level::Pte => "entry".to_owned(),
            level => format!("{} entry", level_name(level).to_uppercase()),
        };
        match &self.to {
            Some(to) if self.dirty => write!(f, "set the {entry} of {} to {to}", self.of),
            Some(to) => write!(f, "set the {entry} of {} to {to}, clean", self.of),
            None => write!(f, "clear the {entry} of {}", self.of),
        }
    }
}

impl fmt::Display for Invlpg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invlpg {}", self.at)
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
            match self.level {
                Level::Pte => bare::set_entry(task.cpu, va, to, self.dirty).await?,
                level => bare::set_upper_entry(task.cpu, level, va, to).await?,
            }
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

impl Operation for IpiInvlpg {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            bare::invlpg_on_others(task.cpu, task.address(&self.at)?).await;
            Ok(0)
        })
    }
}
