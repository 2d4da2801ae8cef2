//! What can be seen of processes after a step. Recorded and simulated processes are compared in this form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::trace::{Changed, PageLine, VmaLine};

/// The code of soft-dirty in `VmFlags`.
const VM_SOFTDIRTY: &str = "sd";

/// A mapping, as `smaps` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmaView {
    /// Its first page, counted from the window's.
    pub page: u64,
    /// Its pages.
    pub pages: u64,
    /// `rw-p`.
    pub perms: String,
    /// `a`, or the file or shared object.
    pub backing: String,
    /// The page of the file that it begins with.
    pub offset: u64,
    /// The two-letter codes of its flags.
    pub flags: BTreeSet<String>,
    /// Its statistics; those that are zero are left out.
    pub stats: BTreeMap<String, u64>,
}

/// A run of pages that are alike, except that each page has the frame after that of the page before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRun {
    /// The first page, counted from the window's.
    pub page: u64,
    /// Pages.
    pub pages: u64,
    /// The flags, sorted.
    pub flags: String,
    /// Frame, mapcount and byte 0 of the first page, if it is present.
    pub present: Option<(u64, u64, u8)>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessView {
    /// Its mappings, by address.
    pub vmas: Vec<VmaView>,
    /// Its pages, by address.
    pub pages: Vec<PageRun>,
}

/// Every process that is alive.
pub type Observation = BTreeMap<u8, Arc<ProcessView>>;

impl VmaView {
    fn new((page, pages, perms, backing, offset, flags, stats): &VmaLine) -> VmaView {
        let codes = flags.as_bytes().chunks(2).map(|code| String::from_utf8_lossy(code).into_owned());
        VmaView {
            page: *page,
            pages: *pages,
            perms: perms.clone(),
            backing: backing.clone(),
            offset: *offset,
            flags: codes.collect(),
            stats: stats.iter().filter(|(_, n)| **n > 0).map(|(name, n)| (name.clone(), *n)).collect(),
        }
    }
}

/// The flags of a page, sorted.
fn sorted(flags: &str) -> String {
    let mut flags: Vec<char> = flags.chars().collect();
    flags.sort_unstable();
    flags.into_iter().collect()
}

impl PageRun {
    /// Flag of a present entry.
    pub const PRESENT: char = 'p';
    /// Flag of a zero page; its frame is 0.
    pub const ZERO: char = 'Z';

    fn new(line: &PageLine) -> PageRun {
        let (page, pages, flags, present) = match line {
            PageLine::Present(page, pages, flags, frame, mapcount, value)
            | PageLine::Counted(page, pages, flags, frame, mapcount, value, _) => {
                (page, pages, flags, Some((*frame, *mapcount, *value)))
            }
            PageLine::Absent(page, pages, flags) => (page, pages, flags, None),
        };
        PageRun { page: *page, pages: *pages, flags: sorted(flags), present }
    }

    /// The frame of the page that is `nth` of the run.
    pub fn frame(&self, nth: u64) -> Option<u64> {
        let (frame, ..) = self.present?;
        Some(if self.flags.contains(PageRun::ZERO) { frame } else { frame + nth })
    }

    /// Adds a run that comes after all of `runs`. If it continues the last one, the two become one run.
    pub fn append(runs: &mut Vec<PageRun>, run: PageRun) {
        if let Some(last) = runs.last_mut()
            && last.page + last.pages == run.page
            && last.flags == run.flags
            && last.frame(last.pages) == run.frame(0)
            && last.present.map(|(_, mapcount, value)| (mapcount, value))
                == run.present.map(|(_, mapcount, value)| (mapcount, value))
        {
            last.pages += run.pages;
        } else {
            runs.push(run);
        }
    }
}

impl ProcessView {
    /// Whether the kernel says of a mapping that its pages count as written.
    pub fn tells_soft_dirty(&self) -> bool {
        self.vmas.iter().any(|vma| vma.flags.contains(VM_SOFTDIRTY))
    }

    /// Puts what a line of a trace says in place of what was known before.
    pub fn change(&mut self, changed: &Changed) {
        if let Some(vmas) = &changed.vma {
            self.vmas = vmas.iter().map(VmaView::new).collect();
        }
        if let Some(pages) = &changed.pg {
            self.pages.clear();
            for run in pages.iter().map(PageRun::new) {
                PageRun::append(&mut self.pages, run);
            }
        }
    }
}

impl fmt::Display for VmaView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VmaView { page, pages, perms, backing, offset, flags, stats } = self;
        write!(f, "vma {page}+{pages} {perms} {backing}@{offset}")?;
        flags.iter().try_for_each(|code| write!(f, " {code}"))?;
        stats.iter().try_for_each(|(name, n)| write!(f, " {name}={n}"))
    }
}

impl fmt::Display for PageRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PageRun { page, pages, flags, present } = self;
        write!(f, "pg  {page}+{pages} {flags}")?;
        if let Some((frame, mapcount, value)) = present {
            write!(f, " frame {frame} mapcount {mapcount} byte {value}")?;
        }
        Ok(())
    }
}
