//! The times at which words changed, in cycles.

use std::cell::{Cell, RefCell};

use crate::loc::Loc;

/// The times that are kept beside the clocks. They are kept only while a cost model is installed.
pub(crate) struct Timeline {
    /// The time of each word's last change.
    pub(crate) changed: RefCell<Vec<u64>>,
    /// The number of entries of the memory's journal whose time is noted.
    pub(crate) noted: Cell<usize>,
    /// The time of the last store that left a store buffer.
    pub(crate) drained: Cell<u64>,
}

impl Timeline {
    /// A timeline of so many words.
    pub(crate) fn new(words: usize) -> Timeline {
        Timeline { changed: RefCell::new(vec![0; words]), noted: Cell::new(0), drained: Cell::new(0) }
    }

    /// The time of a word's last change; zero if it did not change in this run.
    pub(crate) fn changed_at(&self, loc: Loc) -> u64 {
        self.changed.borrow().get(loc.0 as usize).copied().unwrap_or_default()
    }
}
