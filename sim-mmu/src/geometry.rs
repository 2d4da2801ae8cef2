//! How many entries a paging structure has, and what follows from it.

use crate::addr::{Level, PAGE_SHIFT, VirtAddr};

/// The shape of the paging structures. Hardware has 512 entries a table; a machine made smaller has
/// the same walk with fewer index bits a level, so that exhaustive exploration ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    index_bits: u32,
}

impl Default for Geometry {
    fn default() -> Self {
        Geometry { index_bits: 9 }
    }
}

impl Geometry {
    /// Tables of `entries` entries: a power of two from 2 to 512. `None` for any other number.
    pub fn new(entries: u32) -> Option<Geometry> {
        ((2..=512).contains(&entries) && entries.is_power_of_two())
            .then(|| Geometry { index_bits: entries.trailing_zeros() })
    }

    /// Entries a table.
    #[inline]
    pub fn entries(self) -> u32 {
        1 << self.index_bits
    }

    /// The index of the entry that translates `va` at `level`.
    #[inline]
    pub fn index(self, va: VirtAddr, level: Level) -> u32 {
        (va.0 >> self.shift(level)) as u32 & (self.entries() - 1)
    }

    /// The number of address bits below what an entry at `level` selects.
    #[inline]
    pub fn shift(self, level: Level) -> u32 {
        PAGE_SHIFT + self.index_bits * level.below()
    }

    /// Base pages that one entry at `level` covers, as a power of two.
    #[inline]
    pub fn order(self, level: Level) -> u8 {
        (self.index_bits * level.below()) as u8
    }

    /// Bytes that one entry at `level` covers.
    #[inline]
    pub fn span(self, level: Level) -> u64 {
        1 << self.shift(level)
    }

    /// Bits of a linear address that a walk from `root` uses.
    #[inline]
    pub fn address_bits_from(self, root: Level) -> u32 {
        PAGE_SHIFT + self.index_bits * root as u32
    }

    /// Bits of a linear address that a 4-level walk uses.
    #[inline]
    pub fn address_bits(self) -> u32 {
        self.address_bits_from(Level::P4d)
    }

    /// The end of user addresses: the lower half of the space, less a guard page, as `TASK_SIZE_MAX`.
    #[inline]
    pub fn task_size(self) -> VirtAddr {
        VirtAddr((1 << (self.address_bits() - 1)) - VirtAddr::PAGE_SIZE)
    }

    /// The end of the span of the `level` entry that covers `addr`, or `end` if that is nearer:
    /// `pmd_addr_end()` and its kin.
    #[inline]
    pub fn addr_end(self, level: Level, addr: VirtAddr, end: VirtAddr) -> VirtAddr {
        let boundary = addr.0.wrapping_add(self.span(level)) & !(self.span(level) - 1);
        // Compared less one, as the kernel does, so that a boundary of zero is the highest.
        if boundary.wrapping_sub(1) < end.0.wrapping_sub(1) { VirtAddr(boundary) } else { end }
    }

    /// Whether bits 63 to the top one that a walk from `root` translates agree (canonical, SDM 1
    /// section 3.3.7.1; SDM 4.5.3).
    #[inline]
    pub fn is_canonical(self, va: VirtAddr, root: Level) -> bool {
        let unused = 64 - self.address_bits_from(root);
        (va.0 << unused).cast_signed() >> unused == va.0.cast_signed()
    }
}
