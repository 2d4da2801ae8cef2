//! What is behind pages, for those who only look: the disk, and the swap area.

use std::ops::Range;

use sim_mmu::Pfn;

use crate::event::SharedPage;
use crate::fs::Inode;
use crate::kernel::Kernel;
use crate::mm_types::Page;
use crate::page_flags::PageFlags;
use crate::swap_info::page_of_word;
use crate::swapops::SwpEntry;

impl Kernel {
    /// Whether the machine has a disk.
    pub fn has_disk(&self) -> bool {
        self.disk.len() > 0
    }

    /// Whether the file in a slot is on the disk: for those who only look.
    pub fn is_on_disk(&self, file: u32) -> bool {
        self.core().memory.get(self.shmem.inodes.record(file as usize).on_disk().loc()) != 0
    }

    /// Whether a file has this very page there: for the same.
    pub fn is_cached(&self, at: SharedPage, page: Page) -> bool {
        self.shmem.has(at, page)
    }

    /// The pages of files on the disk that are in memory and are not what their block holds: for those who look at the machine when
    /// nothing is going on.
    pub fn differ_from_disk(&self) -> Vec<(Page, SharedPage)> {
        if !self.has_disk() {
            return Vec::new();
        }
        let memory = &self.core().memory;
        let is_read = |page: Page| {
            PageFlags::from_bits_retain(memory.get(self.page_flags(page).loc())).contains(PageFlags::UPTODATE)
        };
        let pages = self.shmem.cached().into_iter().filter_map(|(at, has)| Some((at, has.page()?)));
        let cached = pages.filter(|(at, page)| self.is_on_disk(at.file) && is_read(*page));
        cached.filter(|(at, page)| self.differs_from_disk(*at, *page)).map(|(at, page)| (page, at)).collect()
    }

    /// Whether a page of a file on the disk is not what its block holds, or a hole: for those who look between two steps.
    pub fn differs_from_disk(&self, at: SharedPage, page: Page) -> bool {
        let memory = &self.core().memory;
        let block = self.disk.block_now(at.file, at.index).map(|block| self.disk.contents(block));
        (0..self.mmu.phys.words_per_frame()).any(|nth| {
            let kept = block.map_or(0, |block| memory.get(block.offset(nth)));
            memory.get(self.mmu.phys.word(page.0, nth)) != kept
        })
    }

    /// How many slots the swap area has; none on a machine without swap.
    pub fn swap_slots(&self) -> u64 {
        self.swap.len()
    }

    /// The frame of the page that the swap cache has of a slot now: for those who only look.
    pub fn swap_cache_page(&self, slot: SwpEntry) -> Option<Pfn> {
        let word = self.core().memory.get(self.swap.slot(slot).cached().loc());
        page_of_word(word).map(|page| page.0)
    }

    /// `i_size` of a file now, in pages. For the same.
    pub fn file_pages(&self, file: Inode) -> u64 {
        self.core().memory.get(self.shmem.inodes.record(file.index()).i_size().loc())
    }

    /// `shmem_partial_swap_usage()`: which of these pages of a file are in swap now. For those who only look.
    pub fn shmem_swapped(&self, file: Inode, pages: Range<u64>) -> Vec<u64> {
        let i_pages = self.shmem.i_pages(file).peek();
        i_pages.range(pages).filter(|(_, has)| has.page().is_none()).map(|(index, _)| *index).collect()
    }
}
