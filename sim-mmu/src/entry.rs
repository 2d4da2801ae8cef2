//! The paging-structure entry (SDM 4.5, tables 4-15 to 4-20).

use std::fmt;

use sim_core::Word;

use crate::addr::Pfn;

/// The 64 bits of an entry at any level.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Entry(pub u64);

impl Entry {
    /// Nothing: not present, all bits clear.
    pub const NONE: Entry = Entry(0);
    /// P, bit 0.
    pub const PRESENT: u64 = 1 << 0;
    /// R/W, bit 1.
    pub const RW: u64 = 1 << 1;
    /// U/S, bit 2.
    pub const USER: u64 = 1 << 2;
    /// A, bit 5.
    pub const ACCESSED: u64 = 1 << 5;
    /// D, bit 6, in an entry that maps a page.
    pub const DIRTY: u64 = 1 << 6;
    /// PS, bit 7, in a PDE or PDPTE: the entry maps a page.
    pub const PAGE_SIZE: u64 = 1 << 7;
    /// G, bit 8, in an entry that maps a page.
    pub const GLOBAL: u64 = 1 << 8;
    /// `_PAGE_SPECIAL`: bit 9, which the hardware ignores. The page behind has no reference count.
    pub const SPECIAL: u64 = 1 << 9;
    /// `_PAGE_UFFD_WP`: bit 10, which the hardware ignores. Somebody in user space wants to know of the next write.
    pub const UFFD_WP: u64 = 1 << 10;
    /// `_PAGE_SOFT_DIRTY`: bit 11, which the hardware ignores. The page was written since somebody began to watch.
    pub const SOFT_DIRTY: u64 = 1 << 11;
    /// PAT of an entry that maps a large page, bit 12. It is no part of the address of the page.
    pub const PAT_LARGE: u64 = 1 << 12;
    /// `_PAGE_DEVMAP`: bit 58, which the hardware ignores. The page behind is a device's, and its descriptor is there as long as the device is.
    pub const DEVMAP: u64 = 1 << 58;
    /// XD, bit 63.
    pub const NX: u64 = 1 << 63;
    /// Bits 51:12.
    const FRAME: u64 = 0x000f_ffff_ffff_f000;

    /// An entry that points at `pfn` with the given flag bits.
    #[inline]
    pub const fn new(pfn: Pfn, flags: u64) -> Entry {
        Entry(pfn.0 << 12 & Self::FRAME | flags)
    }

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }

    /// With `flags` set.
    #[inline]
    pub const fn with(self, flags: u64) -> Entry {
        Entry(self.0 | flags)
    }

    /// With `flags` clear.
    #[inline]
    pub const fn without(self, flags: u64) -> Entry {
        Entry(self.0 & !flags)
    }

    /// Everything but the frame.
    #[inline]
    pub const fn flags(self) -> u64 {
        self.0 & !Self::FRAME
    }

    /// The frame that the entry points at.
    #[inline]
    pub const fn pfn(self) -> Pfn {
        Pfn((self.0 & Self::FRAME) >> 12)
    }

    /// The protection key of an entry that maps a page, bits 62:59 (SDM 4.6.2).
    #[inline]
    pub const fn key(self) -> u8 {
        (self.0 >> 59 & 0xf) as u8
    }

    /// The bits of a protection key, 0 to 15.
    #[inline]
    pub const fn of_key(key: u8) -> u64 {
        (key as u64 & 0xf) << 59
    }

    /// Whether P is set.
    #[inline]
    pub const fn is_present(self) -> bool {
        self.has(Self::PRESENT)
    }

    /// Whether nothing is set.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl Word for Entry {
    #[inline]
    fn into_word(self) -> u64 {
        self.0
    }
    #[inline]
    fn from_word(word: u64) -> Self {
        Entry(word)
    }
}

impl fmt::Display for Entry {
    /// `none`, or the frame and the letters of the flags that are set: `F7 rwUAD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        write!(f, "{} ", self.pfn())?;
        f.write_str(if self.is_present() { "r" } else { "!p " })?;
        f.write_str(if self.has(Self::RW) { "w" } else { "o" })?;
        for (bit, letter) in [
            (Self::USER, ""),
            (Self::ACCESSED, "A"),
            (Self::DIRTY, "D"),
            (Self::GLOBAL, "G"),
            (Self::SPECIAL, "S"),
            (Self::UFFD_WP, "U"),
            (Self::SOFT_DIRTY, "W"),
            (Self::DEVMAP, "V"),
        ] {
            if self.has(bit) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({self})")
    }
}
