//! The place of a word.

/// The place of one word in [`Memory`](crate::Memory).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loc(pub u32);

impl Loc {
    /// No word: the location of an access that touches none (a wait, a serialising instruction).
    pub const NONE: Loc = Loc(u32::MAX);

    /// The word that is `n` words further on.
    #[inline]
    pub const fn offset(self, n: u32) -> Loc {
        Loc(self.0 + n)
    }
}
