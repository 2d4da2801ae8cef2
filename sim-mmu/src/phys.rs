//! Physical memory: frames of words.

use sim_core::{Core, Loc, MemoryBuilder, Shared};

use crate::addr::Pfn;
use crate::entry::Entry;

/// The value that a read outside memory returns: no device answers, so all lines stay high.
pub const UNWRITTEN: u64 = u64::MAX;

/// The memory of the machine. Each frame has as many 8-byte words as the largest table has entries. So a data
/// page has only these first words.
#[derive(Clone, Debug)]
pub struct PhysMem {
    base: Loc,
    bus: Loc,
    frames: u64,
    /// Frames behind a hole, in order. They come after the others in `base`.
    elsewhere: Vec<Pfn>,
    words: u32,
}

impl PhysMem {
    /// Memory with the first `frames` frames and those of `elsewhere`. Each frame has `words` words, which are all zero.
    pub fn new(memory: &mut MemoryBuilder, frames: u64, mut elsewhere: Vec<Pfn>, words: u32) -> PhysMem {
        elsewhere.retain(|pfn| pfn.0 >= frames);
        elsewhere.sort_unstable();
        elsewhere.dedup();
        let total = (usize::try_from(frames).expect("fits") + elsewhere.len()) * words as usize;
        PhysMem { base: memory.words("memory", total), bus: memory.words("bus", 1), frames, elsewhere, words }
    }

    /// Sets the word that stands for everything outside memory. It is called once, before the first checkpoint.
    pub fn reset(&self, core: &Core) {
        core.memory.set(self.bus, UNWRITTEN);
    }

    /// Number of frames before the first hole.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Whether the frame exists.
    #[inline]
    pub fn contains(&self, pfn: Pfn) -> bool {
        pfn.0 < self.frames || self.elsewhere.binary_search(&pfn).is_ok()
    }

    /// Words a frame.
    pub fn words_per_frame(&self) -> u32 {
        self.words
    }

    /// Word `index` of a frame. If the frame does not exist, it is the word that stands for the bus.
    #[inline]
    pub fn word(&self, pfn: Pfn, index: u32) -> Loc {
        let slot = if pfn.0 < self.frames { Some(pfn.0 as u32) } else { self.behind_a_hole(pfn) };
        match slot {
            Some(slot) if index < self.words => self.base.offset(slot * self.words + index),
            _ => self.bus,
        }
    }

    #[cold]
    fn behind_a_hole(&self, pfn: Pfn) -> Option<u32> {
        self.elsewhere.binary_search(&pfn).ok().map(|n| self.frames as u32 + n as u32)
    }

    /// Whether a location is the bus: there is no memory behind it, and a value that is written there is lost.
    #[inline]
    pub fn is_bus(&self, loc: Loc) -> bool {
        loc == self.bus
    }

    /// Entry `index` of the table in a frame.
    #[inline]
    pub fn entry(&self, table: Pfn, index: u32) -> Shared<Entry> {
        Shared::at(self.word(table, index))
    }

    /// The frame of a location and its word in the frame, if it is in memory.
    pub fn locate(&self, loc: Loc) -> Option<(Pfn, u32)> {
        let offset = loc.0.checked_sub(self.base.0)?;
        let slot = u64::from(offset / self.words);
        let pfn = match slot.checked_sub(self.frames) {
            None => Pfn(slot),
            Some(n) => *self.elsewhere.get(n as usize)?,
        };
        (loc != Loc::NONE).then_some((pfn, offset % self.words))
    }
}
