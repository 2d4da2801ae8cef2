//! The number of entries of each paging structure, and what follows from it for addresses.

use std::fmt;

use crate::addr::{Level, PAGE_SHIFT, VirtAddr};

/// The shape of the paging structures. Real tables have 512 entries. A smaller machine has the same walk with
/// fewer index bits at each level, so that an exhaustive search ends.
///
/// Each level has a size of its own. For example, with 2 PTEs a table and 8 entries in the tables above, a huge page
/// spans two base pages. Then there is room for it, for its neighbours, and for a place to which they can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// For each level, lowest first, the number of address bits below what its entries select; then the bits of
    /// a whole linear address.
    shifts: [u8; 6],
}

impl Default for Geometry {
    fn default() -> Self {
        Geometry::of_bits([9; 4])
    }
}

impl fmt::Display for Geometry {
    /// `2`, or `pte 2, pmd 8, pud 8, p4d 8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uniform() {
            Some(entries) => write!(f, "{entries}"),
            None => write!(f, "{}", self.levels().map(|(level, n)| format!("{} {n}", level.name())).join(", ")),
        }
    }
}

/// The bits of an index into a table of so many entries.
fn index_bits(entries: u32) -> Option<u8> {
    ((2..=512).contains(&entries) && entries.is_power_of_two()).then(|| entries.trailing_zeros() as u8)
}

impl Geometry {
    /// Tables of `entries` entries: a power of two from 2 to 512. `None` for any other number.
    pub fn new(entries: u32) -> Option<Geometry> {
        index_bits(entries).map(|bits| Geometry::of_bits([bits; 4]))
    }

    /// Tables of so many PTEs, PMD, PUD and P4D entries, each a power of two from 2 to 512. `None` for any other
    /// numbers. A fifth level has as many entries as the fourth.
    pub fn of_levels(entries: [u32; 4]) -> Option<Geometry> {
        let [Some(pte), Some(pmd), Some(pud), Some(p4d)] = entries.map(index_bits) else { return None };
        Some(Geometry::of_bits([pte, pmd, pud, p4d]))
    }

    fn of_bits([pte, pmd, pud, p4d]: [u8; 4]) -> Geometry {
        let mut shifts = [PAGE_SHIFT as u8; 6];
        for (below, bits) in [pte, pmd, pud, p4d, p4d].into_iter().enumerate() {
            shifts[below + 1] = shifts[below] + bits;
        }
        Geometry { shifts }
    }

    /// The levels that a 4-level walk has, lowest first, and the entries of a table at each.
    pub fn levels(self) -> [(Level, u32); 4] {
        [Level::Pte, Level::Pmd, Level::Pud, Level::P4d].map(|level| (level, self.entries(level)))
    }

    /// Entries a table, if all levels have the same number.
    pub fn uniform(self) -> Option<u32> {
        let entries = self.entries(Level::Pte);
        self.levels().iter().all(|(_, other)| *other == entries).then_some(entries)
    }

    /// The entries of the largest table.
    pub fn most_entries(self) -> u32 {
        self.levels().map(|(_, entries)| entries).into_iter().fold(0, u32::max)
    }

    /// Entries of a table at `level`.
    #[inline]
    pub fn entries(self, level: Level) -> u32 {
        1 << (self.address_bits_from(level) - self.shift(level))
    }

    /// The index of the entry that translates `va` at `level`.
    #[inline]
    pub fn index(self, va: VirtAddr, level: Level) -> u32 {
        (va.0 >> self.shift(level)) as u32 & (self.entries(level) - 1)
    }

    /// The number of address bits below what an entry at `level` selects.
    #[inline]
    pub fn shift(self, level: Level) -> u32 {
        self.shifts[level.below() as usize].into()
    }

    /// Base pages that one entry at `level` covers, as a power of two.
    #[inline]
    pub fn order(self, level: Level) -> u8 {
        (self.shift(level) - PAGE_SHIFT) as u8
    }

    /// Bytes that one entry at `level` covers.
    #[inline]
    pub fn span(self, level: Level) -> u64 {
        1 << self.shift(level)
    }

    /// Bits of a linear address that a walk from `root` uses.
    #[inline]
    pub fn address_bits_from(self, root: Level) -> u32 {
        self.shifts[root as usize].into()
    }

    /// Bits of a linear address that a 4-level walk uses.
    #[inline]
    pub fn address_bits(self) -> u32 {
        self.address_bits_from(Level::P4d)
    }

    /// `TASK_SIZE_MAX`, the end of user addresses: the lower half of the space without its last page, which is a guard.
    #[inline]
    pub fn task_size(self) -> VirtAddr {
        VirtAddr((1 << (self.address_bits() - 1)) - VirtAddr::PAGE_SIZE)
    }

    /// The end of the span of the `level` entry that covers `addr`, or `end` if that is nearer:
    /// `pmd_addr_end()` and its kin.
    #[inline]
    pub fn addr_end(self, level: Level, addr: VirtAddr, end: VirtAddr) -> VirtAddr {
        let boundary = addr.0.wrapping_add(self.span(level)) & !(self.span(level) - 1);
        // As in the kernel, both are compared after 1 is subtracted. So a boundary that wrapped to zero is the highest.
        if boundary.wrapping_sub(1) < end.0.wrapping_sub(1) { VirtAddr(boundary) } else { end }
    }

    /// Whether the address is canonical: the highest bit that a walk from `root` translates and all bits above it are
    /// alike (SDM 1 section 3.3.7.1; SDM 4.5.3).
    #[inline]
    pub fn is_canonical(self, va: VirtAddr, root: Level) -> bool {
        let unused = 64 - self.address_bits_from(root);
        (va.0 << unused).cast_signed() >> unused == va.0.cast_signed()
    }
}
