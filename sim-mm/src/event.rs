//! Events: what the kernel does that an oracle or a reader must know. The simulated kernel reads none of it.

use std::ops::Range;

use sim_core::Loc;
use sim_mmu::{Entry, Geometry, Level, Pfn, Translation, VirtAddr, Vpn};

use crate::mm_types::MmId;
use crate::page_flags::{PageFlags, file_of_mapping, is_anon_mapping};

/// What a frame is allocated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUse {
    /// The contents of user memory.
    Data,
    /// Memory of a driver, which has no reference count.
    Driver,
    /// A batch: notes of the kernel itself.
    Batch,
    /// For nobody: a huge page leaves its pool, and the allocator gets it next.
    Returned,
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

impl FrameUse {
    /// What it is for, in a word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FrameUse::Data => "a page",
            FrameUse::Driver => "a page of a driver",
            FrameUse::Batch => "a batch",
            FrameUse::Returned => "a page that leaves its pool",
            FrameUse::Root | FrameUse::Table { .. } => "a page table",
        }
    }
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
    /// Set to zero by whoever holds all references, so that nobody gets one more: `page_ref_freeze()`.
    Freeze,
    /// Given back by him: `page_ref_unfreeze()`.
    Unfreeze,
}

/// How much an entry maps, or how many frames a block has: two to the power of its order, in pages. A PTE has order 0. With 512 entries a table, a PMD
/// that maps a huge page has order 9 (`PMD_ORDER`), and a PUD has order 18 (`PUD_ORDER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order(u8);

impl Order {
    /// The order of an entry of the lowest level, on every machine.
    pub const PTE: Order = Order(0);

    /// The order of an entry of this level that maps memory, on a machine with tables of this shape.
    pub fn of(level: Level, geometry: Geometry) -> Order {
        Order(geometry.order(level))
    }

    /// The order of a block of so many frames.
    pub(crate) const fn new(order: u8) -> Order {
        Order(order)
    }

    /// The number of pages.
    pub fn pages(self) -> u64 {
        1 << self.0
    }

    /// The frames of a block that begins with this one.
    pub fn frames(self, first: Pfn) -> impl Iterator<Item = Pfn> {
        (first.0..first.0.saturating_add(self.pages())).map(Pfn)
    }

    /// Whether a frame is one of the block that begins with `first`.
    pub fn has(self, first: Pfn, frame: Pfn) -> bool {
        frame.0.checked_sub(first.0).is_some_and(|nth| nth < self.pages())
    }
}

/// A page of an object that processes share: a file, which has a name or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedPage {
    /// The slot of the file: `inode[0]` has slot 0.
    pub file: u32,
    /// Which page of the file.
    pub index: u64,
}

/// To whom the page belongs that an entry maps, as `page->mapping` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// To nobody: the entry maps no page, or the zero page, or a driver's frame, or a page that has left its file.
    Nobody,
    /// To the address spaces that were forked from the one that first touched it. It is an anonymous page.
    Private,
    /// To an object that processes share.
    Shared(SharedPage),
    /// To such an object, and the mapping is private: it shows what the object holds, and a write is to change a copy.
    CopyOnWrite(SharedPage),
}

impl Sharing {
    /// What the fields `mapping` and `index` of a page descriptor say. The mapping of the entry is not asked.
    pub(crate) fn of_page(mapping: u64, index: u64) -> Sharing {
        match file_of_mapping(mapping) {
            Some(file) => Sharing::Shared(SharedPage { file, index }),
            None if is_anon_mapping(mapping) => Sharing::Private,
            None => Sharing::Nobody,
        }
    }
}

impl Sharing {
    /// To whom page `nth` of a huge page belongs.
    pub fn of_part(self, nth: u64) -> Sharing {
        let part = |page: SharedPage| SharedPage { index: page.index + nth, ..page };
        match self {
            Sharing::Shared(page) => Sharing::Shared(part(page)),
            Sharing::CopyOnWrite(page) => Sharing::CopyOnWrite(part(page)),
            other => other,
        }
    }
}

/// Something that the kernel did, at the moment it did it.
#[derive(Clone, Debug)]
pub enum Event {
    /// A block of frames left the free list.
    FrameAllocated {
        /// The first.
        pfn: Pfn,
        /// How many.
        order: Order,
        /// What for.
        for_use: FrameUse,
    },
    /// An allocation failed, though there was memory.
    AllocationFailed {
        /// Of what.
        what: &'static str,
    },
    /// A block of frames went to the free list.
    FrameFreed {
        /// The first.
        pfn: Pfn,
        /// How many.
        order: Order,
    },
    /// `memory_failure()` marks a page, or a huge page of the pool, because it was told that a frame is broken.
    FrameBroken {
        /// Which.
        pfn: Pfn,
    },
    /// `memory_failure()` says that a frame, whose memory is broken, is nobody's any more. It never goes to the free list.
    FrameRetired {
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
    /// ksmd maps a merged page at an address, because it holds what the page holds that was mapped there.
    PageMerged {
        /// The address space.
        mm: MmId,
        /// The address.
        va: VirtAddr,
        /// The page that was mapped there.
        from: Pfn,
        /// The merged page.
        to: Pfn,
    },
    /// A page was moved: what was one frame is the other from now on.
    PageMigrated {
        /// From where.
        from: Pfn,
        /// To where.
        to: Pfn,
    },
    /// The kernel wrote what a frame holds to a slot of the swap area.
    SwappedOut {
        /// Which frame.
        pfn: Pfn,
        /// Which slot.
        slot: u64,
    },
    /// The kernel filled a frame with what a slot of the swap area holds.
    SwappedIn {
        /// Which slot.
        slot: u64,
        /// Which frame.
        pfn: Pfn,
    },
    /// A page was put into a file, as shared memory is.
    PageCached {
        /// Which.
        pfn: Pfn,
        /// Which page of which file it is from now on.
        page: SharedPage,
    },
    /// A page left its file.
    PageUncached {
        /// Which.
        pfn: Pfn,
        /// Which page of which file it was.
        page: SharedPage,
    },
    /// A page is about to leave its file, because the disk is taken to have it: whoever wants it will read it from there.
    PageDropped {
        /// Which.
        pfn: Pfn,
        /// Which page of which file it is.
        page: SharedPage,
    },
    /// Somebody is about to wait for the lock of a page.
    PageLockWanted {
        /// Which.
        pfn: Pfn,
    },
    /// Somebody has locked a page.
    PageLocked {
        /// Which.
        pfn: Pfn,
    },
    /// Somebody has unlocked a page.
    PageUnlocked {
        /// Which.
        pfn: Pfn,
    },
    /// A function of GUP returned to its caller.
    GupReturned {
        /// The first page that it was asked for.
        start: VirtAddr,
        /// How many pages it was asked for.
        nr_pages: u64,
        /// How many it says that it got. None, if it failed.
        told: Option<u64>,
        /// The pages that it gave references to, in the order of the array.
        handed: Vec<VirtAddr>,
    },
    /// The kernel itself wrote to a page of a file, for a system call.
    PageWritten {
        /// Which.
        pfn: Pfn,
    },
    /// The disk took what a page of a file holds, and wrote it.
    WrittenBack {
        /// Which page.
        pfn: Pfn,
    },
    /// What the disk took came to its block.
    BlockWritten {
        /// Which page held it.
        pfn: Pfn,
        /// The number of the block.
        block: u32,
    },
    /// The disk could not write a page of a file. Whoever asks next is told.
    WriteFailed {
        /// Which page.
        pfn: Pfn,
    },
    /// A system call began that promises to write a file back: what was written before is to be on the disk.
    SyncBegun {
        /// The slot of the file.
        file: u32,
        /// Which of its pages.
        pages: Range<u64>,
        /// Tells such calls of one run apart.
        id: u64,
    },
    /// It has ended.
    SyncDone {
        /// Which.
        id: u64,
        /// Whether it says that everything is written.
        kept: bool,
    },
    /// The length of a file changed.
    FileResized {
        /// The slot of the file.
        file: u32,
        /// Its length now, in pages.
        pages: u64,
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
        /// How much the entry maps.
        order: Order,
        /// To whom the page belongs that it maps now, or mapped before if it maps none now.
        sharing: Sharing,
    },
    /// An address space begins to use a table of another one.
    TableShared {
        /// The table.
        table: Pfn,
        /// The root of an address space that uses it already.
        with: Pfn,
        /// The root of the one that begins to.
        root: Pfn,
    },
    /// An address space has given a shared table up: it is the others' alone from now on.
    TableGivenUp {
        /// The table.
        table: Pfn,
        /// The root of the address space.
        root: Pfn,
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
    /// A store that was no locked operation took flags of a page away that others had set since its value was loaded.
    FlagsLost {
        /// Of which frame.
        pfn: Pfn,
        /// The flags.
        lost: PageFlags,
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
    /// A guest got a page of its process: an entry of its secondary MMU came to be.
    GuestMapped {
        /// The address space of the process.
        mm: MmId,
        /// What the entry says. The page has the same address in the guest.
        spte: Translation,
    },
    /// That entry went.
    GuestUnmapped {
        /// The address space of the process.
        mm: MmId,
        /// The page.
        va: VirtAddr,
        /// The frame that the guest had there.
        pfn: Pfn,
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
    /// A process left one address space for another: `exec()`.
    MmReplaced {
        /// The address space that it had.
        old: MmId,
        /// The address space that it has now.
        new: MmId,
    },
    /// An address space is about to be torn down.
    MmExited {
        /// Which.
        mm: MmId,
    },
    /// Somebody asks the kernel to forget which pages of an address space were written.
    WritesForgotten {
        /// Which.
        mm: MmId,
    },
    /// They are forgotten: from here on the kernel notes each page that is written.
    WritesNoted {
        /// Of which address space.
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
        /// Whether it is to last (`FOLL_LONGTERM`).
        longterm: bool,
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
