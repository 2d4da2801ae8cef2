//! The page walk (SDM 4.5), from one entry to the next. It reads no memory itself: its driver does. So the walk
//! of a simulated CPU can be a sequence of accesses with accesses of other CPUs between them, and the same rules
//! can translate at once when no other CPU is there.

use crate::addr::{Level, Pfn, VirtAddr};
use crate::control::Controls;
use crate::entry::Entry;
use crate::fault::PageFault;
use crate::geometry::Geometry;
use crate::paging::reserved::reserved_bits;
use crate::paging::rights::{Access, Obstacle, Rights};

/// A walk under way: where it stands, and the rights so far.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'c> {
    controls: &'c Controls,
    geometry: Geometry,
    va: VirtAddr,
    /// `None` for a walk that the processor makes on speculation, for no access.
    access: Option<Access>,
    level: Level,
    table: Pfn,
    rights: Rights,
}

/// What an entry tells the walk to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read the entry of the table below.
    Descend,
    /// Set these flags in the entry, by a locked update that fails if the entry has changed; then go
    /// on with the entry as it is now (SDM 4.8, 9.1.2.1).
    Mark(u64),
    /// The entry maps the page, with these rights over all levels.
    Mapped(Rights),
    /// The walk ends here.
    Fault(PageFault),
    /// A speculative walk ends here. It raises no fault.
    Nothing,
}

impl<'c> Walk<'c> {
    /// A walk from the root.
    pub fn new(
        controls: &'c Controls,
        geometry: Geometry,
        root: Pfn,
        va: VirtAddr,
        access: Option<Access>,
    ) -> Walk<'c> {
        Walk::from(controls, geometry, controls.root_level(), root, Rights::ALL, va, access)
    }

    /// A walk from a table that is known already, with the rights so far. An entry of a paging-structure cache lets the
    /// processor begin there (SDM 4.10.3.2).
    pub fn from(
        controls: &'c Controls,
        geometry: Geometry,
        level: Level,
        table: Pfn,
        rights: Rights,
        va: VirtAddr,
        access: Option<Access>,
    ) -> Walk<'c> {
        Walk { controls, geometry, va, access, level, table, rights }
    }

    /// The level of the entry that is to be read.
    #[inline]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The table of the entry that is to be read.
    #[inline]
    pub fn table(&self) -> Pfn {
        self.table
    }

    /// The index of the entry that is to be read.
    #[inline]
    pub fn index(&self) -> u32 {
        self.geometry.index(self.va, self.level)
    }

    /// The rights that the entries so far leave.
    #[inline]
    pub fn rights(&self) -> Rights {
        self.rights
    }

    /// Whether `entry`, read at this level, maps a page.
    #[inline]
    pub fn is_leaf(&self, entry: Entry) -> bool {
        match self.level {
            Level::Pte => true,
            Level::Pmd | Level::Pud => entry.has(Entry::PAGE_SIZE),
            Level::P4d | Level::Pgd => false,
        }
    }

    /// Judges the entry that was read, and steps down if it points at a table.
    // When this is inlined, the compiler knows the level of the first entry. That saves a third of a translation's time.
    #[inline(always)]
    pub fn judge(&mut self, entry: Entry) -> Next {
        // SDM 4.7: an entry with P clear says nothing else, so its reserved bits do not count.
        if !entry.is_present() {
            return self.fault(Obstacle::NotPresent);
        }
        if entry.0 & reserved_bits(self.controls, self.geometry, self.level, entry) != 0 {
            return self.fault(Obstacle::Reserved);
        }
        let leaf = self.is_leaf(entry);
        let rights = if leaf { self.rights.at_leaf(entry) } else { self.rights.through(entry) };
        let mut flags = Entry::ACCESSED;
        if leaf && let Some(access) = self.access {
            // SDM 4.6: the rights over the whole walk count. An access that is denied sets no D.
            if !rights.permit(self.controls, access) {
                return self.fault(Obstacle::Rights(rights));
            }
            if access.writes() {
                flags |= Entry::DIRTY;
            }
        }
        if !entry.has(flags) {
            return Next::Mark(flags & !entry.0);
        }
        match self.level.next() {
            Some(below) if !leaf => {
                (self.level, self.table, self.rights) = (below, entry.pfn(), rights);
                Next::Descend
            }
            _ => Next::Mapped(rights),
        }
    }

    fn fault(&self, obstacle: Obstacle) -> Next {
        self.access
            .map_or(Next::Nothing, |access| Next::Fault(PageFault::new(self.controls, self.va, access, obstacle)))
    }

    /// The first frame of the page of `level` that `entry` maps.
    #[inline]
    pub fn page_frame(geometry: Geometry, level: Level, entry: Entry) -> Pfn {
        let pages = 1_u64 << (geometry.shift(level) - geometry.shift(Level::Pte));
        // Bit 12 of a large page's entry is PAT.
        Pfn(entry.pfn().0 & !(pages - 1))
    }
}
