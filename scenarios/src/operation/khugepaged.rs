//! `khugepaged`.

use std::fmt;

use sim_mm::khugepaged_scan_mm_slot;

use super::argument::RangePages;
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, operation};
use crate::stage::{Place, Task};

operation! {
    /// khugepaged comes to pages of the process, and makes them huge pages: `khugepaged_scan_mm_slot()`. It does so where the mapping may
    /// have huge pages (`"platform": { "thp": "always" }`, or `madvise` with `hugepage`) and somebody has used a page lately. Answers how
    /// many huge pages there are then.
    "khugepaged" Khugepaged {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
    }
    where needs_pages_at_an_address
}

impl Range for Khugepaged {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for Khugepaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "khugepaged comes to {}", self.range_text())
    }
}

impl Operation for Khugepaged {
    fn routine(&self) -> Option<&'static str> {
        Some("khugepaged_scan_mm_slot")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            let Some(mm) = task.cpu.current_mm() else { return Ok(0) };
            let huge = khugepaged_scan_mm_slot(task.cpu, mm, range.start, range.end).await;
            Ok(huge.cast_signed())
        })
    }
}
