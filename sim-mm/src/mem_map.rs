//! `mem_map`: the descriptors of all pages.

use sim_core::{Shared, SpinLock};
use sim_mmu::Pfn;

use crate::kernel::Kernel;
use crate::mm_types::{Page, PageDescriptor};
use crate::page_flags::PageFlags;

impl Kernel {
    /// The descriptor of a page.
    pub fn page(&self, page: Page) -> PageDescriptor {
        // A frame number that memory does not have leads to a descriptor that nobody owns: the last.
        self.pages.at(page.0.0.min(self.mmu.phys.frames()) as usize)
    }

    /// `page->_refcount`.
    pub fn refcount(&self, page: Page) -> Shared<u64> {
        self.page(page).refcount()
    }

    /// `page->_mapcount`, counted from 0.
    pub fn mapcount(&self, page: Page) -> Shared<u64> {
        self.page(page).mapcount()
    }

    /// `page->flags`.
    pub fn page_flags(&self, page: Page) -> Shared<PageFlags> {
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
