//! `include/linux/blkdev.h`: the one disk, and which of its blocks belong to which file.
//!
//! A block holds a page. A file has a block for each of its pages that was ever to be written there; where it has none, there is a
//! hole. The disk takes the first block that is free, so a block that a file gives up is soon another's.

use std::collections::BTreeMap;

use sim_core::{Loc, MemoryBuilder, Object, RwSem, Shared};

use crate::fs::{Inode, PageTag, PageTags};

/// The number of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block(pub(crate) u32);

/// The blocks of a file, by the pages that they are for.
pub(crate) type Blocks = BTreeMap<u64, Block>;

/// The disk. It has no blocks on a machine without one.
pub(crate) struct Disk {
    /// The first word of the first block.
    contents: Loc,
    words: u32,
    /// Which blocks are free.
    free: Object<Vec<bool>>,
    /// `i_data`, by the slot of the file.
    i_data: Vec<Object<Blocks>>,
    /// The tags of `i_pages`, by the slot of the file. A file in memory is written nowhere, and has none.
    tags: Vec<Object<PageTags>>,
    /// `invalidate_lock`, by the slot of the file: who takes pages out of it, and who reads pages into it.
    invalidate_lock: Vec<RwSem>,
    /// Whether a transfer failed in the present run.
    pub(crate) failed: Shared<bool>,
}

impl Disk {
    /// A disk of so many blocks, each of as many words as a frame.
    pub(crate) fn new(memory: &mut MemoryBuilder, files: usize, blocks: usize, words: u32) -> Disk {
        let files = if blocks == 0 { 0 } else { files };
        let i_data = |n: usize| Object::new(&mut *memory, format!("inode[{n}].i_data"), Blocks::new());
        let i_data = (0..files).map(i_data).collect();
        let tags = |n: usize| Object::new(&mut *memory, format!("inode[{n}].i_pages.marks"), PageTags::new());
        let tags = (0..files).map(tags).collect();
        let lock = |n: usize| memory.alone(format!("inode[{n}].invalidate_lock"));
        let invalidate_lock = (0..files).map(lock).collect();
        Disk {
            contents: memory.words("disk", blocks * words as usize),
            words,
            free: Object::new(memory, "disk.bitmap", vec![true; blocks]),
            i_data,
            tags,
            invalidate_lock,
            failed: Shared::at(memory.words("disk.failed", 1)),
        }
    }

    /// How many blocks there are.
    pub(crate) fn len(&self) -> usize {
        self.free.peek().len()
    }

    /// The first word of a block.
    pub(crate) fn contents(&self, block: Block) -> Loc {
        self.contents.offset(block.0 * self.words)
    }

    /// Which blocks are free: for who holds the lock of the bitmap.
    pub(crate) fn free(&self) -> &Object<Vec<bool>> {
        &self.free
    }

    /// The blocks of a file.
    pub(crate) fn i_data(&self, inode: Inode) -> &Object<Blocks> {
        &self.i_data[inode.index()]
    }

    /// The tags of the pages of a file.
    pub(crate) fn tags(&self, inode: Inode) -> &Object<PageTags> {
        &self.tags[inode.index()]
    }

    /// `invalidate_lock` of a file.
    pub(crate) fn invalidate_lock(&self, inode: Inode) -> RwSem {
        self.invalidate_lock[inode.index()]
    }

    /// The block of a page of the file in a slot: for those who look at the machine when nothing is going on.
    pub(crate) fn block_now(&self, file: u32, index: u64) -> Option<Block> {
        self.i_data.get(file as usize)?.peek().get(&index).copied()
    }

    /// The tags of a page of the file in a slot: for the same.
    pub(crate) fn tags_now(&self, file: u32, index: u64) -> PageTag {
        let tags = self.tags.get(file as usize).and_then(|tags| tags.peek().get(&index).copied());
        tags.unwrap_or_default()
    }
}
