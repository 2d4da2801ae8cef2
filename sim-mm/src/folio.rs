//! Compound pages: several frames in a row that are one page, a folio. The first is the head, and has what all of them have in common:
//! the reference count, the flags, the mapping. The others are tails.
//!
//! What a page is a part of is read here without an access of its own, as a part of the step before. The caller keeps the page from being
//! split or freed, or looks again afterwards. Lockless code asks [`compound_head`](crate::compound_head) instead, which is an access.

use sim_mmu::Pfn;

use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page_flags::is_anon_mapping;
use crate::settings::MovableZone;

impl Kernel {
    /// Whether a page is in the zone MOVABLE: `is_zone_movable_page()`.
    #[inline]
    pub fn is_zone_movable(&self, page: Page) -> bool {
        self.mem_map.is_zone_movable(page.0)
    }

    /// `page_folio()`: the head of the page that a frame is a part of. Most pages are their own.
    #[inline]
    pub fn folio_of(&self, page: Page) -> Page {
        match self.core().memory.get(self.page(page).compound_head().loc()) {
            0 => page,
            tail_of => Page(Pfn(tail_of - 1)),
        }
    }

    /// `folio_order()` of a head: two to the power of it is the number of its frames.
    #[inline]
    pub fn folio_order(&self, head: Page) -> u8 {
        self.core().memory.get(self.page(head).compound_order().loc()) as u8
    }

    /// The frames of the page whose head this is.
    pub fn folio_pages(&self, head: Page) -> impl Iterator<Item = Page> + use<> {
        (head.0.0..head.0.0 + (1 << self.folio_order(head))).map(|pfn| Page(Pfn(pfn)))
    }

    /// `folio_has_pincount()`: whether pins of a folio are counted by themselves. A small one has no room for that count.
    pub(crate) fn has_pincount(&self, head: Page) -> bool {
        self.folio_order(head) > 1
    }

    /// `page->mapping` and `page->index` of the folio, and which frame of it the page is.
    pub(crate) fn mapping_of(&self, page: Page) -> (u64, u64) {
        let head = self.folio_of(page);
        let (memory, descriptor) = (&self.core().memory, self.page(head));
        let nth = page.0.0 - head.0.0;
        (memory.get(descriptor.mapping().loc()), memory.get(descriptor.index().loc()) + nth)
    }
}

/// Notes that whoever had a page off its list is done with it, in the step in which it comes to a list or is free. Only who pins for long asks.
pub(crate) fn note_arrival(cpu: Cpu<'_>, page: Page) {
    if cpu.setting::<MovableZone>() == MovableZone::On {
        let arrivals = cpu.kernel.page(page).arrivals();
        cpu.this_cpu_write(arrivals, cpu.this_cpu_read(arrivals) + 1);
    }
}

/// `folio_test_large()`: whether a page is a part of a compound page.
pub fn is_large(cpu: Cpu<'_>, page: Page) -> bool {
    cpu.kernel.folio_order(cpu.kernel.folio_of(page)) > 0
}

/// `folio_nr_pages()` of a head.
pub(crate) fn folio_nr_pages(cpu: Cpu<'_>, head: Page) -> u64 {
    1 << cpu.kernel.folio_order(head)
}

/// `PageAnon()`, for a caller that keeps the page.
pub fn page_is_anon(cpu: Cpu<'_>, page: Page) -> bool {
    is_anon_mapping(cpu.kernel.mapping_of(page).0)
}

/// The same for those who only look.
pub fn page_is_anon_now(kernel: &Kernel, page: Page) -> bool {
    is_anon_mapping(kernel.mapping_of(page).0)
}

/// `page_mapcount()`: the entries that map this very page, each by itself or with all of its folio.
pub(crate) async fn page_mapcount(cpu: Cpu<'_>, page: Page) -> u64 {
    let own = cpu.load(cpu.kernel.mapcount(page)).await;
    let head = cpu.kernel.folio_of(page);
    if cpu.kernel.folio_order(head) == 0 { own } else { own + folio_entire_mapcount(cpu, head).await }
}

/// `folio_entire_mapcount()`: the entries that map all of a folio.
pub(crate) async fn folio_entire_mapcount(cpu: Cpu<'_>, head: Page) -> u64 {
    cpu.load(cpu.kernel.page(head).entire_mapcount()).await
}

/// `folio_mapcount()`, `total_mapcount()` before v6.0: the entries that map any of a folio.
pub(crate) async fn folio_mapcount(cpu: Cpu<'_>, head: Page) -> u64 {
    if cpu.kernel.folio_order(head) == 0 {
        return cpu.load(cpu.kernel.mapcount(head)).await;
    }
    let mut count = folio_entire_mapcount(cpu, head).await;
    for page in cpu.kernel.folio_pages(head) {
        count += cpu.load(cpu.kernel.mapcount(page)).await;
    }
    count
}
