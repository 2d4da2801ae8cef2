//! `ksmd`: equal pages become one.

use std::fmt;

use sim_mm::ksm_do_scan;

use super::argument::{NewValue, OldProcess, PlaceElsewhere, RangePages};
use super::{Operation, Running, as_text, operation, pages_text};
use crate::stage::Task;

operation! {
    /// ksmd comes to pages of a process, and makes one page of those that hold the same, of whatever process: `ksm_do_scan()`. Their mappings
    /// must have been given the advice `mergeable`, and the machine must have ksmd (`"platform": { "ksm": "on" }`). It comes to a page twice before
    /// it merges it, unless a merged page that holds the same is there already.
    "ksmd" Ksmd {
        /// The process that has the pages.
        required "process" process: OldProcess,
        /// The first page, by the names of that process.
        required "at" at: PlaceElsewhere,
        /// How many; 1 if not given.
        or (1) "pages" pages: RangePages,
        /// What checks call the number of pages that were merged.
        optional "as" name: NewValue,
    }
}

impl fmt::Display for Ksmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ksmd at {} of {}, {}{}", self.at, self.process, pages_text(self.pages), as_text(self.name.as_ref()))
    }
}

impl Operation for Ksmd {
    fn routine(&self) -> Option<&'static str> {
        Some("ksm_do_scan")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let (mm, va) = task.page_now(&self.process, &self.at)?;
            let merged = ksm_do_scan(task.cpu, mm, va, self.pages).await?;
            task.keep(self.name.as_deref(), merged);
            Ok(0)
        })
    }
}
