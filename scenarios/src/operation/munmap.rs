//! `munmap`.

use std::fmt;

use sim_mm::sys_munmap;

use super::argument::RangePages;
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, operation};
use crate::stage::{Place, Task};

operation! {
    /// Unmaps pages: `munmap()`.
    "munmap" Munmap {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
    }
    where needs_pages_at_an_address
}

impl Range for Munmap {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for Munmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "munmap {}", self.range_text())
    }
}

impl Operation for Munmap {
    fn routine(&self) -> Option<&'static str> {
        Some("__do_munmap")
    }

    fn unmaps(&self) -> bool {
        true
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            sys_munmap(task.cpu, range.start, range.end).await?;
            Ok(0)
        })
    }
}
