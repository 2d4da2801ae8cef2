//! `reclaim`.

use std::fmt;

use sim_mm::{Spare, shrink_active_list, shrink_inactive_list};

use super::argument::RangePages;
use super::{Operation, Running, operation, pages_text};
use crate::json::Bool;
use crate::stage::Task;

operation! {
    /// The kernel takes pages away from whoever has them, as `kswapd` does when memory is short: `shrink_inactive_list()`. Which pages it
    /// tries first is a choice. A page of a file on the disk goes to its block, or is left to the flusher, as the release has it. Private memory
    /// and files in memory go to swap (`"platform": { "swap": "sync" }`). On a machine without swap they stay, but for pages that `MADV_FREE` gave up.
    "reclaim" Reclaim {
        /// How many pages it tries; one if not given.
        optional "pages" pages: RangePages,
        /// Whether it leaves alone, the first time, a page that was accessed since it looked last; false if not given.
        optional "spare_young" spare_young: Bool,
        /// Whether it only looks at pages that were used often, and is to try them the next time: `shrink_active_list()`.
        or (false) "active" active: Bool,
    }
}

impl Reclaim {
    fn pages(&self) -> u64 {
        self.pages.unwrap_or(1)
    }
}

impl fmt::Display for Reclaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.active {
            return write!(f, "reclaim looks at {} used often", pages_text(self.pages()));
        }
        let spared = if self.spare_young == Some(true) { ", young ones spared" } else { "" };
        write!(f, "reclaim of {}{spared}", pages_text(self.pages()))
    }
}

impl Operation for Reclaim {
    fn routine(&self) -> Option<&'static str> {
        Some(if self.active { "shrink_active_list" } else { "shrink_inactive_list" })
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            if self.active {
                return Ok(shrink_active_list(task.cpu, self.pages()).await.cast_signed());
            }
            let spare = if self.spare_young == Some(true) { Spare::Young } else { Spare::None };
            let freed = shrink_inactive_list(task.cpu, self.pages(), spare).await;
            Ok(freed.cast_signed())
        })
    }
}
