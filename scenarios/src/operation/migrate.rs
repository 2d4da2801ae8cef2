//! `migrate`.

use std::fmt;

use sim_mm::{MigrateMode, Release, compact_page};

use super::argument::{NewValue, OldProcess, Passes, PlaceElsewhere};
use super::{Operation, Running, as_text, operation};
use crate::json::Bool;
use crate::stage::Task;

operation! {
    /// The kernel moves a page to another frame, as compaction does to make room for large blocks: `compact_zone()`. It takes the frame that the
    /// page has now, and asks nobody. The kernel must have migration (`"platform": { "migration": "on" }`). Fails with `EAGAIN` if somebody
    /// holds the page, with `EBUSY` if it is on no list of reclaim, and with `ENOENT` if no page is there.
    "migrate" Migrate since [Release::v26(35)] {
        /// The process that has the page.
        required "process" process: OldProcess,
        /// The page, by the names of that process.
        required "at" at: PlaceElsewhere,
        /// Whether the lock of the page is waited for (`MIGRATE_SYNC`). A page that is locked is left alone if not given.
        optional "sync" sync: Bool,
        /// How often it tries if somebody holds the page; 10 times if not given.
        optional "passes" passes: Passes,
        /// What checks call the number of pages that were moved, 0 or 1.
        optional "as" name: NewValue,
    }
}

impl Migrate {
    fn mode(&self) -> MigrateMode {
        if self.sync == Some(true) { MigrateMode::Sync } else { MigrateMode::Async }
    }
}

impl fmt::Display for Migrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.mode() == MigrateMode::Sync { ", waiting for its lock" } else { "" };
        write!(f, "migrate {} of {}{mode}{}", self.at, self.process, as_text(self.name.as_ref()))
    }
}

impl Operation for Migrate {
    fn routine(&self) -> Option<&'static str> {
        Some("compact_zone")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let (mm, va) = task.page_now(&self.process, &self.at)?;
            let moved = compact_page(task.cpu, mm, va, self.mode(), self.passes).await;
            task.keep(self.name.as_deref(), u64::from(moved.is_ok()));
            moved.map(|()| 0)
        })
    }
}
