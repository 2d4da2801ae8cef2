//! `include/linux/mmzone.h`: which frames are free.

use sim_core::Loc;
use sim_mmu::Pfn;

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

    /// The free frames to choose from: the first that was never used, then those that were.
    pub(crate) fn candidates<'a>(
        &'a self,
        memory: &'a sim_core::Memory,
    ) -> impl Iterator<Item = Pfn> + Clone + 'a {
        // Frames are used in order, so behind the first that was never used there is none that was.
        let is_all_used = |w: &u32| memory.get(self.used.offset(*w)) == u64::MAX;
        let words = (0..self.words).find(|w| !is_all_used(w)).map_or(self.words, |w| w + 1);
        let select = move |of: fn(u64, u64) -> u64| {
            (0..words).flat_map(move |w| {
                let mut set = of(memory.get(self.free.offset(w)), memory.get(self.used.offset(w)));
                std::iter::from_fn(move || {
                    let bit = set.trailing_zeros();
                    (set != 0).then(|| {
                        set &= set - 1;
                        Pfn(u64::from(w) * 64 + u64::from(bit))
                    })
                })
            })
        };
        select(|free, used| free & !used).take(1).chain(select(|free, used| free & used))
    }
}
