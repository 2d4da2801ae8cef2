//! `msync`.

use std::fmt;

use sim_mm::{MsFlags, sys_msync};

use super::argument::{Argument, RangePages};
use super::flags::flags_text;
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, operation};
use crate::json::{List, Named};
use crate::stage::{Place, Task};

operation! {
    /// Writes pages back to their file, if it is on the disk and the flag `sync` is given: `msync()`. Other memory has nowhere to go, so only
    /// the errors of the call can be seen.
    "msync" Msync {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// Its flags; none if not given.
        or (Vec::new()) "flags" flags: List<MsFlags>,
    }
    where needs_pages_at_an_address
}

impl Named for MsFlags {
    const WHAT: &'static str = "flag";
    const NAMES: &'static [(MsFlags, &'static str)] =
        &[(MsFlags::SYNC, "sync"), (MsFlags::ASYNC, "async"), (MsFlags::INVALIDATE, "invalidate")];
}

impl Argument for MsFlags {}

impl Range for Msync {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for Msync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msync {}{}", self.range_text(), flags_text(self.flags.iter().copied()))
    }
}

impl Operation for Msync {
    fn routine(&self) -> Option<&'static str> {
        Some("msync")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            let flags = self.flags.iter().copied().collect();
            sys_msync(task.cpu, range.start, range.end, flags).await?;
            Ok(0)
        })
    }
}
