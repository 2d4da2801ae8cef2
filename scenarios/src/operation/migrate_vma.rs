//! `migrate_vma`.

use std::fmt;

use sim_mm::{Release, migrate_vma};

use super::argument::{NewValue, RangePages};
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, as_text, operation};
use crate::stage::{Place, Task};

operation! {
    /// A driver moves pages of the process to other frames, and copies them itself: `migrate_vma_setup()` and what follows. Answers how many
    /// were moved. Pages that somebody holds or has locked stay where they are. The kernel must have migration
    /// (`"platform": { "migration": "on" }`).
    "migrate_vma" MigrateVma since [Release::v(4, 14)] {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// What checks call the number of pages that were moved.
        optional "as" name: NewValue,
    }
    where needs_pages_at_an_address
}

impl Range for MigrateVma {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for MigrateVma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "driver moves {}{}", self.range_text(), as_text(self.name.as_ref()))
    }
}

impl Operation for MigrateVma {
    fn routine(&self) -> Option<&'static str> {
        Some("migrate_vma_setup")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            let moved = migrate_vma(task.cpu, range.start, range.end).await?;
            task.keep(self.name.as_deref(), moved);
            Ok(moved.cast_signed())
        })
    }
}
