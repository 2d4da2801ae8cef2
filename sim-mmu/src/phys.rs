//! Physical memory: frames of words.

use sim_core::{Core, Loc, MemoryBuilder, Shared};

use crate::addr::Pfn;
use crate::entry::Entry;

/// What a word outside memory reads as: no device answers, all lines stay high.
pub const UNWRITTEN: u64 = u64::MAX;

/// The machine's memory. Each frame has as many 8-byte words as a table has entries; of a data page
/// only those first words exist.
#[derive(Clone, Copy, Debug)]
pub struct PhysMem {
    base: Loc,
    bus: Loc,
    frames: u64,
    words: u32,
}

impl PhysMem {
    /// `frames` frames of `words` words, all zero.
    pub fn new(memory: &mut MemoryBuilder, frames: u64, words: u32) -> PhysMem {
        let total = usize::try_from(frames).expect("fits") * words as usize;
        PhysMem { base: memory.words("memory", total), bus: memory.words("bus", 1), frames, words }
    }

    /// Sets what lies outside memory. Once, before the first checkpoint.
    pub fn reset(&self, core: &Core) {
        core.memory.set(self.bus, UNWRITTEN);
    }

    /// Number of frames.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Words a frame.
    pub fn words_per_frame(&self) -> u32 {
        self.words
    }

    /// Whether the frame exists.
    #[inline]
    pub fn contains(&self, pfn: Pfn) -> bool {
        pfn.0 < self.frames
    }

    /// Word `index` of a frame. Outside memory it is the bus.
    #[inline]
    pub fn word(&self, pfn: Pfn, index: u32) -> Loc {
        if self.contains(pfn) && index < self.words {
            self.base.offset(pfn.0 as u32 * self.words + index)
        } else {
            self.bus
        }
    }

    /// Entry `index` of the table in a frame.
    #[inline]
    pub fn entry(&self, table: Pfn, index: u32) -> Shared<Entry> {
        Shared::at(self.word(table, index))
    }

    /// The frame and the word that a location is, if it is memory.
    pub fn locate(&self, loc: Loc) -> Option<(Pfn, u32)> {
        let offset = loc.0.checked_sub(self.base.0)?;
        (loc != Loc::NONE && u64::from(offset) < self.frames * u64::from(self.words))
            .then(|| (Pfn(u64::from(offset / self.words)), offset % self.words))
    }
}
