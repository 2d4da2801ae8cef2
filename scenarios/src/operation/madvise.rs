//! `madvise`.

use std::fmt;

use sim_mm::madvise_dontneed;

use super::argument::{Argument, RangePages};
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, operation};
use crate::json::Named;
use crate::stage::{Place, Task};

operation! {
    /// Gives advice about pages: `madvise()`.
    "madvise" Madvise {
        /// The first page.
        required "at" at: Place,
        /// How many; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// The advice: its name without `MADV_`, in lower case.
        required "advice" advice: Advice,
    }
    where needs_pages_at_an_address
}

/// `madvise()` advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// `MADV_DONTNEED`.
    DontNeed,
}

impl Named for Advice {
    const WHAT: &'static str = "advice";
    const NAMES: &'static [(Advice, &'static str)] = &[(Advice::DontNeed, "dontneed")];
    const LATER: &'static [&'static str] = &[
        "normal",
        "random",
        "sequential",
        "willneed",
        "free",
        "remove",
        "dontfork",
        "dofork",
        "hwpoison",
        "soft_offline",
        "mergeable",
        "unmergeable",
        "hugepage",
        "nohugepage",
        "dontdump",
        "dodump",
        "wipeonfork",
        "keeponfork",
        "cold",
        "pageout",
        "populate_read",
        "populate_write",
        "dontneed_locked",
        "collapse",
    ];
}

impl Argument for Advice {}

impl Range for Madvise {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for Madvise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match self.advice {
            Advice::DontNeed => "MADV_DONTNEED",
        };
        write!(f, "madvise {}, {advice}", self.range_text())
    }
}

impl Operation for Madvise {
    fn routine(&self) -> Option<&'static str> {
        match self.advice {
            Advice::DontNeed => Some("madvise_dontneed"),
        }
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            match self.advice {
                Advice::DontNeed => madvise_dontneed(task.cpu, range.start, range.end).await?,
            }
            Ok(0)
        })
    }
}
