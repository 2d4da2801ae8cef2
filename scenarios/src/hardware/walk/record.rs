//! The entries that a walk reads, and what each of them is.

use sim_mmu::{Controls, Entry, Geometry, Level, Next, Pfn, Rights, TableMemory, reserved_bits};

use crate::hardware::translate::tables::Tables;

/// An entry that was read.
pub(super) struct Seen {
    pub(super) level: Level,
    pub(super) table: Pfn,
    pub(super) index: u32,
    /// The entry as it was read.
    pub(super) entry: Entry,
    /// The flags that the walk set in it.
    pub(super) set: u64,
    pub(super) met: Met,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    NotPresent,
    /// These bits are set in it, and reserved.
    Reserved(u64),
    /// It points at a table.
    Table,
    /// It maps the page, which has these rights over all levels.
    Page(Rights),
}

/// The tables of a case. They note what a walk reads in them.
pub(super) struct Recorder<'r> {
    pub(super) controls: &'r Controls,
    pub(super) tables: &'r mut Tables,
    pub(super) seen: Vec<Seen>,
    at: (Pfn, u32),
    rights: Rights,
}

impl<'r> Recorder<'r> {
    pub(super) fn new(controls: &'r Controls, tables: &'r mut Tables) -> Recorder<'r> {
        Recorder { controls, tables, seen: Vec::new(), at: (Pfn(0), 0), rights: Rights::ALL }
    }

    fn met(&mut self, level: Level, entry: Entry, next: &Next) -> Met {
        let reserved = entry.0 & reserved_bits(self.controls, Geometry::default(), level, entry);
        match next {
            _ if !entry.is_present() => Met::NotPresent,
            _ if reserved != 0 => Met::Reserved(reserved),
            Next::Descend => {
                self.rights = self.rights.through(entry);
                Met::Table
            }
            // The page is mapped, or the rights deny the access.
            _ => Met::Page(self.rights.at_leaf(entry)),
        }
    }
}

impl TableMemory for Recorder<'_> {
    fn read(&mut self, level: Level, table: Pfn, index: u32) -> Entry {
        self.at = (table, index);
        self.tables.read(level, table, index)
    }

    fn mark(&mut self, level: Level, table: Pfn, index: u32, flags: u64) {
        self.tables.mark(level, table, index, flags);
    }

    fn judged(&mut self, level: Level, entry: Entry, next: &Next) {
        let (table, index) = self.at;
        let set = if let Next::Mark(flags) = next { *flags } else { 0 };
        if self.seen.last().is_none_or(|last| last.level != level) {
            self.seen.push(Seen { level, table, index, entry, set, met: Met::NotPresent });
        }
        // After a mark the entry is read again. Then it is known what the entry is.
        if set == 0 {
            let met = self.met(level, entry, next);
            if let Some(last) = self.seen.last_mut() {
                last.met = met;
            }
        }
    }
}
