//! `include/linux/swapops.h`: the meaning of an entry that is neither empty nor present.

use sim_mmu::Entry;

use crate::pgtable_types::is_pte_present;

/// The bits of the type: 63:59.
const SWP_TYPE_SHIFT: u32 = 59;

/// `SWP_PTE_MARKER`: the type of an entry that only marks its page.
const SWP_PTE_MARKER: u64 = 31;

/// `PTE_MARKER_GUARD`: a lightweight guard region, by `MADV_GUARD_INSTALL` since v6.13.
const PTE_MARKER_GUARD: u64 = 1 << 2;

/// `make_pte_marker(PTE_MARKER_GUARD)`.
pub(crate) const GUARD: Entry = Entry(SWP_PTE_MARKER << SWP_TYPE_SHIFT | PTE_MARKER_GUARD << 14);

/// `is_guard_swp_entry()`: whether an access to the page ends in a signal.
pub fn is_guard(entry: Entry) -> bool {
    entry == GUARD
}

/// `_PAGE_SWP_EXCLUSIVE`, the bit of PWT: the page that was there belonged to this address space alone. Since v5.19.
const SWP_EXCLUSIVE: u64 = 1 << 3;

/// `swp_entry_t`: a slot of the swap area. There is one area, whose type is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SwpEntry(pub u64);

impl SwpEntry {
    /// `swp_entry_to_pte()`. The number of the slot stands inverted in bits 58:9, so that what a processor reads there on
    /// speculation is no frame that exists.
    pub(crate) fn to_pte(self) -> Entry {
        Entry(!self.0 << 14 >> 5)
    }

    /// `pte_to_swp_entry()`: the slot that an entry names, if it names one.
    pub fn of_pte(entry: Entry) -> Option<SwpEntry> {
        let is_swap = !entry.is_none() && !is_pte_present(entry) && entry.0 >> SWP_TYPE_SHIFT == 0;
        is_swap.then_some(SwpEntry(!entry.0 << 5 >> 14))
    }
}

/// `pte_swp_exclusive()`.
pub(crate) fn pte_swp_exclusive(entry: Entry) -> bool {
    entry.has(SWP_EXCLUSIVE)
}

/// `pte_swp_mkexclusive()`.
pub(crate) fn pte_swp_mkexclusive(entry: Entry) -> Entry {
    entry.with(SWP_EXCLUSIVE)
}

/// `pte_swp_clear_exclusive()`.
pub(crate) fn pte_swp_clear_exclusive(entry: Entry) -> Entry {
    entry.without(SWP_EXCLUSIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stands_in_an_entry_and_is_found_there() {
        for slot in [0, 1, 5, 1 << 20] {
            let entry = SwpEntry(slot).to_pte();
            assert_eq!(SwpEntry::of_pte(entry), Some(SwpEntry(slot)));
            assert_eq!(SwpEntry::of_pte(pte_swp_mkexclusive(entry)), Some(SwpEntry(slot)));
            assert!(pte_swp_exclusive(pte_swp_mkexclusive(entry)) && !pte_swp_exclusive(entry));
            assert_eq!(pte_swp_clear_exclusive(pte_swp_mkexclusive(entry)), entry);
        }
        assert_eq!(SwpEntry::of_pte(GUARD), None);
        assert_eq!(SwpEntry::of_pte(Entry::NONE), None);
    }
}
