//! What the kernel does that an oracle or a reader must know. The simulated kernel reads none of it.

use std::ops::Range;

use sim_core::Loc;
use sim_mmu::{Entry, Level, Pfn, VirtAddr, Vpn};

use crate::mm_types::MmId;

/// What a frame is allocated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUse {
    /// The contents of user memory.
    Data,
    /// Memory of a driver, which has no reference count.
    Driver,
    /// A top-level table: the root of an address space.
    Root,
    /// A table of the paging structures under `root`.
    Table {
        /// Its level: that of the entries it holds.
        level: Level,
        /// The root frame of its address space.
        root: Pfn,
    },
}

/// How a reference count changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefChange {
    /// By a holder of another reference: `get_page()`.
    Get,
    /// By somebody who holds none: `page_cache_get_speculative()`.
    Speculative,
    /// Dropped: `put_page()`.
    Put,
}

/// Something that the kernel did, at the moment it did it.
#[derive(Clone, Debug)]
pub enum Event {
    /// A frame left the free list.
    FrameAllocated {
        /// Which.
        pfn: Pfn,
        /// What for.
        for_use: FrameUse,
    },
    /// A frame went to the free list.
    FrameFreed {
        /// Which.
        pfn: Pfn,
    },
    /// The kernel filled a frame with zeroes.
    PageCleared {
        /// Which.
        pfn: Pfn,
    },
    /// The kernel took a page for clean on purpose: what it holds need not be kept.
    PageCleaned {
        /// Which.
        pfn: Pfn,
    },
    /// The kernel copied one frame's contents to another.
    PageCopied {
        /// From where.
        from: Pfn,
        /// To where.
        to: Pfn,
    },
    /// A page was put into a file, as shared memory is.
    PageCached {
        /// Which.
        pfn: Pfn,
    },
    /// A record with a lifetime was freed: a mapping, an address space.
    ObjectFreed {
        /// Its first word.
        first: Loc,
    },
    /// A `BUG_ON()` or `WARN_ON()` of the kernel, or an oops.
    KernelBug {
        /// What the kernel says.
        what: &'static str,
    },
    /// A page-table entry changed.
    PteChanged {
        /// In which address space.
        mm: MmId,
        /// For which page.
        va: VirtAddr,
        /// What was there.
        old: Entry,
        /// What is there now.
        new: Entry,
    },
    /// A reference count changed.
    RefChanged {
        /// Of which frame.
        pfn: Pfn,
        /// How.
        how: RefChange,
        /// The count before.
        old: u64,
        /// The count now.
        new: u64,
    },
    /// The number of mappings changed.
    MapcountChanged {
        /// Of which frame.
        pfn: Pfn,
        /// The count before.
        old: u64,
        /// The count now.
        new: u64,
    },
    /// A TLB flush began. It promises that, once completed, nobody uses a translation of the range
    /// that no entry justifies any more at this moment.
    FlushBegun {
        /// Tells flushes of one run apart.
        id: u64,
        /// Of which address space.
        mm: MmId,
        /// Of which pages.
        range: Range<Vpn>,
    },
    /// The flush of that id is complete: its promise is given.
    FlushDone {
        /// Which.
        id: u64,
    },
    /// An address space came to be.
    MmCreated {
        /// Which.
        mm: MmId,
        /// Its root frame.
        root: Pfn,
        /// The address space it was copied from.
        parent: Option<MmId>,
    },
    /// A fork is complete: from here on parent and child share nothing that either may write.
    ForkDone {
        /// The address space that was copied.
        parent: MmId,
        /// The copy.
        child: MmId,
    },
    /// An address space is about to be torn down.
    MmExited {
        /// Which.
        mm: MmId,
    },
    /// GUP handed out a page to a caller, with a reference.
    Pinned {
        /// Tells references of one run apart.
        id: u64,
        /// For which address space.
        mm: MmId,
        /// For which page of it.
        va: VirtAddr,
        /// Which frame.
        pfn: Pfn,
        /// Whether the caller may write.
        write: bool,
        /// How much it adds to the count of the page: a pin adds more than a plain reference.
        references: u64,
    },
    /// The reference of that id was given up.
    Unpinned {
        /// Which.
        id: u64,
    },
    /// A reference passes from its holder to a pipe, or from a pipe on to a reader.
    PinMoved {
        /// Which.
        id: u64,
    },
    /// A device, or the kernel on behalf of a reader of a pipe, touched a frame through a reference.
    PinTouched {
        /// Which reference.
        id: u64,
        /// The address space for which it was done.
        mm: MmId,
        /// The frame.
        pfn: Pfn,
        /// The word of the frame.
        word: u32,
        /// The value read, or written if `write`.
        value: u64,
        /// Whether it was a write.
        write: bool,
    },
}
