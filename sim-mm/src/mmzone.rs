//! `include/linux/mmzone.h`: which frames are free.

use sim_core::Loc;
use sim_mmu::Pfn;

/// The first frame of a set, which is word `w` of a bitmap and not empty.
fn frame(w: u32, set: u64) -> Pfn {
    Pfn(u64::from(w) * 64 + u64::from(set.trailing_zeros()))
}

/// The zone: a lock word, then a bit for each frame that is free, then one for each that was ever used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone {
    pub(crate) lock: Loc,
    pub(crate) free: Loc,
    pub(crate) used: Loc,
    words: u32,
}

impl Zone {
    pub(crate) fn new(memory: &mut sim_core::MemoryBuilder, frames: u64) -> Zone {
        let words = frames.div_ceil(64) as u32;
        Zone {
            lock: memory.words("zone.free_list", 1),
            free: memory.words("zone.free_bits", words as usize),
            used: memory.words("zone.used_bits", words as usize),
            words,
        }
    }

    /// Frees every frame. Once, when the machine is built.
    pub(crate) fn fill(&self, memory: &sim_core::Memory, frames: u64) {
        for pfn in 0..frames {
            self.flip(memory, self.free, Pfn(pfn));
        }
    }

    /// Takes a frame that must never be handed out. Once, when the machine is built.
    pub(crate) fn reserve(&self, memory: &sim_core::Memory, pfn: Pfn) {
        self.flip(memory, self.free, pfn);
        self.flip(memory, self.used, pfn);
    }

    pub(crate) fn flip(&self, memory: &sim_core::Memory, bits: Loc, pfn: Pfn) {
        let word = bits.offset((pfn.0 / 64) as u32);
        memory.set(word, memory.get(word) ^ 1 << (pfn.0 % 64));
    }

    pub(crate) fn is_set(&self, memory: &sim_core::Memory, bits: Loc, pfn: Pfn) -> bool {
        memory.get(bits.offset((pfn.0 / 64) as u32)) & 1 << (pfn.0 % 64) != 0
    }

    /// A free frame. `choose` answers which of so many: the first that was never used, then those that were.
    pub(crate) fn choose(&self, memory: &sim_core::Memory, choose: impl FnOnce(usize) -> usize) -> Option<Pfn> {
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
    fn nth_used(&self, memory: &sim_core::Memory, mut n: usize) -> Option<Pfn> {
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
}
