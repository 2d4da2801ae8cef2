//! The store buffer of a CPU: the stores that other CPUs do not see yet (x86-TSO).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::bytes::Bytes;
use crate::loc::Loc;

/// The number of stores that a buffer holds. Real ones hold some sixty. A search cannot tell apart more than this.
pub(crate) const CAPACITY: usize = 1024;

/// A store that has not reached memory.
#[derive(Clone, Debug)]
pub(crate) enum Buffered {
    /// A store of a number into these bytes of a word.
    Word(Loc, u64, Bytes),
    /// A store of several words, of which this is the first: a string operation (`rep stosq`, `rep movsq`).
    Block(Loc, Box<[u64]>),
}

impl Buffered {
    /// The first word that it writes.
    pub(crate) fn loc(&self) -> Loc {
        match *self {
            Buffered::Word(loc, ..) | Buffered::Block(loc, _) => loc,
        }
    }

    /// Which bytes of a word it writes, if any.
    fn bytes_of(&self, loc: Loc) -> Option<Bytes> {
        match *self {
            Buffered::Word(to, _, bytes) => (to == loc).then_some(bytes),
            Buffered::Block(first, ref values) => {
                let index = loc.0.checked_sub(first.0)?;
                ((index as usize) < values.len()).then_some(Bytes::ALL)
            }
        }
    }

    /// The value of a word after this store, if it was `word` before.
    pub(crate) fn over(&self, loc: Loc, word: u64) -> u64 {
        match *self {
            Buffered::Word(to, number, bytes) if to == loc => bytes.put(word, number),
            Buffered::Word(..) => word,
            Buffered::Block(first, ref values) => {
                let index = loc.0.checked_sub(first.0);
                index.and_then(|index| values.get(index as usize)).copied().unwrap_or(word)
            }
        }
    }
}

/// Stores in the order in which they were made. They leave in the same order.
#[derive(Debug, Default)]
pub(crate) struct StoreBuffer {
    stores: RefCell<VecDeque<Buffered>>,
    /// Stores that entered the buffer in this run.
    entered: Cell<u32>,
}

impl StoreBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.stores.borrow().is_empty()
    }

    pub(crate) fn len(&self) -> u32 {
        self.stores.borrow().len() as u32
    }

    /// Stores that entered it in this run.
    pub(crate) fn entered(&self) -> u32 {
        self.entered.get()
    }

    /// Whether a store has to wait until the oldest one has left.
    pub(crate) fn is_full(&self) -> bool {
        self.stores.borrow().len() >= CAPACITY
    }

    pub(crate) fn push(&self, store: Buffered) {
        self.entered.set(self.entered.get() + 1);
        self.stores.borrow_mut().push_back(store);
    }

    /// Takes the oldest store.
    pub(crate) fn pop(&self) -> Option<Buffered> {
        self.stores.borrow_mut().pop_front()
    }

    /// The value that the CPU itself reads in a word that holds `word` in memory.
    #[cold]
    pub(crate) fn over(&self, loc: Loc, word: u64) -> u64 {
        self.stores.borrow().iter().fold(word, |word, store| store.over(loc, word))
    }

    /// Whether one source can answer a load of these bytes. The source is the newest store to any of them, if it has
    /// all of them. It is memory, if no store has any of them. A load that needs both waits until the store has left
    /// the buffer.
    #[cold]
    pub(crate) fn can_forward(&self, loc: Loc, bytes: Bytes) -> bool {
        let stores = self.stores.borrow();
        let newest = stores.iter().rev().filter_map(|store| store.bytes_of(loc)).find(|of| of.overlap(bytes));
        newest.is_none_or(|of| of.contain(bytes))
    }

    pub(crate) fn reset(&self) {
        self.stores.borrow_mut().clear();
        self.entered.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The newest store to a word counts, of whatever size it is.
    #[test]
    fn forwarding() {
        let buffer = StoreBuffer::default();
        let seen = || [4, 5, 6, 7].map(|word| buffer.over(Loc(word), 9));
        buffer.push(Buffered::Word(Loc(5), 50, Bytes::ALL));
        buffer.push(Buffered::Word(Loc(7), 70, Bytes::ALL));
        assert_eq!(seen(), [9, 50, 9, 70]);
        buffer.push(Buffered::Block(Loc(4), Box::new([1, 2, 3])));
        assert_eq!(seen(), [1, 2, 3, 70]);
        buffer.push(Buffered::Word(Loc(4), 40, Bytes::ALL));
        assert_eq!(seen(), [40, 2, 3, 70]);
        assert_eq!((buffer.len(), buffer.pop().map(|store| store.loc())), (4, Some(Loc(5))));
        assert_eq!((buffer.len(), buffer.entered()), (3, 4));
        buffer.reset();
        assert_eq!((seen(), buffer.entered()), ([9; 4], 0));
    }

    /// One store answers a load, or memory does, never both together.
    #[test]
    fn a_load_that_needs_two_sources_waits() {
        let buffer = StoreBuffer::default();
        let (low, high) = (Bytes::of(0, 4), Bytes::of(4, 4));
        let can = |bytes| buffer.can_forward(Loc(1), bytes);
        buffer.push(Buffered::Word(Loc(1), 0x1122_3344, low));
        assert_eq!([low, high, Bytes::ALL, Bytes::of(1, 2)].map(can), [true, true, false, true]);
        assert_eq!(buffer.over(Loc(1), !0), 0xffff_ffff_1122_3344);
        buffer.push(Buffered::Word(Loc(1), 0x55, Bytes::of(0, 1)));
        assert_eq!([low, high, Bytes::ALL, Bytes::of(1, 2)].map(can), [false, true, false, true]);
        buffer.push(Buffered::Word(Loc(1), 7, Bytes::ALL));
        assert_eq!([low, high, Bytes::ALL, Bytes::of(1, 2)].map(can), [true; 4]);
        assert!(buffer.can_forward(Loc(2), Bytes::ALL), "of another word");
    }
}
