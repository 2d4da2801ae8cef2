//! The paging structures of a case, with one entry at each level.

use sim_mmu::{Entry, Geometry, Level, Pfn, TableMemory, VirtAddr};

/// The most levels of a walk.
pub const LEVELS: usize = 5;

/// Entries of a case, top level first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    words: [Entry; LEVELS],
    count: u8,
}

impl Entries {
    /// Appends an entry. Answers whether there was room for it.
    #[inline]
    pub fn push(&mut self, entry: Entry) -> bool {
        let room = self.words.get_mut(usize::from(self.count)).map(|word| *word = entry);
        self.count += u8::from(room.is_some());
        room.is_some()
    }
}

impl std::ops::Deref for Entries {
    type Target = [Entry];

    #[inline]
    fn deref(&self) -> &[Entry] {
        &self.words[..usize::from(self.count)]
    }
}

/// Memory that has the entries of a case, and is zero elsewhere. Each entry is in the table at which the entry above it
/// points, at the index that the address selects. The first entry is in the root, which is a frame of its own. Entries are
/// stored from the top down. So if two fall on one word, the lower one stays.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    entries: Entries,
    /// Frame and index of each entry but the first.
    places: [(Pfn, u32); LEVELS],
    root: Level,
}

impl Tables {
    /// Stores `entries` for a walk for `va` from `root`.
    #[inline]
    pub fn new(entries: &Entries, root: Level, va: VirtAddr) -> Tables {
        let geometry = Geometry::default();
        let mut places = [(Pfn(0), 0); LEVELS];
        let mut level = root;
        for (above, place) in entries.iter().zip(&mut places[1..]) {
            let Some(below) = level.next() else { break };
            level = below;
            *place = (above.pfn(), geometry.index(va, level));
        }
        Tables { entries: *entries, places, root }
    }

    /// The entries as they are now.
    #[inline]
    pub fn entries(&self) -> Entries {
        let mut now = self.entries;
        for n in 1..now.len() {
            now.words[n] = self.entries.words[self.stored_at(self.places[n]).unwrap_or(n)];
        }
        now
    }

    /// The numbers of the entries whose word a lower entry has taken, each with the number of that entry.
    pub fn shared(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let below_the_root = 1..self.entries.len();
        below_the_root.filter_map(|n| self.stored_at(self.places[n]).filter(|&by| by != n).map(|by| (n, by)))
    }

    /// The entry at a place below the root. If several were stored there, it is the last one.
    #[inline]
    fn stored_at(&self, place: (Pfn, u32)) -> Option<usize> {
        (1..self.entries.len()).rev().find(|&n| self.places[n] == place)
    }

    #[inline]
    fn slot(&self, level: Level, table: Pfn, index: u32) -> Option<usize> {
        // The walk reads the root at the highest level only, so the root needs no frame number.
        if level == self.root { Some(0) } else { self.stored_at((table, index)) }
    }
}

impl TableMemory for Tables {
    #[inline]
    fn read(&mut self, level: Level, table: Pfn, index: u32) -> Entry {
        self.slot(level, table, index).map_or(Entry::NONE, |n| self.entries.words[n])
    }

    #[inline]
    fn mark(&mut self, level: Level, table: Pfn, index: u32, flags: u64) {
        if let Some(n) = self.slot(level, table, index) {
            self.entries.words[n] = self.entries.words[n].with(flags);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: u64 = Entry::PRESENT | Entry::RW;

    fn entries(words: &[u64]) -> Entries {
        let mut entries = Entries::default();
        for &word in words {
            assert!(entries.push(Entry(word)));
        }
        entries
    }

    #[test]
    fn there_is_room_for_five_entries() {
        let mut all = entries(&[1, 2, 3, 4, 5]);
        assert!(!all.push(Entry(6)));
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn what_is_not_listed_is_zero() {
        let mut tables = Tables::new(&entries(&[0x1000 | FLAGS]), Level::P4d, VirtAddr(0));
        assert_eq!(tables.read(Level::Pud, Pfn(1), 0), Entry::NONE);
        assert_eq!(tables.read(Level::P4d, Pfn(7), 9), Entry(0x1000 | FLAGS));
    }

    #[test]
    fn entries_that_fall_on_one_word_are_one() {
        // The tables below the root are all in frame 1, which the address enters at index 0.
        let mut tables =
            Tables::new(&entries(&[0x1000 | FLAGS, 0x1000 | FLAGS, 0x5000 | FLAGS]), Level::P4d, VirtAddr(0));
        assert_eq!(tables.shared().collect::<Vec<_>>(), [(1, 2)]);
        assert_eq!(tables.read(Level::Pud, Pfn(1), 0), Entry(0x5000 | FLAGS));
        tables.mark(Level::Pud, Pfn(1), 0, Entry::ACCESSED);
        assert_eq!(tables.entries()[1], Entry(0x5000 | FLAGS | Entry::ACCESSED));
        assert_eq!(tables.entries()[1], tables.entries()[2]);
        assert_eq!(tables.entries()[0], Entry(0x1000 | FLAGS));
    }
}
