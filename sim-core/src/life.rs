//! Which words belong to records with a lifetime, and which word tells whether a record is in use.

use crate::loc::Loc;

/// How a free slot may still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFree {
    /// It may not be used: each access to it is a use after the end of its life.
    Untouchable,
    /// Readers may look at it, if they check afterwards which life they saw: `SLAB_TYPESAFE_BY_RCU`. Only an access
    /// through a reference to an earlier life is a use after the end.
    TypeSafe,
}

/// Where a slab is. Code that has only a location finds the slab by this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlabLayout {
    pub(crate) base: Loc,
    pub(crate) end: Loc,
    pub(crate) width: u32,
    /// The word that tells whether the first record is in use.
    pub(crate) lives: Loc,
    /// How many words lie between that of a record and that of the next. With 0 there is one word for all.
    pub(crate) apart: u32,
    pub(crate) when_free: WhenFree,
}

impl SlabLayout {
    /// The first word of the slab, and the first behind it.
    pub(crate) fn range(self) -> (Loc, Loc) {
        (self.base, self.end)
    }

    /// For each word of the slab, writes down the word that tells whether its record is in use. Nothing is written down if an
    /// access to a free record is allowed.
    pub(crate) fn fill(self, words: &mut [Loc]) {
        if self.when_free == WhenFree::Untouchable {
            let records = words.chunks_mut(self.width as usize).zip(0..);
            records.for_each(|(words, record)| words.fill(self.lives.offset(record * self.apart)));
        }
    }
}
