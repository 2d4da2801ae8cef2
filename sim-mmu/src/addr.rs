//! Addresses and frame numbers.

use std::fmt;

use sim_core::Word;

/// Bytes of a base page, as a power of two.
pub(crate) const PAGE_SHIFT: u32 = 12;

/// A linear address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtAddr(pub u64);

/// The number of a base page of linear addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vpn(pub u64);

/// A physical address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysAddr(pub u64);

/// The number of a physical frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pfn(pub u64);

impl VirtAddr {
    /// Bytes of a base page.
    pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

    /// The page that the address is in.
    #[inline]
    pub const fn vpn(self) -> Vpn {
        Vpn(self.0 >> PAGE_SHIFT)
    }

    /// The first address of the naturally aligned span of `1 << shift` bytes around the address.
    #[inline]
    pub const fn align_down(self, shift: u32) -> VirtAddr {
        VirtAddr(self.0 >> shift << shift)
    }

    /// The first address of the page.
    #[inline]
    pub const fn page_base(self) -> VirtAddr {
        self.vpn().base()
    }

    /// `PAGE_ALIGN()`: the address, or the first one of the next page; wraps at the top.
    #[inline]
    pub const fn page_align(self) -> VirtAddr {
        VirtAddr(self.0.wrapping_add(Self::PAGE_SIZE - 1)).page_base()
    }

    /// The offset within the page, in bytes.
    #[inline]
    pub const fn offset(self) -> u64 {
        self.0 & (Self::PAGE_SIZE - 1)
    }

    /// The address `n` pages on; wraps like the register that holds it.
    #[inline]
    pub const fn plus_pages(self, n: u64) -> VirtAddr {
        VirtAddr(self.0.wrapping_add(n << PAGE_SHIFT))
    }
}

impl Vpn {
    /// The page's first address.
    #[inline]
    pub const fn base(self) -> VirtAddr {
        VirtAddr(self.0 << PAGE_SHIFT)
    }
}

impl Pfn {
    /// The frame's first address.
    #[inline]
    pub const fn base(self) -> PhysAddr {
        PhysAddr(self.0 << PAGE_SHIFT)
    }
}

impl PhysAddr {
    /// The frame that the address is in.
    #[inline]
    pub const fn pfn(self) -> Pfn {
        Pfn(self.0 >> PAGE_SHIFT)
    }
}

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F{}", self.0)
    }
}

impl Word for VirtAddr {
    fn into_word(self) -> u64 {
        self.0
    }
    fn from_word(word: u64) -> Self {
        VirtAddr(word)
    }
}

impl Word for Pfn {
    fn into_word(self) -> u64 {
        self.0
    }
    fn from_word(word: u64) -> Self {
        Pfn(word)
    }
}

/// A level of the paging structures, by the name of the entry that is read there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// PTE: maps a base page.
    Pte = 1,
    /// PDE.
    Pmd = 2,
    /// PDPTE.
    Pud = 3,
    /// PML4E: the root's entries with 4-level paging, where the PGD is folded onto it.
    P4d = 4,
    /// PML5E: the root's entries with 5-level paging.
    Pgd = 5,
}

impl Level {
    /// The levels of a 4-level walk, root first.
    pub const WALK: [Level; 4] = [Level::P4d, Level::Pud, Level::Pmd, Level::Pte];
    /// The levels of a 5-level walk, root first.
    pub const WALK_LA57: [Level; 5] = [Level::Pgd, Level::P4d, Level::Pud, Level::Pmd, Level::Pte];

    /// The level below; `None` below the PTE.
    #[inline]
    pub const fn next(self) -> Option<Level> {
        match self {
            Level::Pgd => Some(Level::P4d),
            Level::P4d => Some(Level::Pud),
            Level::Pud => Some(Level::Pmd),
            Level::Pmd => Some(Level::Pte),
            Level::Pte => None,
        }
    }

    /// How many levels lie below.
    #[inline]
    pub const fn below(self) -> u32 {
        self as u32 - 1
    }

    /// The kernel's name of an entry at this level.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Pte => "pte",
            Level::Pmd => "pmd",
            Level::Pud => "pud",
            Level::P4d => "p4d",
            Level::Pgd => "pgd",
        }
    }

    /// The SDM's name of an entry at this level.
    pub const fn sdm_name(self) -> &'static str {
        match self {
            Level::Pte => "PTE",
            Level::Pmd => "PDE",
            Level::Pud => "PDPTE",
            Level::P4d => "PML4E",
            Level::Pgd => "PML5E",
        }
    }
}
