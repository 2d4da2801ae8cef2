//! What must hold of the lists of free frames when nothing is going on: each frame is in use, or on one list, in the
//! largest block that there could be.

use sim_mmu::Pfn;

use crate::kernel::Kernel;
use crate::miscount::Miscount;
use crate::mm_types::Page;
use crate::mmzone::{Lists, MAX_ORDER, PageList, Zone};
use crate::page_flags::PageType;

/// The frames that some list has, by their place.
struct Seen<'k> {
    kernel: &'k Kernel,
    lists: Lists<'k>,
    free: Vec<bool>,
}

impl Seen<'_> {
    /// The blocks of a list, each of which no other has.
    fn blocks(&mut self, list: PageList, order: u8) -> Result<Vec<Pfn>, Miscount> {
        let mut blocks = Vec::new();
        let mut next = self.lists.first(list);
        while let Some(first) = next {
            for pfn in first.0..first.0 + (1 << order) {
                let page = Page(Pfn(pfn));
                let slot = self.lists.mem_map.slot(page.0).filter(|slot| !self.free[*slot as usize]);
                let slot = slot.filter(|_| self.kernel.is_free(page)).ok_or(Miscount::FreeTwice { page })?;
                self.free[slot as usize] = true;
            }
            blocks.push(first);
            next = self.lists.next(first);
        }
        let count = self.lists.count(list);
        if count == blocks.len() as u64 { Ok(blocks) } else { Err(Miscount::FreeCount { order, count }) }
    }

    /// The blocks of an order: none has a free buddy.
    fn free_area(&mut self, zone: &Zone, order: u8) -> Result<(), Miscount> {
        let blocks = self.blocks(zone.free_list(order), order)?;
        for first in &blocks {
            let page = self.lists.mem_map.page(*first);
            let is_block = self.lists.get(page.page_type()) == PageType::Buddy
                && self.lists.get(page.private()) == u64::from(order)
                && first.0.is_multiple_of(1 << order);
            let has_buddy = order < MAX_ORDER && blocks.contains(&Pfn(first.0 ^ (1 << order)));
            if !is_block || has_buddy {
                return Err(Miscount::NoBlock { page: Page(*first), order });
            }
        }
        Ok(())
    }
}

impl Kernel {
    /// Recounts the free frames, if there are lists of them.
    pub(crate) fn check_free_lists(&self) -> Result<(), Miscount> {
        if self.zones.is_empty() {
            return Ok(());
        }
        let lists = Lists { memory: &self.core().memory, mem_map: self.mem_map };
        let free = vec![false; self.mem_map.frames() as usize];
        let mut seen = Seen { kernel: self, lists, free };
        for zone in &self.zones {
            for order in 0..=MAX_ORDER {
                seen.free_area(zone, order)?;
            }
            for cpu in sim_core::CpuId::all(self.config.cpus) {
                seen.blocks(zone.pcp(cpu).list(), 0)?;
            }
        }
        let lost = self.mem_map.pfns().zip(&seen.free).find(|(pfn, free)| self.is_free(Page(*pfn)) && !**free);
        lost.map_or(Ok(()), |(pfn, _)| Err(Miscount::FreeLost { page: Page(pfn) }))
    }
}
