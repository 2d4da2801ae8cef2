//! `include/linux/memremap.h`: the memory of a device, and which of its pages belong to which file.
//!
//! The last frames of the machine are the device's. They hold what they hold, whether the device is bound or not. Their descriptors are there as long as
//! it is bound. A file on the device has a block for each of its pages that was ever used, and a block is a page of the device: nothing is read or
//! written back. The device takes the first block that is free, so a block that a file gives up is soon another's.

use std::collections::BTreeMap;
use std::ops::Range;

use sim_core::{MemoryBuilder, Object, RwSem, Shared};
use sim_mmu::Pfn;

use crate::fs::Inode;
use crate::mm_types::Page;
use crate::mmzone::MemMap;

/// The blocks of a file on the device, by the pages that they are for.
pub(crate) type DaxBlocks = BTreeMap<u64, Page>;

/// `struct dev_pagemap`, with what the device and its file system know. It has no pages on a machine without a device.
pub(crate) struct DevPagemap {
    /// `range`: the frames of the device.
    pub(crate) frames: Range<u64>,
    /// `ref`: two for each reference, and one more once it is killed.
    pub(crate) references: Shared<u64>,
    /// `DAXDEV_ALIVE`: whether files may find their blocks.
    pub(crate) alive: Shared<bool>,
    /// Whether the descriptors are there: while it is odd.
    pub(crate) memmap: Shared<u64>,
    /// Which blocks are free.
    free: Object<Vec<bool>>,
    /// `i_data`, by the slot of the file.
    i_data: Vec<Object<DaxBlocks>>,
    /// `invalidate_lock`, by the slot of the file; before v5.15 each file system had its own. Faults hold it for reading, and who gives blocks up for
    /// writing.
    invalidate_lock: Vec<RwSem>,
}

/// `PERCPU_REF_DEAD`: nobody gets a reference any more.
pub(crate) const DYING: u64 = 1;

/// What a reference adds.
pub(crate) const REFERENCE: u64 = 2;

impl DevPagemap {
    pub(crate) fn new(memory: &mut MemoryBuilder, mem_map: MemMap, files: usize) -> DevPagemap {
        let frames = mem_map.device();
        let files = if frames.is_empty() { 0 } else { files };
        let i_data = |n: usize| Object::new(&mut *memory, format!("inode[{n}].dax"), DaxBlocks::new());
        let i_data = (0..files).map(i_data).collect();
        let lock = |n: usize| memory.alone(format!("inode[{n}].dax.invalidate_lock"));
        let invalidate_lock = (0..files).map(lock).collect();
        let blocks = (frames.end - frames.start) as usize;
        DevPagemap {
            memmap: mem_map.come_and_go(memory),
            frames,
            references: Shared::at(memory.words("pgmap.ref", 1)),
            alive: Shared::at(memory.words("dax_dev.flags", 1)),
            free: Object::new(memory, "dax_dev.bitmap", vec![true; blocks]),
            i_data,
            invalidate_lock,
        }
    }

    /// Whether a frame is the device's.
    #[inline]
    pub(crate) fn contains(&self, pfn: Pfn) -> bool {
        self.frames.contains(&pfn.0)
    }

    /// A block of the device.
    pub(crate) fn block(&self, nth: usize) -> Page {
        Page(Pfn(self.frames.start + nth as u64))
    }

    /// The place of a block in the list of those that are free.
    pub(crate) fn place(&self, block: Page) -> usize {
        (block.0.0 - self.frames.start) as usize
    }

    /// Which blocks are free: for who holds the lock of the bitmap.
    pub(crate) fn free(&self) -> &Object<Vec<bool>> {
        &self.free
    }

    /// The blocks of a file.
    pub(crate) fn i_data(&self, inode: Inode) -> &Object<DaxBlocks> {
        &self.i_data[inode.index()]
    }

    /// `invalidate_lock` of a file.
    pub(crate) fn invalidate_lock(&self, inode: Inode) -> RwSem {
        self.invalidate_lock[inode.index()]
    }

    /// The slots of files that have blocks: a part of the step of the caller.
    pub(crate) fn files_with_blocks(&self) -> Vec<usize> {
        (0..self.i_data.len()).filter(|slot| !self.i_data[*slot].peek().is_empty()).collect()
    }

    /// The block of a page of the file in a slot: for those who look at the machine when nothing is going on.
    pub(crate) fn block_now(&self, file: usize, index: u64) -> Option<Page> {
        self.i_data.get(file)?.peek().get(&index).copied()
    }

    /// Whether some file has the block. For the same.
    pub(crate) fn is_used(&self, block: Page) -> bool {
        self.i_data.iter().any(|blocks| blocks.peek().values().any(|used| *used == block))
    }
}
