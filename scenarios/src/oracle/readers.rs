//! The address spaces that may read the words of a frame.

use sim_mm::MmId;

use super::kept::restore;

/// A set of address spaces.
type Set = u64;

const EVERYONE: Set = Set::MAX;

pub(super) fn bit(mm: MmId) -> Set {
    1 << (mm.0 % 64)
}

/// For each word of a frame, the address spaces that may read it. Only words that somebody wrote have a set of
/// their own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Readers {
    /// The readers of the words that have no set of their own.
    all: Set,
    /// The sets of their own, by word.
    own: Vec<(u32, Set)>,
}

/// Who is given another's values keeps the room for them.
impl Clone for Readers {
    fn clone(&self) -> Readers {
        Readers { all: self.all, own: self.own.clone() }
    }

    fn clone_from(&mut self, other: &Readers) {
        self.all = other.all;
        restore(&mut self.own, &other.own);
    }
}

impl Default for Readers {
    fn default() -> Readers {
        Readers { all: EVERYONE, own: Vec::new() }
    }
}

impl Readers {
    pub(super) fn of(&self, word: u32) -> Set {
        self.own.iter().find(|(of, _)| *of == word).map_or(self.all, |(_, set)| *set)
    }

    pub(super) fn set(&mut self, word: u32, set: Set) {
        match self.own.iter_mut().find(|(of, _)| *of == word) {
            Some((_, own)) => *own = set,
            None => self.own.push((word, set)),
        }
    }

    /// Everyone may read every word.
    pub(super) fn clear(&mut self) {
        self.all = EVERYONE;
        self.own.clear();
    }

    /// Whether everyone may read every word.
    pub(super) fn is_everyones(&self) -> bool {
        self.all == EVERYONE && self.own.is_empty()
    }

    /// Whether there is a word that `parent` may read and `child` may not.
    pub(super) fn keeps_from(&self, child: MmId, parent: MmId) -> bool {
        self.sets().any(|set| set & bit(parent) != 0 && set & bit(child) == 0)
    }

    /// Whether there is a word that the address space may read in another frame and not here.
    pub(super) fn lacks(&self, mm: MmId, other: &Readers) -> bool {
        let may = |set: Set| set & bit(mm) != 0;
        may(other.all) && !may(self.all)
            || other.words(self).any(|word| may(other.of(word)) && !may(self.of(word)))
    }

    /// From now on the address space may read here what it may read in another frame.
    pub(super) fn add(&mut self, mm: MmId, other: &Readers) {
        let words: Vec<u32> = other.words(self).collect();
        for word in words.into_iter().filter(|word| other.of(*word) & bit(mm) != 0) {
            self.set(word, self.of(word) | bit(mm));
        }
        if other.all & bit(mm) != 0 {
            self.all |= bit(mm);
        }
    }

    /// The words that have a set of their own in either.
    fn words<'a>(&'a self, other: &'a Readers) -> impl Iterator<Item = u32> + use<'a> {
        self.own.iter().chain(&other.own).map(|(word, _)| *word)
    }

    fn sets(&self) -> impl Iterator<Item = Set> {
        std::iter::once(self.all).chain(self.own.iter().map(|(_, set)| *set))
    }

    /// From now on `child` may read everything that `parent` may read.
    pub(super) fn share(&mut self, child: MmId, parent: MmId) {
        let own = self.own.iter_mut().map(|(_, set)| set);
        for set in std::iter::once(&mut self.all).chain(own).filter(|set| **set & bit(parent) != 0) {
            *set |= bit(child);
        }
    }
}
