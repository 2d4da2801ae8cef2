//! What one line of a diagram says.

use std::fmt;

use sim_core::{CpuId, Loc};
use sim_mm::{HwpoisonEntry, MigrationEntry, MigrationKind, PageFlags, SharedPage, SwpEntry};
use sim_mmu::{Entry, Level, Pcid, Pfn};

use super::spaces::PageOf;
use crate::json::counted;

/// The counts of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Ref,
    Map,
}

/// Something that happened, as far as it matters to a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// An entry was read, or changed if `old` and `new` differ. `owner` is the process in whose tables it stands, if this is
    /// not the process of the line.
    Entry {
        level: Level,
        owner: Option<String>,
        of: Option<PageOf>,
        table: Option<Pfn>,
        loc: Loc,
        old: Entry,
        new: Entry,
    },
    /// A count had these values one after the other. If there is only one value, it was read.
    Count { count: Count, pfn: Pfn, values: Vec<u64>, freed: bool },
    /// A frame left the free list. If it is for a table, `level` is the level of its entries.
    Allocated { pfn: Pfn, level: Option<Level> },
    /// A frame went to the free list.
    Freed { pfn: Pfn },
    /// A frame is nobody's any more, because its memory is broken.
    Retired { pfn: Pfn },
    /// The contents of one frame were copied to another.
    Copied { from: Pfn, to: Pfn },
    /// A merged page took the place of a page.
    Merged { from: Pfn, to: Pfn },
    /// An address space begins to use a table that others have, or has given it up.
    TableShared { table: Pfn, begins: bool },
    /// The contents of a frame were written to a slot of the swap area.
    SwappedOut { pfn: Pfn, slot: u64 },
    /// The disk took the contents of a page of a file.
    WrittenBack { pfn: Pfn },
    /// What the disk took came to its block.
    OnDisk { pfn: Pfn, block: u32 },
    /// The disk could not write the contents of a page of a file.
    WriteFailed { pfn: Pfn },
    /// The kernel wrote to a page of a file, for a system call.
    Written { pfn: Pfn },
    /// A page does not say any more that it is dirty.
    Cleaned { pfn: Pfn },
    /// The contents of a slot were read into a frame.
    SwappedIn { slot: u64, pfn: Pfn },
    /// The contents of a page were read or written, by user code through a translation or by a device.
    Touched {
        of: Option<PageOf>,
        pfn: Pfn,
        word: u32,
        value: u64,
        write: bool,
        through: Option<u32>,
        device: bool,
    },
    /// The hardware set the dirty bit of an entry.
    Dirtied { level: Level, of: Option<PageOf>, pfn: Pfn },
    /// The kernel forgets which pages were written, or it notes from here on which are.
    Noting { begins: bool },
    /// A store of user code to a word of a page left the store buffer.
    Drained { of: PageOf, word: u32, value: u64 },
    /// A walk began with a cached entry of an upper level.
    Began { level: Level, table: Pfn },
    /// A walk that serves no access read an entry of this table.
    Speculated { level: Level, table: Pfn },
    /// A translation went into the TLB.
    Filled { id: u32, of: PageOf, leaf: Entry },
    /// A guest got a page of its process.
    GuestMapped { of: PageOf, spte: Entry },
    /// A guest has it no more.
    GuestUnmapped { of: PageOf, pfn: Pfn },
    /// The translations of a page were dropped from the TLB of a CPU.
    Dropped { target: CpuId, pcid: Option<Pcid> },
    /// An interrupt was sent.
    Sent { target: CpuId },
    /// An interrupt was taken: `inside` a routine of the kernel, or in user code.
    Taken { inside: bool },
    /// A flush of the page's translations began.
    FlushBegun { id: u64, of: PageOf },
    /// The flush was complete.
    FlushDone { id: u64, of: PageOf },
    /// GUP handed out a page.
    Pinned { id: u64, of: PageOf, pfn: Pfn },
    /// A page went into a file, or left it.
    Cached { pfn: Pfn, page: SharedPage, is_in: bool },
    /// A file has another length.
    Resized { file: u32, pages: u64 },
    /// A kernel object came to its end.
    ObjectFreed { what: String },
    /// A plain store took away flags of a page that others had set since its value was loaded.
    FlagsLost { pfn: Pfn, lost: PageFlags },
    /// An allocation failed, though there was memory.
    NoMemory { what: &'static str },
    /// What was done, where no event shows it.
    Act { what: String },
    /// A task waits for something that never comes.
    Waits { what: String },
}

impl Fact {
    /// Whether an entry was read and left as it was.
    pub(super) fn is_read(&self) -> bool {
        matches!(self, Fact::Entry { old, new, .. } if old == new)
    }

    /// Whether it is about an entry that maps a page, and does not lead to a table.
    pub(super) fn maps_page(&self) -> bool {
        let Fact::Entry { level, old, new, .. } = self else { return false };
        *level == Level::Pte || maps_huge_page(*old) || maps_huge_page(*new)
    }

    /// The frame that it is about.
    pub(super) fn frame(&self) -> Option<Pfn> {
        match self {
            Fact::Count { pfn, .. }
            | Fact::Allocated { pfn, .. }
            | Fact::Freed { pfn }
            | Fact::Retired { pfn }
            | Fact::SwappedOut { pfn, .. }
            | Fact::WrittenBack { pfn }
            | Fact::OnDisk { pfn, .. }
            | Fact::WriteFailed { pfn }
            | Fact::Written { pfn }
            | Fact::Cleaned { pfn }
            | Fact::SwappedIn { pfn, .. }
            | Fact::Dirtied { pfn, .. }
            | Fact::Touched { pfn, .. }
            | Fact::Cached { pfn, .. }
            | Fact::GuestUnmapped { pfn, .. }
            | Fact::Pinned { pfn, .. } => Some(*pfn),
            Fact::Filled { leaf, .. } => Some(leaf.pfn()),
            Fact::GuestMapped { spte, .. } => Some(spte.pfn()),
            Fact::Began { table, .. } | Fact::Speculated { table, .. } => Some(*table),
            _ => None,
        }
    }
}

/// What follows the name of a page for one of its words: `[8]` by its offset, and nothing for the first word.
struct Word(u32);

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            word => write!(f, "[{}]", 8 * word),
        }
    }
}

/// Whether an entry, of a PMD table, maps a huge page. The hardware need not know of it just now.
pub(super) fn maps_huge_page(entry: Entry) -> bool {
    entry.has(Entry::PAGE_SIZE)
}

/// Frame and write permission. By these a reader tells entries apart.
fn brief(level: Level, entry: Entry) -> String {
    match () {
        () if entry.is_none() => "none".to_owned(),
        () if maps_huge_page(entry) && entry.has(Entry::SPECIAL) => "the huge zero page".to_owned(),
        () if maps_huge_page(entry) && !entry.is_present() => format!("huge {entry}"),
        () if maps_huge_page(entry) => {
            format!("huge {} {}", entry.pfn(), if entry.has(Entry::RW) { "rw" } else { "ro" })
        }
        () if !entry.is_present() => match SwpEntry::of_pte(entry) {
            Some(slot) => format!("swap {}", slot.0),
            None => match MigrationEntry::of_pte(entry) {
                Some(moved) if moved.kind == MigrationKind::Writable => format!("{} moving rw", moved.pfn),
                Some(moved) => format!("{} moving", moved.pfn),
                None => match HwpoisonEntry::of_pte(entry) {
                    Some(HwpoisonEntry(pfn)) => format!("{pfn} broken"),
                    None => entry.to_string(),
                },
            },
        },
        () if entry.has(Entry::SPECIAL) && !entry.has(Entry::DEVMAP) => "the zero page".to_owned(),
        () if level != Level::Pte => entry.pfn().to_string(),
        () => format!("{} {}", entry.pfn(), if entry.has(Entry::RW) { "rw" } else { "ro" }),
    }
}

/// An entry of the lowest level, in short.
pub(super) fn brief_pte(entry: Entry) -> String {
    brief(Level::Pte, entry)
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Entry { level, owner, of, table, old, new, .. } => {
                let (before, mut after) = (brief(*level, *old), brief(*level, *new));
                if maps_huge_page(*old) && *level != Level::Pte && new.is_present() && !maps_huge_page(*new) {
                    // The huge page is split.
                    after = format!("table {after}");
                }
                if let Some(owner) = owner {
                    write!(f, "{owner}'s ")?;
                }
                f.write_str(level.name())?;
                match (of, table) {
                    (Some(page), _) => write!(f, " of {}", page.name)?,
                    (None, Some(table)) => write!(f, " in {table}")?,
                    (None, None) => {}
                }
                match () {
                    () if old == new => write!(f, " = {after}"),
                    () if before == after => write!(f, ": {old} -> {new}"),
                    () => write!(f, ": {before} -> {after}"),
                }
            }
            Fact::Count { pfn, values, freed: true, .. } if values.len() == 2 => {
                write!(f, "{pfn} freed, count {}", values[1])
            }
            Fact::Count { count, pfn, values, freed } => {
                let name = if *count == Count::Ref { "_refcount" } else { "_mapcount" };
                let values: Vec<String> = values.iter().map(u64::to_string).collect();
                let is = if values.len() == 1 { "= " } else { "" };
                write!(f, "{pfn} {name} {is}{}{}", values.join(" -> "), if *freed { ", freed" } else { "" })
            }
            Fact::Allocated { pfn, level: None } => write!(f, "{pfn} allocated"),
            Fact::Allocated { pfn, level: Some(level) } => write!(f, "{pfn} allocated, for {}s", level.name()),
            Fact::Freed { pfn } => write!(f, "{pfn} freed"),
            Fact::Retired { pfn } => write!(f, "{pfn} is nobody's from now on"),
            Fact::Dirtied { level, of: Some(page), pfn } => {
                write!(f, "{} of {page}: D set ({pfn})", level.name())
            }
            Fact::Dirtied { level, of: None, pfn } => write!(f, "{} of {pfn}: D set", level.name()),
            Fact::Noting { begins: false } => f.write_str("forgets which pages were written"),
            Fact::Noting { begins: true } => f.write_str("from here on notes which pages are written"),
            Fact::Copied { from, to } => write!(f, "copies {from} to {to}"),
            Fact::Merged { from, to } => write!(f, "merges {from} into {to}"),
            Fact::TableShared { table, begins: true } => write!(f, "shares table {table}"),
            Fact::TableShared { table, begins: false } => write!(f, "gives up table {table}"),
            Fact::WrittenBack { pfn } => write!(f, "disk takes {pfn}"),
            Fact::OnDisk { pfn, block } => write!(f, "disk writes {pfn} to block {block}"),
            Fact::WriteFailed { pfn } => write!(f, "disk fails to write {pfn}"),
            Fact::Written { pfn } => write!(f, "kernel writes {pfn}"),
            Fact::Cleaned { pfn } => write!(f, "{pfn} is clean"),
            Fact::SwappedOut { pfn, slot } => write!(f, "writes {pfn} to swap {slot}"),
            Fact::SwappedIn { slot, pfn } => write!(f, "reads swap {slot} to {pfn}"),
            Fact::Touched { of, pfn, word, value, write, device, .. } => {
                let word = Word(*word);
                let verb = if *write { "writes" } else { "reads" };
                match of {
                    _ if *device => write!(f, "DMA {verb} {pfn}{word}: {value}"),
                    Some(page) => write!(f, "{verb} {page}{word}: {value} ({pfn})"),
                    None => write!(f, "{verb} a pin: {value} ({pfn})"),
                }
            }
            Fact::Drained { of, word, value } => write!(f, "{of}{}: {value} leaves the store buffer", Word(*word)),
            Fact::Began { level, table } => write!(f, "walk begins at the cached {}: {table}", level.name()),
            Fact::Speculated { level, table } => write!(f, "speculative walk reads a {} in {table}", level.name()),
            Fact::Filled { of, leaf, .. } => write!(f, "TLB caches {of}: {}", brief_pte(*leaf)),
            Fact::GuestMapped { of, spte } => write!(f, "guest gets {of}: {}", brief_pte(*spte)),
            Fact::GuestUnmapped { of, .. } => write!(f, "guest loses {of}"),
            Fact::Dropped { target, pcid: None } => write!(f, "TLB of CPU {} flushed", target.0),
            Fact::Dropped { target, pcid: Some(Pcid(pcid)) } => {
                write!(f, "PCID {pcid} of CPU {} flushed", target.0)
            }
            Fact::Sent { target } => write!(f, "IPI to CPU {}", target.0),
            Fact::Taken { .. } => f.write_str("takes the IPI"),
            Fact::FlushBegun { of, .. } => write!(f, "flush of {of} begins"),
            Fact::FlushDone { of, .. } => write!(f, "flush of {of} done"),
            Fact::Pinned { of, pfn, .. } => write!(f, "pins {pfn} as {of}"),
            Fact::Cached { pfn, page, is_in: true } => {
                write!(f, "{pfn} is page {} of file {}", page.index, page.file)
            }
            Fact::Cached { pfn, page, is_in: false } => write!(f, "{pfn} leaves file {}", page.file),
            Fact::Resized { file, pages } => write!(f, "file {file} ends behind {}", counted(*pages, "page")),
            Fact::ObjectFreed { what } => write!(f, "{what} freed"),
            Fact::FlagsLost { pfn, lost } => write!(f, "{pfn} flags stored as they were loaded, without {lost}"),
            Fact::NoMemory { what } => write!(f, "no memory for {what}"),
            Fact::Act { what } => f.write_str(what),
            Fact::Waits { what } => write!(f, "waits for {what}"),
        }
    }
}
