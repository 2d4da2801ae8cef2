//! `mem_map`: the descriptors of all pages.

use sim_core::{Shared, SpinLock, Word};
use sim_mmu::Pfn;

use crate::kernel::Kernel;
use crate::mm_types::{Page, PageDescriptor};
use crate::mmzone::Zone;
use crate::page_flags::{PageFlags, PageType};
use crate::settings::PageAlloc;

impl Kernel {
    /// The descriptor of a page.
    pub fn page(&self, page: Page) -> PageDescriptor {
        self.mem_map.page(page.0)
    }

    /// `page_zone()`: none where the next frame is a choice.
    pub(crate) fn page_zone(&self, page: Page) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.contains(page.0))
    }

    /// Whether nobody has a frame, so that an allocation may hand it out.
    pub(crate) fn is_free(&self, page: Page) -> bool {
        let memory = &self.core().memory;
        match self.config.setting::<PageAlloc>() {
            PageAlloc::AnyFrame => self.any_frame.is_free(memory, page.0),
            PageAlloc::Buddy => {
                PageType::from_word(memory.get(self.page(page).page_type().loc())) != PageType::InUse
            }
        }
    }

    /// Whether anybody ever had a frame since the machine was built; where that is not known, yes.
    pub(crate) fn was_used(&self, pfn: Pfn) -> bool {
        match self.config.setting::<PageAlloc>() {
            PageAlloc::AnyFrame => self.any_frame.was_used(&self.core().memory, pfn),
            PageAlloc::Buddy => true,
        }
    }

    /// The frames that somebody has, in order.
    pub(crate) fn taken_frames(&self) -> Box<dyn Iterator<Item = Pfn> + '_> {
        match self.config.setting::<PageAlloc>() {
            PageAlloc::AnyFrame => Box::new(self.any_frame.taken(&self.core().memory)),
            PageAlloc::Buddy => Box::new(self.mem_map.pfns().filter(|pfn| !self.is_free(Page(*pfn)))),
        }
    }

    /// `page->_refcount`.
    pub fn refcount(&self, page: Page) -> Shared<u64> {
        self.page(page).refcount()
    }

    /// `page->_mapcount`, counted from 0.
    pub fn mapcount(&self, page: Page) -> Shared<u64> {
        self.page(page).mapcount()
    }

    /// `folio->flags`: a tail page has those of its head.
    pub fn page_flags(&self, page: Page) -> Shared<PageFlags> {
        self.page(self.folio_of(page)).flags()
    }

    /// `page->flags` of the very page: each page of a folio has a `PG_anon_exclusive` of its own. If one entry maps all of the folio, that
    /// of the head counts.
    pub fn own_flags(&self, page: Page) -> Shared<PageFlags> {
        self.page(page).flags()
    }

    /// `page->ptl` of a table: guards its entries.
    pub fn ptl(&self, table: Pfn) -> SpinLock {
        self.page(Page(table)).ptl()
    }

    /// Keeps a count within the machine's width.
    pub(crate) fn wrap_refcount(&self, count: u64) -> u64 {
        count & (u64::MAX >> (64 - self.config.refcount_bits))
    }
}
