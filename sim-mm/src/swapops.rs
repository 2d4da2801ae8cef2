//! `include/linux/swapops.h`: the meaning of an entry that is neither empty nor present.

use sim_mmu::{Entry, Pfn};

use crate::pgtable_types::is_pte_present;

/// The bits of the type: 63:59.
const SWP_TYPE_SHIFT: u32 = 59;

/// `SWP_PTE_MARKER`: the type of an entry that only marks its page.
const SWP_PTE_MARKER: u64 = 31;

/// `PTE_MARKER_GUARD`: a lightweight guard region, by `MADV_GUARD_INSTALL` since v6.13.
const PTE_MARKER_GUARD: u64 = 1 << 2;

/// `PTE_MARKER_UFFD_WP`: writes to the page, which is not mapped now, wait for user code. Since v5.19, in memory of files.
const PTE_MARKER_UFFD_WP: u64 = 1 << 0;

/// `make_pte_marker(PTE_MARKER_UFFD_WP)`.
pub(crate) const UFFD_WP_MARKER: Entry = Entry(SWP_PTE_MARKER << SWP_TYPE_SHIFT | PTE_MARKER_UFFD_WP << 14);

/// `pte_marker_uffd_wp()`.
pub(crate) fn is_uffd_wp_marker(entry: Entry) -> bool {
    entry == UFFD_WP_MARKER
}

/// `pte_none_mostly()`: nothing is mapped there, whatever the entry says of the page that comes.
pub(crate) fn is_none_mostly(entry: Entry) -> bool {
    entry.is_none() || is_uffd_wp_marker(entry)
}

/// `PTE_MARKER_SWAPIN_ERROR`, since v6.6 `PTE_MARKER_POISONED`: what was in swap is lost. An entry of its own type before v6.2.
const PTE_MARKER_POISONED: u64 = 1 << 1;

/// `make_pte_marker(PTE_MARKER_POISONED)`.
pub(crate) const POISONED: Entry = Entry(SWP_PTE_MARKER << SWP_TYPE_SHIFT | PTE_MARKER_POISONED << 14);

/// Whether an entry says that its page is lost: `is_hwpoison_entry()`, `is_poisoned_swp_entry()`.
pub(crate) fn is_lost(entry: Entry) -> bool {
    entry == POISONED || HwpoisonEntry::of_pte(entry).is_some()
}

/// `make_pte_marker(PTE_MARKER_GUARD)`.
pub(crate) const GUARD: Entry = Entry(SWP_PTE_MARKER << SWP_TYPE_SHIFT | PTE_MARKER_GUARD << 14);

/// `is_guard_swp_entry()`: whether an access to the page ends in a signal.
pub fn is_guard(entry: Entry) -> bool {
    entry == GUARD
}

/// `_PAGE_SWP_EXCLUSIVE`, the bit of PWT: the page that was there belonged to this address space alone. Since v5.19.
const SWP_EXCLUSIVE: u64 = 1 << 3;

/// `_PAGE_SWP_SOFT_DIRTY`, the bit of R/W: the page was written since somebody asked the kernel to forget.
const SWP_SOFT_DIRTY: u64 = 1 << 1;

/// `_PAGE_SWP_UFFD_WP`, the bit of U/S: writes wait for user code.
const SWP_UFFD_WP: u64 = 1 << 2;

/// Offsets stand inverted in bits 58:9, so that what a processor reads there on speculation is no frame that exists.
const OFFSET_BITS: u64 = ((1 << 50) - 1) << 9;

/// `swp_entry_t`: a slot of the swap area. There is one area, whose type is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SwpEntry(pub u64);

impl SwpEntry {
    /// `swp_entry_to_pte()`.
    pub(crate) fn to_pte(self) -> Entry {
        Entry(!self.0 << 14 >> 5)
    }

    /// `pte_to_swp_entry()`: the slot that an entry names, if it names one.
    pub fn of_pte(entry: Entry) -> Option<SwpEntry> {
        let is_swap = !entry.is_none() && !is_pte_present(entry) && entry.0 >> SWP_TYPE_SHIFT == 0;
        is_swap.then_some(SwpEntry(!entry.0 << 5 >> 14))
    }
}

/// `pte_move_swp_offset()`: what an entry says, of the slot so many behind.
pub(crate) fn pte_move_swp_offset(entry: Entry, delta: i64) -> Entry {
    // Offsets stand inverted.
    Entry(
        entry.0 & !OFFSET_BITS | (entry.0 & OFFSET_BITS).wrapping_sub((delta << 9).cast_unsigned()) & OFFSET_BITS,
    )
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

/// The marks that an entry has whether it maps a page or names its slot: the bit of the one and of the other.
const MARKS: [(u64, u64); 2] = [(Entry::SOFT_DIRTY, SWP_SOFT_DIRTY), (Entry::UFFD_WP, SWP_UFFD_WP)];

/// The marks of an entry that maps a page, kept in the entry that names the slot of the page: `pte_swp_mksoft_dirty()`, `pte_swp_mkuffd_wp()`.
pub(crate) fn pte_swp_with_marks_of(swp: Entry, mapped: Entry) -> Entry {
    MARKS.iter().filter(|(bit, _)| mapped.has(*bit)).fold(swp, |swp, (_, kept)| swp.with(*kept))
}

/// Those marks, of the entry that maps the page again: `pte_swp_soft_dirty()`, `pte_swp_uffd_wp()`.
pub(crate) fn pte_swp_marks(swp: Entry) -> u64 {
    MARKS.iter().filter(|(_, kept)| swp.has(*kept)).fold(0, |marks, (bit, _)| marks | bit)
}

/// `pte_swp_soft_dirty()`: whether an entry that names a slot says that the page was written.
pub fn pte_swp_soft_dirty(swp: Entry) -> bool {
    swp.has(SWP_SOFT_DIRTY)
}

/// `pte_swp_uffd_wp_any()`: whether an entry that maps nothing says that writes wait for user code.
pub(crate) fn pte_swp_uffd_wp_any(entry: Entry) -> bool {
    is_uffd_wp_marker(entry) || SwpEntry::of_pte(entry).is_some() && entry.has(SWP_UFFD_WP)
}

/// `pte_swp_mksoft_dirty()`, on a kernel that keeps such a bit.
pub(crate) fn pte_swp_mksoft_dirty(swp: Entry) -> Entry {
    swp.with(SWP_SOFT_DIRTY)
}

/// `pte_swp_clear_soft_dirty()`.
pub(crate) fn pte_swp_clear_soft_dirty(swp: Entry) -> Entry {
    swp.without(SWP_SOFT_DIRTY)
}

/// `pte_swp_mkuffd_wp()`, or `pte_swp_clear_uffd_wp()`.
pub(crate) fn pte_swp_set_uffd_wp(swp: Entry, waits: bool) -> Entry {
    if waits { swp.with(SWP_UFFD_WP) } else { swp.without(SWP_UFFD_WP) }
}

/// `SWP_HWPOISON`: the type of an entry whose page is broken.
const SWP_HWPOISON: u64 = 23;

/// An entry whose page `memory_failure()` has taken away, because its memory is broken. Who comes to it is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HwpoisonEntry(pub Pfn);

impl HwpoisonEntry {
    /// `make_hwpoison_entry()` and `swp_entry_to_pte()`.
    pub(crate) fn to_pte(self) -> Entry {
        Entry(SWP_HWPOISON << SWP_TYPE_SHIFT | (!self.0.0 << 9 & OFFSET_BITS))
    }

    /// `pte_to_swp_entry()`, if `is_hwpoison_entry()`.
    pub fn of_pte(entry: Entry) -> Option<HwpoisonEntry> {
        let is_one = !is_pte_present(entry) && entry.0 >> SWP_TYPE_SHIFT == SWP_HWPOISON;
        is_one.then_some(HwpoisonEntry(Pfn((!entry.0 & OFFSET_BITS) >> 9)))
    }
}

/// What the entry that is there again may do: the type of a migration entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationKind {
    /// `SWP_MIGRATION_READ`.
    Readable = 24,
    /// `SWP_MIGRATION_READ_EXCLUSIVE`, since v5.19: the page belongs to this address space alone.
    ReadableExclusive = 25,
    /// `SWP_MIGRATION_WRITE`.
    Writable = 26,
}

/// An entry whose page is being moved to another frame. Who comes to it waits until the page is unlocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationEntry {
    /// What the entry that is there again may do.
    pub kind: MigrationKind,
    /// The frame that the page leaves.
    pub pfn: Pfn,
    /// `SWP_MIG_YOUNG`, since v6.1: the entry had A set.
    pub young: bool,
    /// `SWP_MIG_DIRTY`, since v6.1: the entry had D set.
    pub dirty: bool,
    /// Soft-dirty.
    pub soft_dirty: bool,
    /// Writes wait for user code.
    pub uffd_wp: bool,
}

impl MigrationEntry {
    /// `SWP_MIG_YOUNG_BIT` of the offset, above the number of the frame.
    const YOUNG: u64 = 1 << 40;
    /// `SWP_MIG_DIRTY_BIT`.
    const DIRTY: u64 = 1 << 41;

    /// Whether the page belonged to this address space alone: `!is_readable_migration_entry()`.
    pub(crate) fn is_exclusive(self) -> bool {
        self.kind != MigrationKind::Readable
    }

    /// `swp_entry_to_pte()`.
    pub(crate) fn to_pte(self) -> Entry {
        let flag = |set: bool, bit: u64| if set { bit } else { 0 };
        let offset =
            self.pfn.0 | flag(self.young, MigrationEntry::YOUNG) | flag(self.dirty, MigrationEntry::DIRTY);
        let marks = flag(self.soft_dirty, SWP_SOFT_DIRTY) | flag(self.uffd_wp, SWP_UFFD_WP);
        Entry((self.kind as u64) << SWP_TYPE_SHIFT | (!offset << 9 & OFFSET_BITS) | marks)
    }

    /// `pte_to_swp_entry()`, if `is_migration_entry()`.
    pub fn of_pte(entry: Entry) -> Option<MigrationEntry> {
        if is_pte_present(entry) {
            return None;
        }
        let kind = match entry.0 >> SWP_TYPE_SHIFT {
            24 => MigrationKind::Readable,
            25 => MigrationKind::ReadableExclusive,
            26 => MigrationKind::Writable,
            _ => return None,
        };
        let offset = (!entry.0 & OFFSET_BITS) >> 9;
        Some(MigrationEntry {
            kind,
            pfn: Pfn(offset & (MigrationEntry::YOUNG - 1)),
            young: offset & MigrationEntry::YOUNG != 0,
            dirty: offset & MigrationEntry::DIRTY != 0,
            soft_dirty: entry.has(SWP_SOFT_DIRTY),
            uffd_wp: entry.has(SWP_UFFD_WP),
        })
    }
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

    #[test]
    fn an_entry_of_a_broken_page_is_no_other_entry() {
        for pfn in [Pfn(2), Pfn(1 << 20 | 5)] {
            let entry = HwpoisonEntry(pfn).to_pte();
            assert_eq!(HwpoisonEntry::of_pte(entry), Some(HwpoisonEntry(pfn)));
            assert!(SwpEntry::of_pte(entry).is_none() && MigrationEntry::of_pte(entry).is_none());
            assert!(!is_pte_present(entry) && !is_none_mostly(entry) && !is_guard(entry));
        }
        for other in [GUARD, UFFD_WP_MARKER, Entry::NONE, SwpEntry(3).to_pte()] {
            assert_eq!(HwpoisonEntry::of_pte(other), None);
        }
    }

    #[test]
    fn a_migration_entry_keeps_what_the_entry_said() {
        for kind in [MigrationKind::Readable, MigrationKind::ReadableExclusive, MigrationKind::Writable] {
            for bits in 0..16 {
                let bit = |n: u32| bits >> n & 1 != 0;
                let (young, dirty, soft_dirty, uffd_wp) = (bit(0), bit(1), bit(2), bit(3));
                let entry = MigrationEntry { kind, pfn: Pfn(1 << 20 | 5), young, dirty, soft_dirty, uffd_wp };
                let pte = entry.to_pte();
                assert_eq!(MigrationEntry::of_pte(pte), Some(entry));
                assert!(!is_pte_present(pte) && SwpEntry::of_pte(pte).is_none() && !is_guard(pte));
            }
        }
        for other in [GUARD, Entry::NONE, SwpEntry(3).to_pte(), Entry(Entry::PRESENT | 24 << SWP_TYPE_SHIFT)] {
            assert_eq!(MigrationEntry::of_pte(other), None);
        }
    }
}
