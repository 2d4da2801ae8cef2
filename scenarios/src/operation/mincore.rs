//! `mincore`.

use std::fmt;

use sim_mm::sys_mincore;

use super::argument::{NewValue, RangePages};
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, as_text, operation};
use crate::stage::{Place, Task};

operation! {
    /// Asks which pages are in memory: `mincore()`. Answers how many are.
    "mincore" Mincore {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// What checks call the number of pages that are in memory.
        optional "as" name: NewValue,
    }
    where needs_pages_at_an_address
}

impl Range for Mincore {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for Mincore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mincore {}{}", self.range_text(), as_text(self.name.as_ref()))
    }
}

impl Operation for Mincore {
    fn routine(&self) -> Option<&'static str> {
        Some("do_mincore")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            let pages = sys_mincore(task.cpu, range.start, range.end).await?;
            let resident = pages.into_iter().filter(|is_there| *is_there).count() as u64;
            task.keep(self.name.as_deref(), resident);
            Ok(resident.cast_signed())
        })
    }
}
