//! The allocator in which the next frame is a choice ([`PageAlloc::AnyFrame`](crate::PageAlloc::AnyFrame)): which frames
//! are free.
//!
//! The free list is one location: whoever takes from it or gives to it holds the zone lock, so each of the two is one
//! step. Frames of a zone that were never used are alike, so only the first block of them is offered.

use sim_core::{Loc, Memory, MemoryBuilder};
use sim_mmu::Pfn;

use crate::gfp::Gfp;
use crate::mmzone::MemMap;

/// A lock word, then a bit for each frame that is free, then one for each that was ever used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnyFrame {
    pub(crate) lock: Loc,
    free: Loc,
    used: Loc,
    words: u32,
    mem_map: MemMap,
}

impl AnyFrame {
    pub(crate) fn new(memory: &mut MemoryBuilder, mem_map: MemMap) -> AnyFrame {
        let words = mem_map.frames().div_ceil(64) as u32;
        AnyFrame {
            lock: memory.words("zone.free_list", 1),
            free: memory.words("zone.free_bits", words as usize),
            used: memory.words("zone.used_bits", words as usize),
            words,
            mem_map,
        }
    }

    /// Frees every frame. Once, when the machine is built.
    pub(crate) fn fill(&self, memory: &Memory) {
        for slot in 0..self.mem_map.frames() {
            flip(memory, self.free, slot);
        }
    }

    /// Takes a frame that must never be handed out. Once, when the machine is built.
    pub(crate) fn reserve(&self, memory: &Memory, pfn: Pfn) {
        self.take(memory, pfn, 0);
    }

    /// Whether a frame is free.
    pub(crate) fn is_free(&self, memory: &Memory, pfn: Pfn) -> bool {
        self.mem_map.slot(pfn).is_some_and(|slot| is_set(memory, self.free, slot))
    }

    /// Whether a frame was ever taken off the list.
    pub(crate) fn was_used(&self, memory: &Memory, pfn: Pfn) -> bool {
        self.mem_map.slot(pfn).is_some_and(|slot| is_set(memory, self.used, slot))
    }

    /// The frames that are not free, in order.
    pub(crate) fn taken(&self, memory: &Memory) -> impl Iterator<Item = Pfn> {
        let places = (0..self.words).flat_map(|w| {
            // What was never used is free.
            let mut rest = memory.get(self.used.offset(w)) & !memory.get(self.free.offset(w));
            std::iter::from_fn(move || {
                let first = (rest != 0).then(|| frame(w, rest));
                rest &= rest.wrapping_sub(1);
                first
            })
        });
        places.map(|place| self.mem_map.pfn(place.0))
    }

    /// Puts the frames of a block back. A frame that is free already, or that memory does not have, is the oracle's to judge.
    pub(crate) fn put(&self, memory: &Memory, pfn: Pfn, order: u8) {
        for slot in (pfn.0..pfn.0 + (1 << order)).filter_map(|pfn| self.mem_map.slot(Pfn(pfn))) {
            if !is_set(memory, self.free, slot) {
                flip(memory, self.free, slot);
            }
        }
    }

    /// Takes a block off the list. `choose` says which of so many.
    pub(crate) fn rmqueue(
        &self,
        memory: &Memory,
        order: u8,
        gfp: Gfp,
        choose: impl FnOnce(usize) -> usize,
    ) -> Option<Pfn> {
        let pfn = if order == 0 && !self.mem_map.has_high() {
            self.choose(memory, choose)?
        } else {
            let candidates = self.blocks(memory, order, gfp);
            *candidates.get((!candidates.is_empty()).then(|| choose(candidates.len()))?)?
        };
        self.take(memory, pfn, order);
        Some(pfn)
    }

    fn take(&self, memory: &Memory, pfn: Pfn, order: u8) {
        let Some(first) = self.mem_map.slot(pfn) else { return };
        let end = first + (1 << order);
        (first..end).for_each(|slot| flip(memory, self.free, slot));
        // Frames that alignment passed over count as used: what was never used lies behind.
        let passed = if order == 0 { first } else { self.mem_map.first_of_zone(first) };
        (passed..end)
            .filter(|slot| !is_set(memory, self.used, *slot))
            .for_each(|slot| flip(memory, self.used, slot));
    }

    /// A free frame of a machine with one zone. `choose` answers which of so many: the first that was never used, then those
    /// that were.
    fn choose(&self, memory: &Memory, choose: impl FnOnce(usize) -> usize) -> Option<Pfn> {
        let (mut fresh, mut used_before) = (None, 0);
        for w in 0..self.words {
            let (free, used) = (memory.get(self.free.offset(w)), memory.get(self.used.offset(w)));
            used_before += (free & used).count_ones() as usize;
            if used != u64::MAX {
                // Frames are used in order, so behind the first that was never used there is none that was.
                let never = free & !used;
                fresh = (never != 0).then(|| frame(w, never));
                break;
            }
        }
        let count = used_before + usize::from(fresh.is_some());
        if count == 0 {
            return None;
        }
        let chosen = choose(count);
        match fresh {
            Some(fresh) if chosen == 0 => Some(fresh),
            _ => self.nth_used(memory, chosen - usize::from(fresh.is_some())),
        }
    }

    /// One of the free frames that were used before.
    fn nth_used(&self, memory: &Memory, mut n: usize) -> Option<Pfn> {
        for w in 0..self.words {
            let mut set = memory.get(self.free.offset(w)) & memory.get(self.used.offset(w));
            let here = set.count_ones() as usize;
            if n < here {
                (0..n).for_each(|_| set &= set - 1);
                return Some(frame(w, set));
            }
            n -= here;
        }
        None
    }

    /// The free blocks to choose from: of each zone the first that was never used, and those of which a frame was.
    fn blocks(&self, memory: &Memory, order: u8, gfp: Gfp) -> Vec<Pfn> {
        let mut found = Vec::new();
        for zone in self.mem_map.zonelist(gfp) {
            let first = zone.start.next_multiple_of(1 << order);
            let slots = |pfn: u64| (pfn..pfn + (1 << order)).filter_map(|pfn| self.mem_map.slot(Pfn(pfn)));
            let mut fresh = false;
            for pfn in (first..).step_by(1 << order).take_while(|pfn| pfn + (1 << order) <= zone.end) {
                let is_free = slots(pfn).all(|slot| is_set(memory, self.free, slot));
                let was_used = slots(pfn).any(|slot| is_set(memory, self.used, slot));
                if is_free && (was_used || !fresh) {
                    fresh |= !was_used;
                    found.push(Pfn(pfn));
                }
            }
            if self.mem_map.prefers_first_zone() && !found.is_empty() {
                break;
            }
        }
        found
    }
}

/// The first frame of a set, which is word `w` of a bitmap and not empty.
fn frame(w: u32, set: u64) -> Pfn {
    Pfn(u64::from(w) * 64 + u64::from(set.trailing_zeros()))
}

fn flip(memory: &Memory, bits: Loc, slot: u64) {
    let word = bits.offset((slot / 64) as u32);
    memory.set(word, memory.get(word) ^ 1 << (slot % 64));
}

fn is_set(memory: &Memory, bits: Loc, slot: u64) -> bool {
    memory.get(bits.offset((slot / 64) as u32)) & 1 << (slot % 64) != 0
}
