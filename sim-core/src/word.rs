//! Typed handles to words of shared memory.

use std::fmt;
use std::marker::PhantomData;

use crate::loc::Loc;

/// A value that one word of shared memory can hold.
pub trait Word: Copy {
    /// The word that holds the value.
    fn into_word(self) -> u64;
    /// The value that a word holds.
    fn from_word(word: u64) -> Self;
}

macro_rules! integer_words {
    ($($t:ty),*) => {$(
        impl Word for $t {
            #[inline]
            fn into_word(self) -> u64 { self as u64 }
            #[inline]
            fn from_word(word: u64) -> Self { word as $t }
        }
    )*};
}
integer_words!(u64, u32, u16, u8, i64);

impl Word for bool {
    #[inline]
    fn into_word(self) -> u64 {
        u64::from(self)
    }
    #[inline]
    fn from_word(word: u64) -> Self {
        word != 0
    }
}

/// A handle to one word that holds a `T`. Copying the handle copies no state.
pub struct Shared<T> {
    loc: Loc,
    holds: PhantomData<fn() -> T>,
}

impl<T> Shared<T> {
    /// The word at `loc`, read as a `T`.
    #[inline]
    pub const fn at(loc: Loc) -> Self {
        Shared { loc, holds: PhantomData }
    }

    /// Where the word is.
    #[inline]
    pub const fn loc(self) -> Loc {
        self.loc
    }
}

impl<T> Clone for Shared<T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.loc == other.loc
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({:?})", self.loc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_went() {
        fn round_trip<T: Word + fmt::Debug + PartialEq>(values: &[T]) {
            for &value in values {
                assert_eq!(T::from_word(value.into_word()), value);
            }
        }
        round_trip(&[0, 1, u64::MAX]);
        round_trip(&[0, u32::MAX]);
        round_trip(&[0, u16::MAX]);
        round_trip(&[0, u8::MAX]);
        round_trip(&[0, -1, i64::MIN, i64::MAX]);
        round_trip(&[false, true]);
    }
}
