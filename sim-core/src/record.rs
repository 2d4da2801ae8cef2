//! Records: runs of words with named, typed fields.
//!
//! [`record!`](crate::record) declares a record. It makes an accessor for each field, so that nobody counts
//! words by hand, and it gives each word the name that logs, diagrams and digests call it by.

use std::marker::PhantomData;

use crate::loc::Loc;
use crate::word::Shared;

/// A type that can be a field of a record: a handle to one word or to several.
pub trait Field: Copy {
    /// How many words it takes.
    const WORDS: u32 = 1;
    /// What follows the name of the field in the names of its words. If there are more words than names, the last name
    /// gets a number: `[0]`, `[1]` and so on.
    const PARTS: &'static [&'static str] = &[""];
    /// The field whose first word is at `loc`.
    fn at(loc: Loc) -> Self;
}

impl<T> Field for Shared<T> {
    #[inline]
    fn at(loc: Loc) -> Self {
        Shared::at(loc)
    }
}

/// The name of a field and of its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLayout {
    /// The field's name.
    pub name: &'static str,
    /// How many words it takes.
    pub words: u32,
    /// See [`Field::PARTS`].
    pub parts: &'static [&'static str],
}

impl FieldLayout {
    /// The field that holds a `F`.
    pub const fn of<F: Field>(name: &'static str) -> FieldLayout {
        FieldLayout { name, words: F::WORDS, parts: F::PARTS }
    }

    /// The name of the field's word `n`.
    pub(crate) fn describe(&self, n: u32) -> String {
        let last = self.parts.len() as u32 - 1;
        let part = self.parts[n.min(last) as usize];
        if self.words > last + 1 && n >= last {
            format!("{}{part}[{}]", self.name, n - last)
        } else {
            format!("{}{part}", self.name)
        }
    }
}

/// A handle to a run of words with named fields. Made by [`record!`](crate::record).
pub trait Record: Copy {
    /// Its fields, in order.
    const FIELDS: &'static [FieldLayout];
    /// Its length in words.
    const WORDS: u32;
    /// The record whose first word is at `loc`.
    fn at(loc: Loc) -> Self;
    /// Its first word.
    fn loc(self) -> Loc;
}

/// Records of one kind, one after the other.
#[derive(Debug)]
pub struct Array<R> {
    base: Loc,
    len: u32,
    holds: PhantomData<fn() -> R>,
}

impl<R> Clone for Array<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Array<R> {}

impl<R: Record> Array<R> {
    pub(crate) const fn new(base: Loc, len: u32) -> Array<R> {
        Array { base, len, holds: PhantomData }
    }

    /// Record `index`.
    ///
    /// # Panics
    /// If there is no such record.
    #[inline]
    pub fn at(self, index: usize) -> R {
        assert!(index < self.len as usize, "simulator defect: record {index} of {}", self.len);
        R::at(self.base.offset(index as u32 * R::WORDS))
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = R> {
        (0..self.len as usize).map(move |index| self.at(index))
    }

    /// The index of the record that a word belongs to, if it belongs to one of these.
    pub fn index_of(self, loc: Loc) -> Option<usize> {
        let index = loc.0.checked_sub(self.base.0)? / R::WORDS;
        (index < self.len).then_some(index as usize)
    }
}

/// Declares a record: a handle type with an accessor for each field.
///
/// ```
/// use sim_core::{MemoryBuilder, Shared, SpinLock, record};
///
/// record! {
///     /// A counter that a lock guards.
///     pub struct Counter {
///         /// The count.
///         pub count: Shared<u64> = "count";
///         /// Guards it.
///         pub lock: SpinLock = "lock";
///     }
/// }
///
/// let mut memory = MemoryBuilder::default();
/// let counter: Counter = memory.record("counter");
/// assert_eq!(memory.build().describe(counter.lock().0), "counter.lock");
/// ```
#[macro_export]
macro_rules! record {
    ($(#[$doc:meta])* $vis:vis struct $name:ident {
        $($(#[$fdoc:meta])* $fvis:vis $field:ident: $ty:ty = $text:literal;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $vis struct $name($crate::Loc);

        impl $crate::Record for $name {
            const FIELDS: &'static [$crate::FieldLayout] = &[$($crate::FieldLayout::of::<$ty>($text)),+];
            const WORDS: u32 = 0 $(+ <$ty as $crate::Field>::WORDS)+;

            #[inline]
            fn at(loc: $crate::Loc) -> Self {
                $name(loc)
            }

            #[inline]
            fn loc(self) -> $crate::Loc {
                self.0
            }
        }

        $crate::record!(@accessors $name (0) $($(#[$fdoc])* $fvis $field: $ty;)+);
    };
    (@accessors $name:ident ($offset:expr) $(#[$fdoc:meta])* $fvis:vis $field:ident: $ty:ty; $($rest:tt)*) => {
        impl $name {
            $(#[$fdoc])*
            #[inline]
            $fvis fn $field(self) -> $ty {
                const OFFSET: u32 = $offset;
                <$ty as $crate::Field>::at(self.0.offset(OFFSET))
            }
        }
        $crate::record!(@accessors $name ($offset + <$ty as $crate::Field>::WORDS) $($rest)*);
    };
    (@accessors $name:ident ($offset:expr)) => {};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::SpinLock;
    use crate::memory::MemoryBuilder;
    use crate::rwsem::RwSem;

    record! {
        /// A record with a field of several words in its middle.
        struct Wide {
            first: Shared<u32> = "first";
            sem: RwSem = "sem";
            last: SpinLock = "last";
        }
    }

    #[test]
    fn fields_follow_each_other_and_have_names() {
        let mut memory = MemoryBuilder::default();
        memory.words("other", 3);
        let wide: Array<Wide> = memory.array("wide", 2);
        let memory = memory.build();
        let second = wide.at(1);
        assert_eq!(second.loc(), Loc(3 + Wide::WORDS));
        assert_eq!(memory.describe(second.first().loc()), "wide[1].first");
        assert_eq!(memory.describe(second.sem().loc()), "wide[1].sem");
        assert_eq!(second.last().0, second.loc().offset(Wide::WORDS - 1));
        assert_eq!(memory.describe(second.last().0), "wide[1].last");
        assert_eq!(memory.describe(second.last().0.offset(0)), "wide[1].last");
        assert_eq!((wide.index_of(Loc(2)), wide.index_of(second.last().0)), (None, Some(1)));
        assert_eq!(wide.index_of(Loc(3 + 2 * Wide::WORDS)), None);
    }
}
