//! Page tables as they are in memory. They are read without a step of the machine.

use std::collections::BTreeMap;

use sim_core::Loc;
use sim_mm::{FrameUse, Kernel, MmId, Page, Reach, SwpEntry, TableFree, is_guard, part_of_huge};
use sim_mmu::{Entry, Level, Pfn};

use crate::Machine;
use crate::model::Memory;

/// A table below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    pub frame: Pfn,
    /// The level of its entries.
    pub level: Level,
    /// The first page that it can map, and how many.
    pub page: u64,
    pub pages: u64,
}

/// The page tables of an address space.
#[derive(Debug, Default)]
pub struct Space {
    pub tables: Vec<Table>,
    /// The entries that are not none, by page. What an entry of a huge page is to each of its pages stands here.
    pub leaves: BTreeMap<u64, Entry>,
    /// The first frames of the huge pages that single entries map.
    pub huge: Vec<Pfn>,
    /// The page tables that are kept for their split.
    pub deposited: usize,
}

impl Space {
    pub fn of(kernel: &Kernel, mm: MmId) -> Space {
        let mut space = Space::default();
        let root = kernel.core().memory.get(kernel.mm(mm).pgd().loc());
        space.visit(kernel, Pfn(root), &Level::WALK, 0);
        space
    }

    fn visit(&mut self, kernel: &Kernel, table: Pfn, levels: &[Level], page: u64) {
        let Some((level, below)) = levels.split_first() else { return };
        let span = kernel.mmu.geometry.span(*level) >> 12;
        if *level == Level::Pmd {
            self.deposited += kernel.deposited(table).count();
        }
        for index in 0..kernel.mmu.geometry.entries(*level) {
            let entry = Entry(kernel.core().memory.get(kernel.mmu.phys.entry(table, index).loc()));
            let page = page + u64::from(index) * span;
            if entry.is_none() {
                continue;
            }
            if *level == Level::Pmd && entry.has(Entry::PAGE_SIZE) {
                self.leaves.extend((0..span).map(|nth| (page + nth, part_of_huge(entry, nth))));
                if !entry.has(Entry::SPECIAL) {
                    self.huge.push(entry.pfn());
                }
                continue;
            }
            match below.first() {
                None => {
                    self.leaves.insert(page, entry);
                }
                Some(next) => {
                    self.tables.push(Table { frame: entry.pfn(), level: *next, page, pages: span });
                    self.visit(kernel, entry.pfn(), below, page);
                }
            }
        }
    }
}

impl Machine {
    /// The page tables of an address space.
    pub fn space(&self, mm: MmId) -> Space {
        Space::of(&self.kernel, mm)
    }

    /// The frame that a page is mapped to.
    pub fn frame_of(&self, mm: MmId, page: u64) -> Option<Pfn> {
        self.space(mm).leaves.get(&page).map(|entry| entry.pfn())
    }

    /// The word that holds the PTE of a page, if there is a table for it.
    pub fn slot_of(&self, mm: MmId, page: u64) -> Option<Loc> {
        let space = self.space(mm);
        let covers =
            |table: &&Table| table.level == Level::Pte && (table.page..table.page + table.pages).contains(&page);
        let table = space.tables.iter().find(covers)?;
        Some(self.kernel.mmu.phys.entry(table.frame, (page - table.page) as u32).loc())
    }

    /// `_refcount` of a frame.
    pub fn refcount(&self, pfn: Pfn) -> u64 {
        self.kernel.core().memory.get(self.kernel.refcount(Page(pfn)).loc())
    }

    /// `_mapcount` of a frame.
    pub fn mapcount(&self, pfn: Pfn) -> u64 {
        self.kernel.mapcount_now(Page(pfn))
    }

    /// Whether page tables, contents and counts are exactly those that these processes would have made, with nothing under
    /// way.
    pub fn check_processes(&self, processes: &[(MmId, &Memory)]) -> Result<(), String> {
        let mut tables = 0;
        // By frame, the entries that map it, and those that map the huge page which it begins.
        let mut mappings = BTreeMap::<Pfn, u64>::new();
        let mut entire = BTreeMap::<Pfn, u64>::new();
        for (mm, memory) in processes {
            let space = self.space(*mm);
            tables += space.tables.len() + space.deposited + 1;
            for head in &space.huge {
                *entire.entry(*head).or_default() += 1;
            }
            for table in &space.tables {
                if !memory.maps_any(table.page, table.pages) {
                    return Err(format!("{mm:?} keeps {table:?}, but maps nothing there"));
                }
            }
            for (page, entry) in &space.leaves {
                if is_guard(*entry) {
                    if memory.page(*page).is_none_or(|of| !of.guard) {
                        return Err(format!("page {page} of {mm:?} is guarded, and should not be"));
                    }
                    continue;
                }
                if SwpEntry::of_pte(*entry).is_some() {
                    // What the slot holds shows when the page is read.
                    if memory.page(*page).is_none_or(|of| of.guard) {
                        return Err(format!("page {page} of {mm:?} is in swap, and should not be there"));
                    }
                    continue;
                }
                self.check_leaf(memory, *page, *entry)
                    .map_err(|wrong| format!("page {page} of {mm:?} {wrong}"))?;
                if !entry.has(Entry::SPECIAL) {
                    *mappings.entry(entry.pfn()).or_default() += 1;
                }
            }
            if let Some(page) = memory.written().find(|page| !space.leaves.contains_key(page)) {
                return Err(format!("page {page} of {mm:?} is lost"));
            }
        }
        let made: Vec<_> = self.watch.allocated();
        let (data, others): (Vec<_>, Vec<_>) = made.into_iter().partition(|(_, used)| *used == FrameUse::Data);
        // Tables whose grace period is not over are still allocated.
        let wait = self.kernel.config.setting::<TableFree>() == TableFree::RcuSched;
        if others.len() < tables || others.len() > tables && !wait {
            return Err(format!("{tables} tables are in use, but these are allocated: {others:?}"));
        }
        let mut reach = Reach::default();
        reach.walk(&self.kernel).map_err(|wrong| wrong.to_string())?;
        for (pfn, _) in data {
            let mapped = mappings.get(&pfn).copied().unwrap_or(0);
            // An entry that maps a huge page has one reference to its first frame, and none to the others.
            let frames = self.kernel.folio_frames(Page(pfn));
            let pages = frames.end.0 - frames.start.0;
            let entire = entire.get(&frames.start).copied().unwrap_or(0);
            let of_all: u64 = mappings.range(frames.clone()).map(|(_, mapped)| mapped).sum();
            let entries = of_all - entire * (pages - 1).min(of_all);
            let held = reach.held(frames.clone());
            let references = if pfn == frames.start { entries + held } else { 0 };
            let counts = (self.refcount(pfn), self.mapcount(pfn));
            if entries + held == 0 || counts != (references, mapped) {
                return Err(format!(
                    "{pfn} of {frames:?} is mapped {mapped} times and held {held} times, its _refcount and _mapcount are {counts:?}"
                ));
            }
        }
        for (pfn, _) in self.watch.allocated() {
            mappings.remove(&pfn);
        }
        if mappings.is_empty() { Ok(()) } else { Err(format!("mapped, but not allocated: {mappings:?}")) }
    }

    fn check_leaf(&self, memory: &Memory, page: u64, entry: Entry) -> Result<(), String> {
        let Some(expected) = memory.page(page) else { return Err(format!("is not mapped, but has {entry}")) };
        let word = |index| self.kernel.core().memory.get(self.kernel.mmu.phys.word(entry.pfn(), index));
        if expected.guard {
            return Err(format!("has {entry}, and should be guarded"));
        }
        let contents = [word(0), word(1)];
        if contents != expected.words {
            return Err(format!("is {:?}, but {entry} holds {contents:?}", expected.words));
        }
        let huge_zero = self.kernel.huge_zero_page() == Some(self.kernel.folio_of(Page(entry.pfn())));
        if entry.has(Entry::SPECIAL) != (entry.pfn() == self.kernel.zero_page.0 || huge_zero) {
            return Err(format!("has {entry}: only the zero page is special"));
        }
        if entry.has(Entry::RW) && (!expected.writable || entry.has(Entry::SPECIAL)) {
            return Err(format!("has {entry}, but must not be written"));
        }
        if entry.has(Entry::RW) && expected.shared.is_none() && self.mapcount(entry.pfn()) != 1 {
            return Err(format!("has {entry}, but that frame is shared"));
        }
        Ok(())
    }
}
