//! The places that stand for the memory of the oracles, for code that asks what a step touched.
//!
//! An exhaustive search assumes that two steps commute if they touch nothing in common. A verdict may depend on
//! an order that the machine itself does not care about. For example, it matters whether a pin was used before
//! its frame was freed or after. So the memory of an oracle is state like any other. Each part of it has a place,
//! and [`Ghost`](super::Ghost) touches the place where it reads or changes the part.

use sim_core::{Core, Loc};
use sim_mm::MmId;
use sim_mmu::Vpn;

/// The number of pages of an address space that are told apart.
const PAGES: u32 = 64;

/// The parts of what is known of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfFrame {
    /// What it is, and when it was freed.
    Life,
    /// The entries that map it, and those that mapped it since it was allocated.
    Mappings,
    /// Who made them.
    MappedBy,
    /// The references that GUP handed out.
    Pins,
    /// Who may read what it holds.
    Readers,
    /// The address space whose root it is.
    Root,
    /// Who first made it dirty, so that its contents are nowhere else.
    Dirty,
    /// The copies of it, and what was written to it afterwards.
    Copies,
}

const PER_FRAME: u32 = 8;

/// The parts of what is known of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfMm {
    /// The address space from which it is being forked, and those that are being forked from it.
    Forks,
    /// Its flushes that have begun.
    Begun,
    /// Its flushes that are done.
    Done,
    /// Its writes that the kernel has promised to note.
    Noted,
}

const PER_MM: u32 = 4 + PAGES;

/// The places of the memory of the oracles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    base: Loc,
    frames: u32,
    mms: u32,
    slots: u32,
}

impl Places {
    /// The places for a machine of so many frames, address spaces and slots of a swap area.
    pub(super) fn new(core: &Core, frames: u64, mms: usize, slots: u64) -> Places {
        // There is one more place, for frames, address spaces and slots that the machine does not have.
        let (frames, mms, slots) = (frames as u32 + 1, mms as u32 + 1, slots as u32 + 1);
        let base = core.reserve_places((frames * PER_FRAME + mms * PER_MM + slots) as usize);
        Places { base, frames, mms, slots }
    }

    /// Who may read what a slot of the swap area holds.
    pub(super) fn slot(self, slot: u64) -> Loc {
        let slot = u32::try_from(slot).map_or(self.slots - 1, |slot| slot.min(self.slots - 1));
        self.base.offset(self.frames * PER_FRAME + self.mms * PER_MM + slot)
    }

    /// A part of what is known of the frame with this number among the known ones.
    #[inline]
    pub(super) fn frame(self, slot: usize, part: OfFrame) -> Loc {
        let frame = slot.min(self.frames as usize - 1) as u32;
        self.base.offset(frame * PER_FRAME + part as u32)
    }

    fn of_mm(self, mm: MmId, part: u32) -> Loc {
        let mm = u32::from(mm.0).min(self.mms - 1);
        self.base.offset(self.frames * PER_FRAME + mm * PER_MM + part)
    }

    pub(super) fn mm(self, mm: MmId, part: OfMm) -> Loc {
        self.of_mm(mm, part as u32)
    }

    /// The values that justify a translation of a page.
    pub(super) fn page(self, mm: MmId, vpn: Vpn) -> Loc {
        self.of_mm(mm, PER_MM - PAGES + vpn.0 as u32 % PAGES)
    }
}
