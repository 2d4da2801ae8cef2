//! `mmap`: anonymous memory or a file, private or shared.

use std::fmt;

use sim_mm::{MapFlags, Prot, sys_mmap};

use super::argument::{Argument, FilePage, FixedAddress, NewMapping, OldFile, RangePages};
use super::flags::{flags_text, not_both};
use super::{Operation, Running, operation, pages_text};
use crate::json::{Fields, List, Named, name_of};
use crate::stage::{Place, Task};

operation! {
    /// Maps anonymous memory or a file: `mmap()`.
    "mmap" Mmap {
        /// The name of the mapping in other operations.
        required "as" name: NewMapping,
        /// Its length.
        required "pages" pages: RangePages,
        /// The accesses that it allows; `rw` if not given.
        or (Prot::READ_WRITE) "prot" prot: Prot,
        /// Its flags. It is private unless `shared` is given. It is anonymous if it has no `file`, with and without the flag.
        or (Vec::new()) "flags" flags: List<Flag>,
        /// Its place. If this is not given, the kernel chooses one. If another mapping is there already, the operation fails with
        /// `EEXIST`. With the flag `fixed`, the new mapping takes the place of the other.
        optional "at" at: FixedAddress,
        /// The file that is mapped; none if not given.
        optional "file" file: OldFile,
        /// The page of the file with which the mapping begins; 0 if not given.
        or (0) "offset" offset: FilePage,
    }
    where flags_fit
}

/// A flag of `mmap()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    /// `MAP_PRIVATE`.
    Private,
    /// `MAP_ANONYMOUS`.
    Anonymous,
    /// `MAP_SHARED`.
    Shared,
    /// `MAP_FIXED`.
    Fixed,
    /// `MAP_FIXED_NOREPLACE`.
    FixedNoReplace,
    /// `MAP_POPULATE`.
    Populate,
    /// `MAP_LOCKED`.
    Locked,
    /// `MAP_NORESERVE`.
    NoReserve,
    /// `MAP_GROWSDOWN`.
    GrowsDown,
    /// `MAP_HUGETLB`.
    Hugetlb,
    /// `MAP_HUGETLB | MAP_HUGE_1GB`.
    Gigantic,
}

impl Named for Flag {
    const WHAT: &'static str = "flag";
    const NAMES: &'static [(Flag, &'static str)] = &[
        (Flag::Private, "private"),
        (Flag::Anonymous, "anonymous"),
        (Flag::Shared, "shared"),
        (Flag::Fixed, "fixed"),
        (Flag::FixedNoReplace, "fixed_noreplace"),
        (Flag::Populate, "populate"),
        (Flag::Locked, "locked"),
        (Flag::NoReserve, "noreserve"),
        (Flag::GrowsDown, "growsdown"),
        (Flag::Hugetlb, "hugetlb"),
        (Flag::Gigantic, "hugetlb_1gb"),
    ];
    const LATER: &'static [&'static str] = &["stack", "droppable"];
}

impl Argument for Flag {}

impl Flag {
    fn bits(self) -> MapFlags {
        match self {
            // A mapping without `MAP_SHARED` and without a file has these flags.
            Flag::Private | Flag::Anonymous => MapFlags::empty(),
            Flag::Shared => MapFlags::SHARED,
            Flag::Fixed => MapFlags::FIXED,
            Flag::FixedNoReplace => MapFlags::FIXED_NOREPLACE,
            Flag::Populate => MapFlags::POPULATE,
            Flag::Locked => MapFlags::LOCKED,
            Flag::NoReserve => MapFlags::NORESERVE,
            Flag::GrowsDown => MapFlags::GROWSDOWN,
            Flag::Hugetlb => MapFlags::HUGETLB,
            Flag::Gigantic => MapFlags::HUGETLB | MapFlags::HUGE_1GB,
        }
    }
}

fn flags_fit(fields: &Fields<'_>, mmap: &Mmap) -> Option<()> {
    not_both(fields, &mmap.flags, Flag::Private, Flag::Shared)?;
    for flag in [Flag::Fixed, Flag::FixedNoReplace] {
        if mmap.at.is_none() && mmap.flags.contains(&flag) {
            let help = "say where by the field `at`".to_owned();
            fields.get("flags")?.error_with_help(format!("flag `{}` needs an address", name_of(flag)), Some(help));
            return None;
        }
    }
    if mmap.file.is_some() && mmap.flags.contains(&Flag::Anonymous) {
        fields.get("file")?.error(format!("a file is not `{}`", name_of(Flag::Anonymous)));
        return None;
    }
    Some(())
}

impl Mmap {
    fn map_flags(&self) -> MapFlags {
        let flags: MapFlags = self.flags.iter().map(|flag| flag.bits()).collect();
        let exactly = self.at.is_some() && !flags.contains(MapFlags::FIXED);
        if exactly { flags | MapFlags::FIXED_NOREPLACE } else { flags }
    }
}

impl fmt::Display for Mmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = [Flag::Private, Flag::Anonymous];
        let flags = self.flags.iter().copied().filter(|flag| !usual.contains(flag));
        write!(f, "mmap {} {}{} as {}", pages_text(self.pages), name_of(self.prot), flags_text(flags), self.name)?;
        if let Some(file) = &self.file {
            write!(f, " of {file} from page {}", self.offset)?;
        }
        self.at.map_or(Ok(()), |at| write!(f, " at {at}"))
    }
}

impl Operation for Mmap {
    fn routine(&self) -> Option<&'static str> {
        Some("do_mmap")
    }

    fn replaces(&self) -> Option<(Place, u64)> {
        let flags = self.map_flags();
        let replaces = flags.contains(MapFlags::FIXED) && !flags.contains(MapFlags::FIXED_NOREPLACE);
        self.at.filter(|_| replaces).map(|at| (Place::Address(at), self.pages))
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let request = sim_mm::Mmap {
                addr: self.at,
                pages: self.pages,
                prot: self.prot,
                flags: self.map_flags(),
                file: self.file.as_ref().map(|file| task.file(file)),
                pgoff: self.offset,
            };
            let start = sys_mmap(task.cpu, request).await?;
            task.map(&self.name, start, self.pages);
            Ok(0)
        })
    }
}
