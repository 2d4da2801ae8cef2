//! `mprotect`.

use std::fmt;

use sim_mm::{Prot, sys_mprotect};

use super::argument::RangePages;
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, operation};
use crate::json::name_of;
use crate::stage::{Place, Task};

operation! {
    /// Changes the accesses that pages allow: `mprotect()`.
    "mprotect" Mprotect {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// The accesses that the pages allow from now on.
        required "prot" prot: Prot,
    }
    where needs_pages_at_an_address
}

impl Range for Mprotect {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for Mprotect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mprotect {}, {}", self.range_text(), name_of(self.prot))
    }
}

impl Operation for Mprotect {
    fn routine(&self) -> Option<&'static str> {
        Some("do_mprotect_pkey")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            sys_mprotect(task.cpu, range.start, range.end, self.prot).await?;
            Ok(0)
        })
    }
}
