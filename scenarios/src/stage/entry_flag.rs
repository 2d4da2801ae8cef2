//! Flags that the walker sets in an entry.

use sim_mmu::Entry;

use crate::json::Named;

/// A flag that the walker sets in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryFlag {
    /// A.
    Accessed,
    /// D.
    Dirty,
}

impl EntryFlag {
    /// Whether the flag is set.
    pub(super) fn is_in(self, entry: Entry) -> bool {
        entry.has(match self {
            EntryFlag::Accessed => Entry::ACCESSED,
            EntryFlag::Dirty => Entry::DIRTY,
        })
    }
}

impl Named for EntryFlag {
    const WHAT: &'static str = "flag of an entry";
    const NAMES: &'static [(EntryFlag, &'static str)] =
        &[(EntryFlag::Accessed, "accessed"), (EntryFlag::Dirty, "dirty")];

    fn about(self) -> Option<&'static str> {
        Some(match self {
            EntryFlag::Accessed => "A: the walker sets it when it uses the entry.",
            EntryFlag::Dirty => "D: the walker sets it before a write through the entry.",
        })
    }
}
