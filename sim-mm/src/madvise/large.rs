//! Advices about a large folio that PTEs map: all of it is meant, or it is split.

use sim_mmu::VirtAddr;

use crate::folio::{folio_nr_pages, is_large};
use crate::folio_batch::folio_pte_batch;
use crate::huge_memory::split_and_put;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{get_page, test_and_set_flags};
use crate::page_flags::PageFlags;
use crate::pgtable::{Pte, Ptep};
use crate::rmap::{folio_maybe_mapped_shared, total_mapcount};
use crate::settings::MadviseLarge;

/// What an advice does with the page that an entry maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// It is a page of its own, or the first of a folio all of which is meant: so many entries map it.
    Pages(u64),
    /// So many entries are passed over.
    Skip(u64),
    /// Its folio is locked and held, to be split when nobody holds the lock of the table. Then the walk looks at the entry again, or goes
    /// on behind so many if it cannot be split.
    Split(ToSplit),
}

/// A folio that is locked and held, and where the walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ToSplit {
    head: Page,
    addr: VirtAddr,
    skipped: u64,
}

impl ToSplit {
    /// `split_folio()`, without the lock of the table. Answers where the walk goes on.
    pub(super) async fn split(self, cpu: Cpu<'_>) -> VirtAddr {
        let split = split_and_put(cpu, self.head).await;
        if split.is_ok() { self.addr } else { self.addr.plus_pages(self.skipped) }
    }
}

/// Up to where the entries of a table are dealt with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind {
    skipped: VirtAddr,
    inside: VirtAddr,
}

impl Behind {
    /// The entries from `addr` on are passed over.
    pub(super) fn skip(&mut self, addr: VirtAddr, pages: u64) {
        self.skipped = addr.plus_pages(pages);
    }

    pub(super) fn skips(self, addr: VirtAddr) -> bool {
        addr < self.skipped
    }

    /// The entries from `addr` on map one folio.
    pub(super) fn begin(&mut self, addr: VirtAddr, pages: u64) {
        self.inside = addr.plus_pages(pages);
    }

    pub(super) fn is_inside(self, addr: VirtAddr) -> bool {
        addr < self.inside
    }
}

/// What is to be done with the page that an entry maps. The caller holds the lock of the table.
pub(super) async fn folio_batch(cpu: Cpu<'_>, at: (Ptep, VirtAddr, VirtAddr), pte: Pte) -> Batch {
    let page = Page(pte.pfn());
    if !is_large(cpu, page) {
        return Batch::Pages(1);
    }
    let head = cpu.kernel.folio_of(page);
    let mut nr = folio_pte_batch(cpu, at, pte, head).await;
    let whole = nr == folio_nr_pages(cpu, head) && cpu.setting::<MadviseLarge>() == MadviseLarge::Whole;
    if whole {
        return if total_mapcount(cpu, head).await == nr { Batch::Pages(nr) } else { Batch::Skip(nr) };
    }
    if cpu.setting::<MadviseLarge>() == MadviseLarge::Split {
        // The walk ends where a folio cannot be split.
        nr = at.2.vpn().0 - at.1.vpn().0;
    }
    if folio_maybe_mapped_shared(cpu, head).await || !test_and_set_flags(cpu, head, PageFlags::LOCKED).await {
        return Batch::Skip(nr);
    }
    get_page(cpu, head).await;
    Batch::Split(ToSplit { head, addr: at.1, skipped: nr })
}
