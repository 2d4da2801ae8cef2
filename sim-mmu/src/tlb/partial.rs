//! An entry of a paging-structure cache (SDM 4.10.3).

use crate::addr::{Level, Pfn, Vpn};
use crate::control::Pcid;
use crate::entry::Entry;
use crate::paging::Rights;

/// The cached way to a table: an entry of the PML4, PDPTE or PDE cache. It is never global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The root whose walk made it.
    pub root: Pfn,
    /// The address space that it is tagged with.
    pub pcid: Pcid,
    /// The level of the entry that it is made from.
    pub level: Level,
    /// Base pages that the entry covers, as a power of two.
    pub order: u8,
    /// The first page that the entry covers.
    pub vpn: Vpn,
    /// The table that the entry points at.
    pub table: Pfn,
    /// Rights over the levels so far.
    pub rights: Rights,
    /// The entry, as it was.
    pub entry: Entry,
    /// The run's step at which the oldest entry that it was made from was read.
    pub since: u64,
    /// The run's step at which it was made.
    pub filled_at: u64,
}

impl Partial {
    /// Whether a walk for the page may begin with it.
    #[inline]
    pub fn covers(&self, vpn: Vpn) -> bool {
        (self.vpn.0 ^ vpn.0) >> self.order == 0
    }

    /// Whether it says the same as another.
    #[inline]
    pub(crate) fn repeats(&self, other: &Partial) -> bool {
        self.level == other.level
            && self.vpn == other.vpn
            && self.table == other.table
            && self.rights == other.rights
            && self.pcid == other.pcid
            && self.root == other.root
    }
}
