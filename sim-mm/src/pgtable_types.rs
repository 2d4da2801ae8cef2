//! `arch/x86/include/asm/pgtable_types.h`: bits of an entry that the kernel gives a meaning of its own.

use sim_mmu::Entry;

/// `_PAGE_PROTNONE`: the bit of G in an entry without P. The page is there, and no access to it is allowed, so the
/// hardware must not find it.
pub const PAGE_PROTNONE: u64 = Entry::GLOBAL;

/// `pte_present()` of a bare entry: whether a page is behind it, though the hardware may not see it.
pub fn is_pte_present(entry: Entry) -> bool {
    entry.is_present() || entry.has(PAGE_PROTNONE)
}
