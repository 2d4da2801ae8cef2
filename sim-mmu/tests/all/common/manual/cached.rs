//! What a CPU may have cached (SDM 4.10.2, 4.10.3).

use std::collections::BTreeSet;

use super::walk::Registers;

/// Something that may be cached: a translation, or the way to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cached {
    pub(crate) root: u64,
    pub(crate) pcid: u64,
    pub(crate) global: bool,
    /// The first page that it is about, and how many there are.
    pub(crate) page: u64,
    pub(crate) pages: u64,
    /// Of a translation: how many pages the structures mapped as one.
    pub(crate) of: u64,
    /// The frame behind the first page, or the table with the level of its entries.
    pub(crate) frame: u64,
    pub(crate) level: u32,
    pub(crate) rw: bool,
    pub(crate) user: bool,
    pub(crate) xd: bool,
    pub(crate) key: u32,
    pub(crate) dirty: bool,
    /// How many INVLPGBs had been executed when the first of its entries was read.
    pub(crate) since: u64,
}

impl Cached {
    pub(super) fn covers(&self, page: u64) -> bool {
        page / self.pages * self.pages == self.page
    }

    /// Whether some page of `range` belongs to it, or to the page that it is a piece of.
    pub(super) fn meets(&self, range: (u64, u64)) -> bool {
        let first = self.page / self.of * self.of;
        first < range.1 && range.0 < first + self.of
    }
}

/// One CPU: its registers, and all that it may have cached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) registers: Registers,
    pub(crate) translations: BTreeSet<Cached>,
    pub(crate) partials: BTreeSet<Cached>,
}

impl Held {
    pub(super) fn drop(&mut self, translations: impl Fn(&Cached) -> bool, partials: impl Fn(&Cached) -> bool) {
        self.translations.retain(|cached| !translations(cached));
        self.partials.retain(|cached| !partials(cached));
    }

    /// All of one PCID that is not global.
    pub(super) fn drop_context(&mut self, pcid: u64) {
        self.drop(|t| t.pcid == pcid && !t.global, |p| p.pcid == pcid);
    }
}
