//! `mmap`: private anonymous memory.

use std::fmt;

use sim_mm::{MapFlags, sys_mmap};

use super::argument::{AllOf, Argument, FixedAddress, Flags, NewMapping, RangePages};
use super::{Operation, Running, operation, pages_text};
use crate::json::{Named, name_of};
use crate::stage::Task;

operation! {
    /// Maps private anonymous memory: `mmap()`.
    "mmap" Mmap {
        /// What operations call the mapping.
        required "as" name: NewMapping,
        /// Its length.
        required "pages" pages: RangePages,
        /// What may be done with it; `rw` if not given.
        or (Prot::ReadWrite) "prot" prot: Prot,
        /// Its flags: private and anonymous, both.
        or (()) "flags" flags: Flags<PrivateAnonymous>,
        /// Where it is; where the kernel would put it, if not given.
        optional "at" at: FixedAddress,
    }
}

/// What a mapping allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prot {
    /// `PROT_READ | PROT_WRITE`.
    ReadWrite,
    /// `PROT_READ`.
    Read,
}

impl Named for Prot {
    const WHAT: &'static str = "`prot`";
    const NAMES: &'static [(Prot, &'static str)] = &[(Prot::ReadWrite, "rw"), (Prot::Read, "r")];
    const LATER: &'static [&'static str] = &["none", "w", "x", "rx", "wx", "rwx"];
}

impl Argument for Prot {}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PrivateAnonymous;

impl AllOf for PrivateAnonymous {
    const WHY: &'static str = "only private anonymous memory is modelled";
    const NAMES: &'static [((), &'static str)] = &[((), "private"), ((), "anonymous")];
    const LATER: &'static [&'static str] =
        &["shared", "file", "hugetlb", "fixed", "populate", "locked", "growsdown", "noreserve", "stack"];
}

impl fmt::Display for Mmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mmap {} {} as {}", pages_text(self.pages), name_of(self.prot), self.name)?;
        self.at.map_or(Ok(()), |at| write!(f, " at {at}"))
    }
}

impl Operation for Mmap {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let prot = match self.prot {
                Prot::ReadWrite => sim_mm::Prot::READ_WRITE,
                Prot::Read => sim_mm::Prot::READ,
            };
            let flags = if self.at.is_some() { MapFlags::FIXED_NOREPLACE } else { MapFlags::empty() };
            let request = sim_mm::Mmap { addr: self.at, pages: self.pages, prot, flags };
            let start = sys_mmap(task.cpu, request).await?;
            task.map(&self.name, start, self.pages);
            Ok(0)
        })
    }
}
