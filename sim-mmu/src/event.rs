//! What the hardware does that an oracle or a reader must know.

use sim_core::Bytes;

use crate::addr::{Level, Pfn, VirtAddr};
use crate::control::Pcid;
use crate::entry::Entry;
use crate::fault::PageFault;
use crate::paging::Access;
use crate::tlb::{Partial, Translation};

/// Who reads a paging structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walker {
    /// The page walker, for an access.
    Hardware,
    /// The page walker, on speculation: no access asked for the walk.
    Speculation,
    /// Kernel code.
    Software,
}

/// Something that happened in the hardware, at the moment it happened.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// An entry of a paging structure was read or written.
    TableAccess {
        /// The root of the walk.
        root: Pfn,
        /// The level at which the frame is taken for a table.
        level: Level,
        /// The frame.
        table: Pfn,
        /// Who did it.
        by: Walker,
    },
    /// A speculative walk may have read an entry by now (SDM 4.10.2.3, 4.10.3.1).
    Speculated {
        /// The root of the walk.
        root: Pfn,
        /// The level at which the frame is taken for a table.
        level: Level,
        /// The frame.
        table: Pfn,
    },
    /// A translation entered a TLB.
    Filled(Translation),
    /// A walk begins with a cached entry of an upper level instead of the root.
    Began(Partial),
    /// An access retired.
    Retired {
        /// Its address.
        va: VirtAddr,
        /// Its kind.
        access: Access,
        /// The translation that it used.
        through: Translation,
        /// Whether a guest made it, by a second paging structure.
        nested: bool,
        /// The frame's word.
        word: u32,
        /// Which bytes of it.
        bytes: Bytes,
        /// The value that they hold: that was read, or written.
        value: u64,
    },
    /// An access faulted.
    Faulted(PageFault),
    /// The hardware set A or D.
    SetFlags {
        /// The level of the entry.
        level: Level,
        /// The entry before.
        old: Entry,
        /// The entry after.
        new: Entry,
    },
    /// Translations were dropped from the TLB of one CPU.
    Invalidated {
        /// Whose TLB.
        target: sim_core::CpuId,
        /// The page, or everything.
        page: Option<VirtAddr>,
        /// Only what is tagged with this PCID, if PCIDs are on and no more is dropped.
        pcid: Option<Pcid>,
    },
}
