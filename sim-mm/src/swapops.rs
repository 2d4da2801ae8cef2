//! `include/linux/swapops.h`: the meaning of an entry that is neither empty nor present.

use sim_mmu::Entry;

/// `SWP_PTE_MARKER`: the type, in bits 63:59, of an entry that only marks its page.
const SWP_PTE_MARKER: u64 = 31;

/// `PTE_MARKER_GUARD`: a lightweight guard region, by `MADV_GUARD_INSTALL` since v6.13.
const PTE_MARKER_GUARD: u64 = 1 << 2;

/// `make_pte_marker(PTE_MARKER_GUARD)`.
pub(crate) const GUARD: Entry = Entry(SWP_PTE_MARKER << 59 | PTE_MARKER_GUARD << 14);

/// `is_guard_swp_entry()`: whether an access to the page ends in a signal.
pub fn is_guard(entry: Entry) -> bool {
    entry == GUARD
}
