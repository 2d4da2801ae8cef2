//! What the oracles remember, as places that steps touch.
//!
//! An exhaustive search takes two steps to commute if they touch nothing in common. A verdict may hang on
//! an order that the machine itself does not care about: that a pin was used before its frame was freed, or
//! after. So what an oracle remembers is state like any other.

use sim_core::{Core, Loc};
use sim_mm::{Event as Mm, MmId};
use sim_mmu::{Entry, Event as Hardware, Pfn, VirtAddr};

use super::ghost::Ghost;

/// Pages of an address space that are told apart.
const PAGES: u32 = 64;

/// Where the parts of the memory of the oracles are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    base: Loc,
    frames: u32,
    mms: u32,
}

impl Places {
    /// For a machine of so many frames and address spaces.
    pub(super) fn new(core: &Core, frames: u64, mms: usize) -> Places {
        let (frames, mms) = (frames as u32 + 1, mms as u32);
        Places { base: core.reserve_places((frames + mms * (3 + PAGES)) as usize), frames, mms }
    }

    /// What a frame is, who maps it and who may read it. One for all that memory does not have.
    fn frame(self, pfn: Pfn) -> Loc {
        self.base.offset((pfn.0 as u32).min(self.frames - 1))
    }

    fn of_mm(self, kind: u32, mm: MmId) -> Loc {
        self.base.offset(self.frames + kind * self.mms + u32::from(mm.0))
    }

    /// From whom it is being forked, and whether it has exited.
    fn life(self, mm: MmId) -> Loc {
        self.of_mm(0, mm)
    }

    /// Flushes that have begun.
    fn flushes_begun(self, mm: MmId) -> Loc {
        self.of_mm(1, mm)
    }

    /// Flushes that are done.
    fn flushes_done(self, mm: MmId) -> Loc {
        self.of_mm(2, mm)
    }

    /// What justifies a translation of a page.
    fn page(self, mm: MmId, va: VirtAddr) -> Loc {
        self.of_mm(3 + va.vpn().0 as u32 % PAGES, mm)
    }

    /// What judging and remembering an event of the hardware touches.
    pub(super) fn touch_hardware(self, core: &Core, ghost: &Ghost, event: &Hardware) {
        let look = |loc| core.touch(loc, false);
        match *event {
            Hardware::TableAccess { table, .. } => look(self.frame(table)),
            Hardware::Filled(translation) => look(self.frame(translation.pfn)),
            Hardware::Retired { va, through, .. } => {
                look(self.frame(through.root));
                look(self.frame(through.pfn));
                if let Some(mm) = ghost.mm_of_root(through.root) {
                    look(self.page(mm, va));
                    look(self.flushes_done(mm));
                    look(self.life(mm));
                }
            }
            Hardware::Began(_)
            | Hardware::Faulted(_)
            | Hardware::SetFlags { .. }
            | Hardware::Invalidated { .. } => {}
        }
    }

    /// What judging and remembering an event of the kernel touches.
    pub(super) fn touch_kernel(self, core: &Core, ghost: &Ghost, event: &Mm) {
        let look = |loc| core.touch(loc, false);
        let change = |loc| core.touch(loc, true);
        match *event {
            Mm::FrameAllocated { pfn, .. } | Mm::FrameFreed { pfn } | Mm::PageCleared { pfn } => {
                change(self.frame(pfn));
            }
            Mm::PageCopied { from, to } => {
                change(self.frame(from));
                change(self.frame(to));
            }
            Mm::PteChanged { mm, va, old, new } => {
                change(self.page(mm, va));
                look(self.flushes_begun(mm));
                look(self.life(mm));
                let frames = [old, new].into_iter().filter(|entry| entry.is_present());
                frames.map(Entry::pfn).for_each(|pfn| change(self.frame(pfn)));
            }
            Mm::RefChanged { pfn, .. } => look(self.frame(pfn)),
            Mm::FlushBegun { mm, .. } => change(self.flushes_begun(mm)),
            Mm::FlushDone { id } => {
                if let Some(mm) = ghost.flushed_mm(id) {
                    change(self.flushes_done(mm));
                }
            }
            Mm::MmCreated { mm, root, parent } => {
                change(self.frame(root));
                [Some(mm), parent].into_iter().flatten().for_each(|mm| change(self.life(mm)));
            }
            Mm::ForkDone { parent, child } => {
                change(self.life(parent));
                change(self.life(child));
            }
            Mm::Pinned { pfn, .. } => change(self.frame(pfn)),
            Mm::Unpinned { id } => {
                if let Some(pin) = ghost.pin(id) {
                    change(self.frame(pin.pfn));
                }
            }
            Mm::PinTouched { mm, pfn, .. } => {
                look(self.frame(pfn));
                look(self.life(mm));
            }
            Mm::MmExited { mm } => change(self.life(mm)),
            Mm::KernelBug { .. } | Mm::ObjectFreed { .. } | Mm::MapcountChanged { .. } | Mm::PinMoved { .. } => {}
        }
    }
}
