//! `pkey_alloc`, `pkey_free`, `pkey_mprotect` and `pkey_set`: protection keys.

use std::fmt;

use sim_mm::{PkeyRights, Prot, Release, pkey_set, sys_pkey_alloc, sys_pkey_free, sys_pkey_mprotect};

use super::argument::{Argument, Key, RangePages};
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, operation};
use crate::json::{Named, name_of};
use crate::stage::{Place, Task};

impl Named for PkeyRights {
    const WHAT: &'static str = "`rights`";
    const NAMES: &'static [(PkeyRights, &'static str)] =
        &[(PkeyRights::ReadWrite, "rw"), (PkeyRights::Read, "r"), (PkeyRights::Nothing, "none")];
}

impl Argument for PkeyRights {}

operation! {
    /// Takes the lowest protection key that the process does not use, and sets the rights of this thread for pages of the key:
    /// `pkey_alloc()`. It returns the key. The first key is 1.
    "pkey_alloc" PkeyAlloc since [Release::v(4, 9)] {
        /// What this thread may do with pages of the key.
        or(PkeyRights::ReadWrite) "rights" rights: PkeyRights,
    }
}

operation! {
    /// Gives a protection key back: `pkey_free()`. Pages that have the key keep it.
    "pkey_free" PkeyFree since [Release::v(4, 9)] {
        /// The key.
        required "key" key: Key,
    }
}

operation! {
    /// Changes the accesses that pages allow, and gives the pages a protection key: `pkey_mprotect()`.
    "pkey_mprotect" PkeyMprotect since [Release::v(4, 9)] {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// The accesses that the pages allow from now on.
        required "prot" prot: Prot,
        /// The key.
        required "key" key: Key,
    }
    where needs_pages_at_an_address
}

operation! {
    /// Sets what this thread may do with pages of a key: WRPKRU, as `pkey_set()` of the C library.
    "pkey_set" PkeySet since [Release::v(4, 9)] {
        /// The key.
        required "key" key: Key,
        /// What this thread may do with its pages.
        required "rights" rights: PkeyRights,
    }
}

impl Range for PkeyMprotect {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for PkeyAlloc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkey_alloc {}", name_of(self.rights))
    }
}

impl fmt::Display for PkeyFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkey_free {}", self.key)
    }
}

impl fmt::Display for PkeyMprotect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkey_mprotect {}, {}, key {}", self.range_text(), name_of(self.prot), self.key)
    }
}

impl fmt::Display for PkeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkey_set {} to {}", self.key, name_of(self.rights))
    }
}

impl Operation for PkeyAlloc {
    fn routine(&self) -> Option<&'static str> {
        Some("sys_pkey_alloc")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move { Ok(sys_pkey_alloc(task.cpu, self.rights).await?.cast_signed()) })
    }
}

impl Operation for PkeyFree {
    fn routine(&self) -> Option<&'static str> {
        Some("sys_pkey_free")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_pkey_free(task.cpu, self.key).await?;
            Ok(0)
        })
    }
}

impl Operation for PkeyMprotect {
    fn routine(&self) -> Option<&'static str> {
        Some("do_mprotect_pkey")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            sys_pkey_mprotect(task.cpu, range.start, range.end, self.prot, self.key).await?;
            Ok(0)
        })
    }
}

impl Operation for PkeySet {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            pkey_set(task.cpu, self.key, self.rights).await?;
            Ok(0)
        })
    }
}
