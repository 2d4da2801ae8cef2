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
    /// Stores to an entry on the way to a page, without a lock and without a flush. No kernel does that. If the entry is not
    /// empty and no other `set_entry` has set it, the operation fails with EBUSY. If there is no table of that level, it fails
    /// with EFAULT: a page next to this one must be in use. The kernel keeps no account of such an entry. So nothing may be
    /// unmapped behind it, and its process may not end.
    "set_entry" SetEntry {
        /// The page.
        required "of" of: Place,
        /// The page to whose frame the entry leads from now on, for reads and writes. At an upper level, the entry leads to the
        /// table of that page. If this is not given, the entry is cleared.
        optional "to" to: Place,
        /// The level of the entry.
        or (Level::Pte) "level" level: EntryLevel,
        /// Whether D is set in the entry. If not, the first write sets it. This may not be given for an upper level.
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
    /// Interrupts every other CPU. The handler executes INVLPG there. The operation waits until all CPUs have done so.
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
