//! `madvise`.

use std::fmt;

use sim_mm::sys_madvise;

use super::advice::AdviceName;
use super::argument::RangePages;
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, operation};
use crate::stage::{Place, Task};

operation! {
    /// Gives advice about pages: `madvise()`.
    "madvise" Madvise {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// The advice: its name without `MADV_`, in lower case.
        required "advice" advice: AdviceName,
    }
    where needs_pages_at_an_address
}

impl Range for Madvise {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for Madvise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "madvise {}, MADV_{}", self.range_text(), self.advice.name().to_ascii_uppercase())
    }
}

impl Operation for Madvise {
    fn routine(&self) -> Option<&'static str> {
        Some(self.advice.routine())
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            sys_madvise(task.cpu, range.start, range.end, self.advice).await?;
            Ok(0)
        })
    }
}
