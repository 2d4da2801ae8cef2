//! `mlock` and `munlock`: memory that stays where it is.

use std::fmt;

use sim_mm::{Lock, sys_mlock, sys_munlock};

use super::argument::{Argument, RangePages};
use super::flags::flags_text;
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, operation};
use crate::json::{List, Named};
use crate::stage::{Place, Task};

operation! {
    /// Faults pages in and keeps them in memory: `mlock()`, or with flags `mlock2()`.
    "mlock" Mlock {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// Its flags. With `onfault`, pages are not faulted in now. They are kept from the moment at which they are touched.
        or (Vec::new()) "flags" flags: List<LockFlag>,
    }
    where needs_pages_at_an_address
}

operation! {
    /// Lets pages leave memory again: `munlock()`.
    "munlock" Munlock {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
    }
    where needs_pages_at_an_address
}

/// A flag of `mlock2()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockFlag {
    /// `MLOCK_ONFAULT`.
    OnFault,
}

impl Named for LockFlag {
    const WHAT: &'static str = "flag";
    const NAMES: &'static [(LockFlag, &'static str)] = &[(LockFlag::OnFault, "onfault")];
}

impl Argument for LockFlag {}

impl Range for Mlock {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl Range for Munlock {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for Mlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mlock {}{}", self.range_text(), flags_text(self.flags.iter().copied()))
    }
}

impl fmt::Display for Munlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "munlock {}", self.range_text())
    }
}

impl Operation for Mlock {
    fn routine(&self) -> Option<&'static str> {
        Some("do_mlock")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            let lock = if self.flags.contains(&LockFlag::OnFault) { Lock::OnFault } else { Lock::Now };
            sys_mlock(task.cpu, range.start, range.end, lock).await?;
            Ok(0)
        })
    }
}

impl Operation for Munlock {
    fn routine(&self) -> Option<&'static str> {
        Some("munlock")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            sys_munlock(task.cpu, range.start, range.end).await?;
            Ok(0)
        })
    }
}
