//! `numa_hint`.

use std::fmt;

use sim_mm::{Release, task_numa_work};

use super::argument::RangePages;
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, operation};
use crate::stage::{Place, Task};

operation! {
    /// The kernel takes all access from the entries of pages. By the next fault it learns who uses them. This is NUMA hinting,
    /// `task_numa_work()`.
    "numa_hint" NumaHint since [Release::v(3, 8)] {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
    }
    where needs_pages_at_an_address
}

impl Range for NumaHint {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for NumaHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NUMA hinting of {}", self.range_text())
    }
}

impl Operation for NumaHint {
    fn routine(&self) -> Option<&'static str> {
        Some("task_numa_work")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            task_numa_work(task.cpu, range.start, range.end).await?;
            Ok(0)
        })
    }
}
