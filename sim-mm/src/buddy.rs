//! Blocks of free frames and the lists of each CPU: what `mm/page_alloc.c` does under `zone->lock` and `pcp->lock`.
//!
//! A block of order `n` has two to the power of `n` frames, and its first frame number is a multiple of that. The two
//! halves of a block are buddies: their numbers differ in one bit.

use sim_core::Memory;
use sim_mmu::Pfn;

use crate::mmzone::{Lists, MAX_ORDER, MemMap, PerCpuPages, Zone};
use crate::page_flags::PageType;

/// When a free block is used: at which end of its list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    Soon,
    Late,
}

impl Zone {
    /// `memblock_free_all()`: all frames from `from` on are free, in the largest blocks that there are.
    pub(crate) fn free_all(&self, memory: &Memory, mem_map: MemMap, from: u64) {
        let lists = Lists { memory, mem_map };
        let mut start = self.frames.start.max(from);
        while start < self.frames.end {
            let aligned = if start == 0 { MAX_ORDER } else { start.trailing_zeros().min(MAX_ORDER.into()) as u8 };
            let order = (0..=aligned).rfind(|order| start + (1 << order) <= self.frames.end).unwrap_or(0);
            self.__free_one_page(lists, Pfn(start), order);
            start += 1 << order;
        }
    }

    fn add_to_free_list(&self, lists: Lists<'_>, pfn: Pfn, order: u8, used: Used) {
        let page = lists.mem_map.page(pfn);
        // set_buddy_order()
        lists.set(page.private(), u64::from(order));
        lists.set(page.page_type(), PageType::Buddy);
        match used {
            Used::Soon => lists.add(self.free_list(order), pfn),
            Used::Late => lists.add_tail(self.free_list(order), pfn),
        }
    }

    fn del_page_from_free_list(&self, lists: Lists<'_>, pfn: Pfn, order: u8) {
        let page = lists.mem_map.page(pfn);
        lists.del(self.free_list(order), pfn);
        lists.set(page.page_type(), PageType::Free);
        lists.set(page.private(), 0);
    }

    /// `__rmqueue_smallest()`: a block of this order, from the smallest block that is large enough.
    pub(crate) fn __rmqueue_smallest(&self, lists: Lists<'_>, order: u8) -> Option<Pfn> {
        let (pfn, current) = (order..=MAX_ORDER)
            .find_map(|current| lists.first(self.free_list(current)).map(|pfn| (pfn, current)))?;
        self.del_page_from_free_list(lists, pfn, current);
        self.expand(lists, pfn, order, current);
        Some(pfn)
    }

    /// `expand()`: of a block of order `high` the first `low` is used; the rest goes back as blocks, the larger ones behind.
    fn expand(&self, lists: Lists<'_>, pfn: Pfn, low: u8, high: u8) {
        for order in (low..high).rev() {
            self.add_to_free_list(lists, Pfn(pfn.0 + (1 << order)), order, Used::Soon);
        }
    }

    /// `find_buddy_page_pfn()`: the other half of a block twice as large, if it is free in one piece.
    fn find_buddy(&self, lists: Lists<'_>, pfn: Pfn, order: u8) -> Option<Pfn> {
        let buddy = Pfn(pfn.0 ^ (1 << order));
        let page = lists.mem_map.page(buddy);
        // page_is_buddy()
        let is_buddy = self.contains(buddy)
            && lists.get(page.page_type()) == PageType::Buddy
            && lists.get(page.private()) == u64::from(order);
        is_buddy.then_some(buddy)
    }

    /// `__free_one_page()`: a block is free, and is merged with its buddy as long as that is free as well.
    pub(crate) fn __free_one_page(&self, lists: Lists<'_>, mut pfn: Pfn, mut order: u8) {
        while order < MAX_ORDER
            && let Some(buddy) = self.find_buddy(lists, pfn, order)
        {
            self.del_page_from_free_list(lists, buddy, order);
            pfn = pfn.min(buddy);
            order += 1;
        }
        // buddy_merge_likely(): if the block above only waits for the buddy of this one, this one is to be used late.
        let above = Pfn(pfn.0 & !(1 << order));
        let merge_likely = order + 1 < MAX_ORDER && self.find_buddy(lists, above, order + 1).is_some();
        self.add_to_free_list(lists, pfn, order, if merge_likely { Used::Late } else { Used::Soon });
    }

    /// `rmqueue_bulk()`: a batch of single frames for a CPU. The first is used first.
    pub(crate) fn rmqueue_bulk(&self, lists: Lists<'_>, pcp: PerCpuPages) {
        for _ in 0..self.pcp_batch() {
            let Some(pfn) = self.__rmqueue_smallest(lists, 0) else { break };
            lists.add_tail(pcp.list(), pfn);
        }
    }

    /// `free_pcppages_bulk()`: so many frames of a CPU go back, those first that were freed longest ago.
    pub(crate) fn free_pcppages_bulk(&self, lists: Lists<'_>, pcp: PerCpuPages, count: u64) {
        for _ in 0..count {
            let Some(pfn) = lists.last(pcp.list()) else { break };
            lists.del(pcp.list(), pfn);
            self.__free_one_page(lists, pfn, 0);
        }
    }
}
