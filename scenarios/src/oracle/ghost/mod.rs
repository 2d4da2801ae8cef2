//! The memory of the oracles: the truth about frames, entries and references, kept beside the machine.
//!
//! Each part of it has a [place](Places). Code that reads or changes the part touches the place. Code that gives
//! a part the value which the part has already only looks at it.
//!
//! What there is to know is declared here. `seen.rs` has the questions, and `told.rs` has what is told.

mod seen;
mod told;

use std::collections::BTreeMap;
use std::ops::Range;

use sim_core::{Core, CpuId, Loc, TaskId};
use sim_mm::{MemMap, MmId, SharedPage};
use sim_mmu::{Level, Pfn, VirtAddr, Vpn};

use super::kept::{Kept, restore};
use super::places::{OfFrame, OfMm, Places};
use super::readers::Readers;
use super::{Site, Watched};

/// What a frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FrameState {
    /// Taken before anything ran: the zero page, the kernel's own root.
    Reserved,
    /// On the free list.
    #[default]
    Free,
    /// Contents of user memory.
    Data,
    /// The huge page of zeroes. Everybody may map it, and nobody may write to it.
    Zeroes,
    /// Memory of a driver, or of the kernel itself: nobody's page.
    Driver,
    /// A table.
    Table { level: Level, root: Pfn },
}

/// What a frame is, and how it came to be that.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) state: FrameState,
    /// Where it last went to the free list.
    pub(super) freed: Option<Site>,
    /// How often it went there.
    pub(super) frees: u32,
    /// Of a table that address spaces share, or shared since it was allocated: the roots of those who have it. Empty of any other.
    pub(super) sharers: Vec<Pfn>,
    /// Whether the kernel was told that its memory is broken. It stays so.
    pub(super) broken: bool,
}

/// Who is given another's values keeps the room for them.
impl Clone for Life {
    fn clone(&self) -> Life {
        let mut clone = Life::default();
        clone.clone_from(self);
        clone
    }

    fn clone_from(&mut self, other: &Life) {
        let Life { state, freed, frees, sharers, broken } = other;
        (self.state, self.frees, self.broken) = (*state, *frees, *broken);
        self.freed.clone_from(freed);
        restore(&mut self.sharers, sharers);
    }
}

/// What is known of a frame.
#[derive(Debug, Default)]
struct Frame {
    life: Life,
    /// The entries that map it now, without special ones.
    mappings: Vec<(MmId, Vpn)>,
    /// The pages that it was ever behind since it was last allocated.
    homes: Vec<(MmId, Vpn)>,
    /// Those of them at which it was as a page of a file, and whether a shared mapping showed it there: then a write is meant for all.
    shown: Vec<((MmId, Vpn), bool)>,
    /// Who last made an entry lead to it, for each address space that did.
    mapped_by: Vec<(MmId, Site)>,
    readers: Readers,
    /// The object that processes share to which it belongs. Each process that maps it shares it on purpose, and all may read
    /// what is written to it. It keeps this until it is allocated anew, because a page that left its file may still be mapped.
    shared: Option<SharedPage>,
    /// The frame from which it was filled by a copy, since it was last allocated.
    copied_from: Option<Pfn>,
    copying: Copying,
    /// The address space whose root it was last.
    root_of: Option<MmId>,
    /// Who first made an entry say that it is dirty, since it was allocated or cleaned on purpose.
    dirtied: Option<Site>,
    writes: FileWrites,
}

/// What is known of a slot of the swap area.
#[derive(Clone, Debug, Default)]
struct Slot {
    /// Who may read what it holds.
    readers: Readers,
    /// The frame that was written to it, and how often that had been freed.
    from: Option<(Pfn, u32)>,
}

/// What was written to a page of a file, on a machine with a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct FileWrites {
    /// Who wrote to it last: user code, the kernel, or a device.
    pub(super) last: Option<Site>,
    /// How often user code and the kernel wrote to it.
    count: u64,
    /// How often they had when the disk took it last.
    kept: u64,
}

/// A frame that is given another's values keeps the room that it has for them: each run does that to all frames of the last.
impl Clone for Frame {
    fn clone(&self) -> Frame {
        let mut clone = Frame::default();
        clone.clone_from(self);
        clone
    }

    fn clone_from(&mut self, other: &Frame) {
        let Frame {
            life,
            mappings,
            homes,
            mapped_by,
            readers,
            shared,
            copied_from,
            root_of,
            dirtied,
            copying,
            shown,
            writes,
        } = other;
        self.life.clone_from(life);
        restore(&mut self.mappings, mappings);
        restore(&mut self.homes, homes);
        restore(&mut self.mapped_by, mapped_by);
        self.readers.clone_from(readers);
        self.shared = *shared;
        self.copied_from = *copied_from;
        self.root_of = *root_of;
        self.dirtied.clone_from(dirtied);
        self.writes.clone_from(writes);
        restore(&mut self.shown, shown);
        restore(&mut self.copying.copies, &copying.copies);
        restore(&mut self.copying.late, &copying.late);
    }
}

/// The copies that were made of a frame since it was allocated, and what user code wrote to the frame afterwards.
#[derive(Clone, Debug, Default)]
struct Copying {
    copies: Vec<Pfn>,
    late: Vec<LateWrite>,
}

/// A write of user code to a frame of which there are copies: the first one of a page of an address space.
#[derive(Clone, Debug)]
struct LateWrite {
    mm: MmId,
    vpn: Vpn,
    /// How many copies there were. Those that were made later have what was written.
    copies: usize,
    site: Site,
}

/// A value that an entry had, and whether it still has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Justified {
    pfn: Pfn,
    write: bool,
    /// Whether the entry was present. One that was not names its page still, and justifies translations of a guest alone.
    present: bool,
    /// The number of flushes that had begun when it was replaced.
    until: Option<u32>,
}

/// A page of an address space: the values that justify a translation of it.
#[derive(Debug, Default)]
struct PageHistory {
    values: Vec<Justified>,
    /// Who changed the entry last.
    changed: Option<Site>,
}

/// As of a [`Frame`].
impl Clone for PageHistory {
    fn clone(&self) -> PageHistory {
        let PageHistory { values, changed } = self;
        PageHistory { values: values.clone(), changed: changed.clone() }
    }

    fn clone_from(&mut self, other: &PageHistory) {
        let PageHistory { values, changed } = other;
        self.values.clone_from(values);
        self.changed.clone_from(changed);
    }
}

/// A reference that GUP handed out.
#[derive(Clone, Debug)]
pub(super) struct PinState {
    id: u64,
    pub(super) mm: MmId,
    pub(super) va: VirtAddr,
    pub(super) pfn: Pfn,
    /// How much it added to the count of the frame.
    pub(super) references: u64,
    pub(super) taken: Site,
    /// How often the frame had been freed then.
    pub(super) frees: u32,
    /// Whether it is to last.
    pub(super) longterm: bool,
    /// Whether the frame was never behind that address since it was last allocated.
    pub(super) stranger: bool,
}

/// A flush of some pages: the `nth` of its address space to begin.
#[derive(Clone, Debug)]
struct Flush {
    id: u64,
    mm: MmId,
    range: Range<Vpn>,
    nth: u32,
}

/// A call under way that promises to write a file back.
#[derive(Clone, Debug)]
struct Sync {
    id: u64,
    /// The pages that the disk does not have as they are, with the number of writes to each and how often the frame had been freed.
    pages: Vec<(Pfn, SharedPage, u64, u32)>,
}

/// What is known of an address space.
#[derive(Clone, Debug, Default)]
struct Mm {
    /// From whom it is being forked.
    parent: Option<MmId>,
    /// Who is being forked from it.
    children: Vec<MmId>,
    /// Flushes that have begun.
    begun: u32,
    /// The flushes that are done: the pages that they covered, and their numbers.
    done: Vec<(Range<Vpn>, u32)>,
    noted: Noted,
}

/// Which writes the kernel has promised to note.
#[derive(Clone, Debug, Default)]
struct Noted {
    /// Whether it notes them now: somebody asked for that, and the call is complete.
    since: bool,
    writes: Vec<NotedWrite>,
}

/// A write of user code to a page: the first one since the kernel promised to note it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotedWrite {
    pub(super) vpn: Vpn,
    pub(super) pfn: Pfn,
    /// How often the frame had been freed then.
    pub(super) frees: u32,
    pub(super) site: Site,
}

/// The parts that are in no table. They are small, and are copied for each run.
#[derive(Clone, Debug, Default)]
struct Loose {
    /// In the order of their ids.
    pins: Vec<PinState>,
    /// References that were given up, and where.
    gone_pins: Vec<(PinState, Site)>,
    /// The flushes under way, at most one on each CPU.
    flushes: Vec<Flush>,
    /// Kernel objects that were freed: the first word of each, and who did it last.
    freed_objects: Vec<(Loc, Site)>,
    syncs: Vec<Sync>,
    /// The pages that are locked: by whom, and where.
    page_locks: Vec<(Pfn, (CpuId, Option<TaskId>), Site)>,
    /// The pages that came back from swap: the frame of each before and afterwards, with the number of times that it had been freed.
    swapped: Vec<((Pfn, u32), (Pfn, u32))>,
}

/// The memory of the oracles.
#[derive(Debug)]
pub struct Ghost {
    places: Places,
    mem_map: MemMap,
    frames: Kept<Frame>,
    mms: Kept<Mm>,
    pages: Kept<PageHistory>,
    /// What the slots of the swap area hold.
    slots: Kept<Slot>,
    /// The number of each page that an event ever named.
    page_numbers: BTreeMap<(MmId, Vpn), usize>,
    /// Whether the kernel can be asked to note writes at all.
    pub(super) notes_writes: bool,
    /// Whether there is a disk, so that it matters who writes to pages of files.
    pub(super) has_disk: bool,
    loose: Loose,
    base: Loose,
}

/// The memory of the oracles in a step. The step touches what it reads through this.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    core: &'a Core,
    ghost: &'a Ghost,
}

impl Ghost {
    /// The memory of the oracles for a machine.
    pub(super) fn new(core: &Core, watched: Watched) -> Ghost {
        let Watched { mem_map, reserved, mms, disk, slots, notes_writes } = watched;
        let mut of_frames = Kept::new(vec![Frame::default(); mem_map.frames() as usize]);
        for pfn in 0..reserved {
            if let Some(frame) = of_frames.change(pfn as usize) {
                frame.life.state = FrameState::Reserved;
            }
        }
        Ghost {
            places: Places::new(core, mem_map.frames(), mms, slots),
            mem_map,
            frames: of_frames,
            mms: Kept::new(vec![Mm::default(); usize::from(u8::MAX) + 1]),
            pages: Kept::default(),
            slots: Kept::new(vec![Slot::default(); slots as usize]),
            page_numbers: BTreeMap::new(),
            notes_writes,
            has_disk: disk,
            loose: Loose::default(),
            base: Loose::default(),
        }
    }

    /// The memory as a step of `core` sees it.
    pub(super) fn seen<'a>(&'a self, core: &'a Core) -> Seen<'a> {
        Seen { core, ghost: self }
    }

    /// Makes the present state the one that runs start with.
    ///
    /// Each run counts its steps anew. So everything that set-up did counts as done before the first step. For example, a
    /// frame that set-up freed was freed before any translation of the run was cached.
    pub(super) fn checkpoint(&mut self) {
        self.change_sites(|site| site.step = 0);
        self.frames.checkpoint();
        self.mms.checkpoint();
        self.pages.checkpoint();
        self.slots.checkpoint();
        self.base.clone_from(&self.loose);
    }

    /// Changes every site that is remembered.
    fn change_sites(&mut self, mut change: impl FnMut(&mut Site)) {
        self.frames.change_known(|frame| {
            frame.mapped_by.iter_mut().map(|(_, site)| site).chain(&mut frame.life.freed).for_each(&mut change);
            frame.writes.last.iter_mut().for_each(&mut change);
            frame.copying.late.iter_mut().map(|write| &mut write.site).for_each(&mut change);
        });
        self.pages.change_known(|page| page.changed.iter_mut().for_each(&mut change));
        self.mms.change_known(|mm| mm.noted.writes.iter_mut().map(|write| &mut write.site).for_each(&mut change));
        self.loose.pins.iter_mut().map(|pin| &mut pin.taken).for_each(&mut change);
        self.loose.freed_objects.iter_mut().map(|(_, site)| site).for_each(&mut change);
        let gone = self.loose.gone_pins.iter_mut().flat_map(|(pin, put)| [&mut pin.taken, put]);
        gone.for_each(&mut change);
    }

    /// Goes back to the checkpoint.
    pub(super) fn rewind(&mut self) {
        self.frames.rewind();
        self.mms.rewind();
        self.pages.rewind();
        self.slots.rewind();
        self.loose.pins.clone_from(&self.base.pins);
        self.loose.gone_pins.clone_from(&self.base.gone_pins);
        self.loose.flushes.clone_from(&self.base.flushes);
        self.loose.freed_objects.clone_from(&self.base.freed_objects);
        self.loose.syncs.clone_from(&self.base.syncs);
        self.loose.page_locks.clone_from(&self.base.page_locks);
    }

    fn pin(&self, id: u64) -> Option<&PinState> {
        let place = self.loose.pins.binary_search_by_key(&id, |pin| pin.id).ok()?;
        self.loose.pins.get(place)
    }

    /// The number of a frame among the known ones; that of none, if memory has no such frame.
    #[inline]
    fn slot(&self, pfn: Pfn) -> usize {
        self.mem_map.slot(pfn).unwrap_or(u64::MAX) as usize
    }

    /// The place of a part of what is known of a frame.
    #[inline]
    fn place(&self, pfn: Pfn, part: OfFrame) -> Loc {
        self.places.frame(self.slot(pfn), part)
    }

    /// A part of what is known of a frame, to be changed. It is answered only if `differs` says that the present state will
    /// change.
    fn frame(
        &mut self,
        core: &Core,
        pfn: Pfn,
        part: OfFrame,
        differs: impl FnOnce(&Frame) -> bool,
    ) -> Option<&mut Frame> {
        let slot = self.slot(pfn);
        let changes = self.frames.get(slot).is_some_and(differs);
        core.touch(self.places.frame(slot, part), changes);
        if changes { self.frames.change(slot) } else { None }
    }

    /// A part of what is known of an address space, to be changed.
    fn mm(&mut self, core: &Core, mm: MmId, part: OfMm) -> Option<&mut Mm> {
        core.touch(self.places.mm(mm, part), true);
        self.mms.change(mm.0.into())
    }
}
