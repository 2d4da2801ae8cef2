//! A TLB entry (SDM 4.10.2).

use crate::addr::{Pfn, VirtAddr, Vpn};
use crate::control::{Controls, Pcid};
use crate::entry::Entry;
use crate::fault::PageFault;
use crate::paging::{Access, Obstacle, Rights};

/// A cached translation, with its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Tells entries of one run apart.
    pub id: u32,
    /// The root whose walk made it.
    pub root: Pfn,
    /// The address space that it is tagged with.
    pub pcid: Pcid,
    /// Made from an entry with G while CR4.PGE was set: any PCID uses it.
    pub global: bool,
    /// Base pages that it translates, as a power of two.
    pub order: u8,
    /// Base pages of the page that the structures mapped, as a power of two. This is larger than `order` if
    /// the processor cached a piece of a large page (SDM 4.10.2.3).
    pub page_order: u8,
    /// The first page that it translates.
    pub vpn: Vpn,
    /// The frame behind that page.
    pub pfn: Pfn,
    /// Rights over all levels.
    pub rights: Rights,
    /// Whether D was set when it was made. If not, a write walks anew (SDM 4.8).
    pub dirty: bool,
    /// The entry that maps the page, as it was.
    pub leaf: Entry,
    /// The run's step at which the oldest entry that it was made from was read.
    pub since: u64,
    /// The run's step at which it was made.
    pub filled_at: u64,
}

/// What an access needs until it retires from the translation that it goes through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Through {
    /// The identity of the translation, which tells it apart from others that are cached.
    pub(crate) id: u32,
    /// The frame behind the address.
    pub(crate) frame: Pfn,
}

impl Translation {
    /// Whether it translates the page.
    #[inline]
    pub fn covers(&self, vpn: Vpn) -> bool {
        (self.vpn.0 ^ vpn.0) >> self.order == 0
    }

    /// The frame behind an address that it translates.
    #[inline]
    pub fn frame(&self, va: VirtAddr) -> Pfn {
        Pfn(self.pfn.0 + (va.vpn().0 - self.vpn.0))
    }

    /// What an access to an address that it translates needs of it.
    #[inline]
    pub(crate) fn through(&self, va: VirtAddr) -> Through {
        Through { id: self.id, frame: self.frame(va) }
    }

    /// Whether an access under this PCID may use it (SDM 4.10.2.4).
    #[inline]
    pub fn is_for(&self, pcid: Pcid) -> bool {
        self.global || self.pcid == pcid
    }

    /// Whether it takes the same place as another: page, size and tag.
    #[inline]
    pub(crate) fn rivals(&self, other: &Translation) -> bool {
        self.vpn == other.vpn && self.order == other.order && self.is_for(other.pcid)
    }

    /// Whether it says the same as another.
    #[inline]
    pub(crate) fn repeats(&self, other: &Translation) -> bool {
        self.vpn == other.vpn
            && self.pfn == other.pfn
            && self.order == other.order
            && self.page_order == other.page_order
            && self.rights == other.rights
            && self.dirty == other.dirty
            && self.pcid == other.pcid
            && self.global == other.global
            && self.root == other.root
    }

    /// What it says of a single page that it translates.
    pub fn of_page(&self, va: VirtAddr) -> Translation {
        self.piece(va.vpn(), 0)
    }

    /// The frames that it leads to.
    pub fn frames(&self) -> impl Iterator<Item = Pfn> + use<> {
        (self.pfn.0..self.pfn.0 + (1 << self.order)).map(Pfn)
    }

    /// The part of it that a smaller TLB entry around `vpn` holds.
    pub(crate) fn piece(&self, vpn: Vpn, order: u8) -> Translation {
        let first = Vpn(vpn.0 >> order << order);
        Translation { order, vpn: first, pfn: Pfn(self.pfn.0 + (first.0 - self.vpn.0)), ..*self }
    }

    /// The fault of an access that it denies.
    pub(crate) fn denies(&self, controls: &Controls, va: VirtAddr, access: Access) -> PageFault {
        PageFault::new(controls, va, access, Obstacle::Rights(self.rights))
    }
}
