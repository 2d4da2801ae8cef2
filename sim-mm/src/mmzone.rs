//! `include/linux/mmzone.h`: descriptors of pages, zones, their lists of free blocks, and the lists of each CPU.

use std::ops::Range;

use sim_core::{Array, CpuId, Field, Loc, Memory, MemoryBuilder, Shared, SpinLock, Word, record};
use sim_mmu::Pfn;

use crate::gfp::Gfp;
use crate::mm_types::PageDescriptor;
use crate::settings::{MovableZone, Nodes};

/// `MAX_ORDER`, `MAX_PAGE_ORDER` since v6.8: the largest block has two to the power of this many frames.
pub(crate) const MAX_ORDER: u8 = 10;

/// The first frame above 4 GiB: there the zone NORMAL begins.
pub const FIRST_HIGH_FRAME: u64 = 1 << 20;

/// The descriptors of all pages: frames from 0 on, then those from 4 GiB on.
#[derive(Clone, Copy, Debug)]
pub struct MemMap {
    pages: Array<PageDescriptor>,
    low: u64,
    high: u64,
    nodes: Nodes,
    movable: MovableZone,
    /// How many of the last frames are a device's. They are in no zone.
    device: u64,
}

impl MemMap {
    pub(crate) fn new(
        memory: &mut MemoryBuilder,
        frames: u64,
        high: u64,
        (nodes, movable): (Nodes, MovableZone),
        device: u64,
    ) -> MemMap {
        let pages = memory.array("page", frames as usize + 1);
        MemMap { pages, low: frames - high, high, nodes, movable, device }
    }

    /// The frames of the device, if there is one.
    pub(crate) fn device(self) -> Range<u64> {
        let end = if self.has_high() { FIRST_HIGH_FRAME + self.high } else { self.low };
        end - self.device..end
    }

    /// The word that tells whether the descriptors of the device's frames are there. They come and go together.
    pub(crate) fn come_and_go(self, memory: &mut MemoryBuilder) -> Shared<u64> {
        const NAME: &str = "mem_map.online";
        if self.device == 0 {
            return Shared::at(memory.words(NAME, 1));
        }
        memory.come_and_go(NAME, &self.pages, (self.frames() - self.device) as usize, self.device as usize)
    }

    /// `page_to_nid()`.
    pub(crate) fn node(self, pfn: Pfn) -> u64 {
        u64::from(self.nodes == Nodes::Two && pfn.0 >= FIRST_HIGH_FRAME)
    }

    /// Whether an allocation takes a frame of another zone only where its first zone has none. CPUs are of node 0.
    pub(crate) fn prefers_first_zone(self) -> bool {
        self.nodes == Nodes::Two || self.movable == MovableZone::On
    }

    /// Whether a frame is in the zone MOVABLE: `is_zone_movable_page()`.
    pub fn is_zone_movable(self, pfn: Pfn) -> bool {
        self.movable == MovableZone::On && pfn.0 >= FIRST_HIGH_FRAME
    }

    /// How many frames there are.
    pub fn frames(self) -> u64 {
        self.low + self.high
    }

    /// Whether there are frames above 4 GiB.
    pub(crate) fn has_high(self) -> bool {
        self.high > 0
    }

    /// The place of a frame among all, if memory has it.
    pub fn slot(self, pfn: Pfn) -> Option<u64> {
        if pfn.0 < self.low {
            return Some(pfn.0);
        }
        pfn.0.checked_sub(FIRST_HIGH_FRAME).filter(|high| *high < self.high).map(|high| self.low + high)
    }

    /// The frame at a place.
    pub fn pfn(self, slot: u64) -> Pfn {
        Pfn(slot.checked_sub(self.low).map_or(slot, |high| FIRST_HIGH_FRAME + high))
    }

    /// The first place of the zone that a place is in.
    pub(crate) fn first_of_zone(self, slot: u64) -> u64 {
        if slot < self.low { 0 } else { self.low }
    }

    /// The frames in order.
    pub fn pfns(self) -> impl Iterator<Item = Pfn> {
        (0..self.low).chain(FIRST_HIGH_FRAME..FIRST_HIGH_FRAME + self.high).map(Pfn)
    }

    /// `pfn_to_page()`. A frame number that memory does not have leads to a descriptor that nobody owns: the last.
    pub(crate) fn page(self, pfn: Pfn) -> PageDescriptor {
        self.pages.at(self.slot(pfn).unwrap_or(self.frames()) as usize)
    }

    /// Whether an allocation may take frames above 4 GiB.
    fn allows_high(self, gfp: Gfp) -> bool {
        gfp.allows_high() && (self.movable == MovableZone::Off || gfp.contains(Gfp::MOVABLE))
    }

    /// The frames of the zones that an allocation may use, in the order in which it tries them: `node_zonelist()`.
    pub(crate) fn zonelist(self, gfp: Gfp) -> impl Iterator<Item = Range<u64>> {
        let up_to = |end: u64| if end == self.device().end { self.device().start } else { end };
        let normal = FIRST_HIGH_FRAME..up_to(FIRST_HIGH_FRAME + self.high);
        let normal = Some(normal).filter(|_| self.has_high() && self.allows_high(gfp));
        let low = Some(0..up_to(self.low)).filter(|_| gfp.allows_low());
        let zones = if self.nodes == Nodes::Two { [low, normal] } else { [normal, low] };
        zones.into_iter().flatten()
    }
}

/// A `struct list_head` of pages, and how many they are. The pages are linked by their `lru`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageList(Loc);

impl Field for PageList {
    const WORDS: u32 = 3;
    const PARTS: &'static [&'static str] = &[".next", ".prev", ".nr"];
    fn at(loc: Loc) -> PageList {
        PageList(loc)
    }
}

impl PageList {
    fn next(self) -> Loc {
        self.0
    }

    fn prev(self) -> Loc {
        self.0.offset(1)
    }

    fn nr(self) -> Loc {
        self.0.offset(2)
    }
}

record! {
    /// `struct free_area`: the free blocks of one order.
    pub(crate) struct FreeArea {
        pub(crate) free_list: PageList = "free_list";
    }
}

record! {
    /// `struct per_cpu_pages`: frames that a CPU keeps for its next allocations.
    pub(crate) struct PerCpuPages {
        /// `lock`, since v6.0. Before, the CPU had its interrupts off, and no other CPU emptied the list.
        pub(crate) lock: SpinLock = "lock";
        pub(crate) list: PageList = "list";
    }
}

/// `struct zone`.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(crate) frames: Range<u64>,
    pub(crate) lock: SpinLock,
    free_area: Array<FreeArea>,
    pcp: Array<PerCpuPages>,
    movable: bool,
}

impl Zone {
    /// The zones of a machine, in the order in which an allocation tries them.
    pub(crate) fn all(memory: &mut MemoryBuilder, mem_map: MemMap, cpus: usize) -> Vec<Zone> {
        let zone = |frames: Range<u64>| {
            let movable = mem_map.is_zone_movable(Pfn(frames.start));
            let high = if movable { "MOVABLE" } else { "NORMAL" };
            let name = if frames.start == 0 { "DMA32" } else { high };
            Zone {
                frames,
                movable,
                lock: memory.alone(format!("zone.{name}.lock")),
                free_area: memory.array(format!("zone.{name}.free_area"), usize::from(MAX_ORDER) + 1),
                pcp: memory.array(format!("zone.{name}.per_cpu_pageset"), cpus),
            }
        };
        mem_map.zonelist(Gfp::MOVABLE).map(zone).collect()
    }

    /// The free blocks of an order.
    pub(crate) fn free_list(&self, order: u8) -> PageList {
        self.free_area.at(usize::from(order)).free_list()
    }

    /// The list of a CPU.
    pub(crate) fn pcp(&self, cpu: CpuId) -> PerCpuPages {
        self.pcp.at(cpu.index())
    }

    /// Whether a frame is of this zone.
    pub(crate) fn contains(&self, pfn: Pfn) -> bool {
        self.frames.contains(&pfn.0)
    }

    /// Whether an allocation may use this zone.
    pub(crate) fn allows(&self, gfp: Gfp) -> bool {
        if self.frames.start == 0 {
            gfp.allows_low()
        } else {
            gfp.allows_high() && (!self.movable || gfp.contains(Gfp::MOVABLE))
        }
    }

    /// `zone_batchsize()`: how many frames a CPU takes at once, and gives back at once. A zone of Linux has thousands of
    /// times more frames, so that here the share is larger: two of 64 frames, and at most 63.
    pub(crate) fn pcp_batch(&self) -> u64 {
        ((self.frames.end - self.frames.start) / 32).clamp(1, 63)
    }

    /// `pcp->high`: as soon as a CPU keeps that many frames, it gives some back. Before v5.14 it was six batches.
    pub(crate) fn pcp_high(&self) -> u64 {
        6 * self.pcp_batch()
    }
}

/// Lists of pages as they stand in memory: `include/linux/list.h`. A link is one more than a frame number, and zero at an end.
#[derive(Clone, Copy)]
pub(crate) struct Lists<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) mem_map: MemMap,
}

impl Lists<'_> {
    fn link(self, word: Loc) -> Option<Pfn> {
        self.memory.get(word).checked_sub(1).map(Pfn)
    }

    fn set_link(self, word: Loc, to: Option<Pfn>) {
        self.memory.set(word, to.map_or(0, |pfn| pfn.0 + 1));
    }

    fn page(self, pfn: Pfn) -> PageDescriptor {
        self.mem_map.page(pfn)
    }

    /// A field of a page.
    pub(crate) fn get<T: Word>(self, field: Shared<T>) -> T {
        T::from_word(self.memory.get(field.loc()))
    }

    /// Sets a field of a page.
    pub(crate) fn set<T: Word>(self, field: Shared<T>, value: T) {
        self.memory.set(field.loc(), value.into_word());
    }

    /// `list_first_entry_or_null()`.
    pub(crate) fn first(self, list: PageList) -> Option<Pfn> {
        self.link(list.next())
    }

    /// `list_last_entry()`.
    pub(crate) fn last(self, list: PageList) -> Option<Pfn> {
        self.link(list.prev())
    }

    /// The page behind another one.
    pub(crate) fn next(self, pfn: Pfn) -> Option<Pfn> {
        self.link(self.page(pfn).lru().loc())
    }

    /// How many pages are on the list.
    pub(crate) fn count(self, list: PageList) -> u64 {
        self.memory.get(list.nr())
    }

    /// `list_add()`: to the front.
    pub(crate) fn add(self, list: PageList, pfn: Pfn) {
        self.insert(list, None, pfn, self.first(list));
    }

    /// `list_add_tail()`.
    pub(crate) fn add_tail(self, list: PageList, pfn: Pfn) {
        self.insert(list, self.last(list), pfn, None);
    }

    fn insert(self, list: PageList, before: Option<Pfn>, pfn: Pfn, behind: Option<Pfn>) {
        self.join(list, before, Some(pfn));
        self.join(list, Some(pfn), behind);
        self.memory.set(list.nr(), self.count(list) + 1);
    }

    /// `list_del()`.
    pub(crate) fn del(self, list: PageList, pfn: Pfn) {
        let [next, prev] = [self.page(pfn).lru().loc(), self.page(pfn).lru_prev().loc()];
        self.join(list, self.link(prev), self.link(next));
        self.set_link(next, None);
        self.set_link(prev, None);
        self.memory.set(list.nr(), self.count(list) - 1);
    }

    /// Makes two pages neighbours. No page is the list itself.
    fn join(self, list: PageList, one: Option<Pfn>, other: Option<Pfn>) {
        let next = one.map_or(list.next(), |pfn| self.page(pfn).lru().loc());
        let prev = other.map_or(list.prev(), |pfn| self.page(pfn).lru_prev().loc());
        self.set_link(next, other);
        self.set_link(prev, one);
    }
}
