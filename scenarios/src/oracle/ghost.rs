//! The memory of the oracles: the truth about frames, entries and references, kept beside the machine.
//!
//! Each part of it has a [place](Places). Code that reads or changes the part touches the place. Code that gives
//! a part the value which the part has already only looks at it.

use std::collections::BTreeMap;
use std::ops::Range;

use sim_core::{Core, Loc};
use sim_mm::{FrameUse, MemMap, MmId, SharedPage, Sharing, is_pte_present};
use sim_mmu::{Entry, Level, Pfn, VirtAddr, Vpn};

use super::kept::Kept;
use super::places::{OfFrame, OfMm, Places};
use super::readers::{Readers, bit};
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
    /// Memory of a driver, or of the kernel itself: nobody's page.
    Driver,
    /// A table.
    Table { level: Level, root: Pfn },
}

/// What a frame is, and how it came to be that.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    pub(super) state: FrameState,
    /// Where it last went to the free list.
    pub(super) freed: Option<Site>,
    /// How often it went there.
    pub(super) frees: u32,
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
        } = other;
        self.life.clone_from(life);
        self.mappings.clone_from(mappings);
        self.homes.clone_from(homes);
        self.mapped_by.clone_from(mapped_by);
        self.readers.clone_from(readers);
        self.shared = *shared;
        self.copied_from = *copied_from;
        self.root_of = *root_of;
        self.dirtied.clone_from(dirtied);
        self.shown.clone_from(shown);
        self.copying.copies.clone_from(&copying.copies);
        self.copying.late.clone_from(&copying.late);
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
}

/// The memory of the oracles.
#[derive(Debug)]
pub struct Ghost {
    places: Places,
    mem_map: MemMap,
    frames: Kept<Frame>,
    mms: Kept<Mm>,
    pages: Kept<PageHistory>,
    /// Who may read what the slots of the swap area hold.
    slots: Kept<Readers>,
    /// The number of each page that an event ever named.
    page_numbers: BTreeMap<(MmId, Vpn), usize>,
    /// Whether the kernel can be asked to note writes at all.
    pub(super) notes_writes: bool,
    loose: Loose,
    base: Loose,
}

/// The memory of the oracles in a step. The step touches what it reads through this.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    core: &'a Core,
    ghost: &'a Ghost,
}

impl<'a> Seen<'a> {
    fn frame(self, pfn: Pfn, part: OfFrame) -> Option<&'a Frame> {
        self.core.touch(self.ghost.places.frame(pfn, part), false);
        self.ghost.frames.get(self.ghost.slot(pfn))
    }

    fn mm(self, mm: MmId, part: OfMm) -> Option<&'a Mm> {
        self.core.touch(self.ghost.places.mm(mm, part), false);
        self.ghost.mms.get(mm.0.into())
    }

    fn page(self, mm: MmId, vpn: Vpn) -> Option<&'a PageHistory> {
        self.core.touch(self.ghost.places.page(mm, vpn), false);
        self.ghost.pages.get(*self.ghost.page_numbers.get(&(mm, vpn))?)
    }

    /// The frames that events ever named, in this run or before. All others are as they were when the machine was built.
    pub(super) fn known_frames(self) -> impl Iterator<Item = Pfn> {
        self.ghost.frames.known().iter().map(|slot| self.ghost.mem_map.pfn(*slot as u64))
    }

    /// What a frame is. `None`, if memory has no such frame.
    pub(super) fn life(self, pfn: Pfn) -> Option<&'a Life> {
        self.frame(pfn, OfFrame::Life).map(|frame| &frame.life)
    }

    /// The entries that map a frame now, without special ones.
    pub(super) fn mappings(self, pfn: Pfn) -> &'a [(MmId, Vpn)] {
        self.frame(pfn, OfFrame::Mappings).map(|frame| frame.mappings.as_slice()).unwrap_or_default()
    }

    /// If a frame is a page of an object that processes share, that page. It may also be the last such page since the frame was
    /// allocated.
    pub(super) fn shared(self, pfn: Pfn) -> Option<SharedPage> {
        self.frame(pfn, OfFrame::Mappings)?.shared
    }

    /// Who first made an entry say that a frame is dirty, since it was allocated or cleaned on purpose.
    pub(super) fn dirtied(self, pfn: Pfn) -> Option<&'a Site> {
        self.frame(pfn, OfFrame::Dirty)?.dirtied.as_ref()
    }

    /// The pages that a frame was ever behind since it was allocated.
    pub(super) fn homes(self, pfn: Pfn) -> &'a [(MmId, Vpn)] {
        self.frame(pfn, OfFrame::Mappings).map(|frame| frame.homes.as_slice()).unwrap_or_default()
    }

    /// Whether a frame was behind a page as a page of a file, and only ever by private mappings.
    pub(super) fn is_only_lent(self, pfn: Pfn, page: (MmId, Vpn)) -> bool {
        let shown = self.frame(pfn, OfFrame::Mappings).map(|frame| frame.shown.as_slice()).unwrap_or_default();
        shown.contains(&(page, false)) && !shown.contains(&(page, true))
    }

    /// Whether a frame belongs to a file.
    pub(super) fn is_of_file(self, pfn: Pfn) -> bool {
        self.shared(pfn).is_some()
    }

    /// Who last made an entry lead to a frame, for each address space that did, the latest last.
    pub(super) fn mapped_by(self, pfn: Pfn) -> &'a [(MmId, Site)] {
        self.frame(pfn, OfFrame::MappedBy).map(|frame| frame.mapped_by.as_slice()).unwrap_or_default()
    }

    /// The writes of an address space that the kernel has promised to note.
    pub(super) fn noted_writes(self, mm: MmId) -> &'a [NotedWrite] {
        self.mm(mm, OfMm::Noted).map(|mm| mm.noted.writes.as_slice()).unwrap_or_default()
    }

    /// Who wrote by a page to the frame that this frame is a copy of, after the copy was made.
    pub(super) fn written_after_copy(self, mm: MmId, vpn: Vpn, copy: Pfn) -> Option<(Pfn, &'a Site)> {
        let from = self.copied_from(copy)?;
        let Copying { copies, late } = &self.frame(from, OfFrame::Copies)?.copying;
        let nth = copies.iter().rposition(|pfn| *pfn == copy)?;
        let write = late.iter().find(|write| (write.mm, write.vpn) == (mm, vpn) && nth < write.copies)?;
        Some((from, &write.site))
    }

    /// Whether there is a copy of a frame.
    pub(super) fn has_copies(self, pfn: Pfn) -> bool {
        self.frame(pfn, OfFrame::Copies).is_some_and(|frame| !frame.copying.copies.is_empty())
    }

    /// Whether an address space may read a word.
    pub(super) fn may_read(self, mm: MmId, pfn: Pfn, word: u32) -> bool {
        self.frame(pfn, OfFrame::Readers).is_none_or(|frame| frame.readers.of(word) & bit(mm) != 0)
    }

    /// The frame from which a frame was filled by a copy, since it was last allocated.
    pub(super) fn copied_from(self, pfn: Pfn) -> Option<Pfn> {
        self.frame(pfn, OfFrame::Life)?.copied_from
    }

    /// The frame that the entry of a page maps now.
    pub(super) fn mapped_now(self, mm: MmId, vpn: Vpn) -> Option<Pfn> {
        Some(self.page(mm, vpn)?.values.iter().find(|value| value.until.is_none())?.pfn)
    }

    /// The address space whose root a frame is, or was last.
    pub(super) fn mm_of_root(self, root: Pfn) -> Option<MmId> {
        self.frame(root, OfFrame::Root)?.root_of
    }

    /// Whether a root is the kernel's own.
    pub(super) fn is_kernels(self, root: Pfn) -> bool {
        self.life(root).is_some_and(|life| life.state == FrameState::Reserved)
    }

    /// Whether one of the two is being forked from the other.
    pub(super) fn is_forking(self, a: MmId, b: MmId) -> bool {
        self.mm(a, OfMm::Forks).is_some_and(|mm| mm.parent == Some(b) || mm.children.contains(&b))
    }

    /// Who changed the entry of a page last.
    pub(super) fn changed(self, mm: MmId, vpn: Vpn) -> Option<&'a Site> {
        self.page(mm, vpn)?.changed.as_ref()
    }

    /// Whether the entry of a page allows such a translation, or did when the last complete flush of it began.
    pub(super) fn justifies(self, mm: MmId, vpn: Vpn, pfn: Pfn, write: bool) -> bool {
        let Some(page) = self.page(mm, vpn) else { return false };
        let mut values = page.values.iter().filter(|value| value.pfn == pfn && (value.write || !write));
        values.clone().any(|value| value.until.is_none())
            || values.any(|value| {
                let done = self.mm(mm, OfMm::Done).map(|mm| mm.done.as_slice()).unwrap_or_default();
                !done
                    .iter()
                    .any(|(range, nth)| range.contains(&vpn) && value.until.is_some_and(|until| until < *nth))
            })
    }

    /// A reference that is not given up yet.
    pub(super) fn pin(self, id: u64) -> Option<&'a PinState> {
        let pin = self.ghost.pin(id)?;
        self.core.touch(self.ghost.places.frame(pin.pfn, OfFrame::Pins), false);
        Some(pin)
    }

    /// A reference that was given up, and where.
    pub(super) fn gone_pin(self, id: u64) -> Option<(&'a PinState, &'a Site)> {
        let (pin, put) = self.ghost.loose.gone_pins.iter().find(|(pin, _)| pin.id == id)?;
        self.core.touch(self.ghost.places.frame(pin.pfn, OfFrame::Pins), false);
        Some((pin, put))
    }

    /// Pins that hold a frame now.
    pub(super) fn pins_on(self, pfn: Pfn) -> impl Iterator<Item = &'a PinState> {
        self.core.touch(self.ghost.places.frame(pfn, OfFrame::Pins), false);
        self.ghost.loose.pins.iter().filter(move |pin| pin.pfn == pfn)
    }

    /// Who last freed the object whose first word this is.
    pub(super) fn freed_object(self, first: Loc) -> Option<&'a Site> {
        self.ghost.loose.freed_objects.iter().find(|(object, _)| *object == first).map(|(_, site)| site)
    }
}

impl Ghost {
    /// The memory of the oracles for a machine.
    pub(super) fn new(core: &Core, watched: Watched) -> Ghost {
        let Watched { mem_map, reserved, mms, slots, notes_writes } = watched;
        let mut of_frames = Kept::new(vec![Frame::default(); mem_map.frames() as usize]);
        for pfn in 0..reserved {
            if let Some(frame) = of_frames.change(pfn as usize) {
                frame.life.state = FrameState::Reserved;
            }
        }
        Ghost {
            places: Places::new(core, mem_map, mms, slots),
            mem_map,
            frames: of_frames,
            mms: Kept::new(vec![Mm::default(); usize::from(u8::MAX) + 1]),
            pages: Kept::default(),
            slots: Kept::new(vec![Readers::default(); slots as usize]),
            page_numbers: BTreeMap::new(),
            notes_writes,
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
    }

    fn pin(&self, id: u64) -> Option<&PinState> {
        let place = self.loose.pins.binary_search_by_key(&id, |pin| pin.id).ok()?;
        self.loose.pins.get(place)
    }

    /// The number of a frame among the known ones; that of none, if memory has no such frame.
    fn slot(&self, pfn: Pfn) -> usize {
        self.mem_map.slot(pfn).unwrap_or(u64::MAX) as usize
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
        core.touch(self.places.frame(pfn, part), changes);
        if changes { self.frames.change(slot) } else { None }
    }

    /// A part of what is known of an address space, to be changed.
    fn mm(&mut self, core: &Core, mm: MmId, part: OfMm) -> Option<&mut Mm> {
        core.touch(self.places.mm(mm, part), true);
        self.mms.change(mm.0.into())
    }

    /// A translation to a frame was cached. It remembers the step, by which it tells earlier frees from later ones.
    pub(super) fn filled(&self, core: &Core, pfn: Pfn) {
        core.touch(self.places.frame(pfn, OfFrame::Life), false);
    }

    /// An address space wrote a word. From now on only it may read the word, and those that are being forked from it.
    pub(super) fn wrote(&mut self, core: &Core, mm: MmId, pfn: Pfn, word: u32) {
        if self.seen(core).shared(pfn).is_some() {
            return;
        }
        let children = self.seen(core).mm(mm, OfMm::Forks).map(|mm| mm.children.as_slice()).unwrap_or_default();
        let set = children.iter().fold(bit(mm), |set, child| set | bit(*child));
        if let Some(frame) = self.frame(core, pfn, OfFrame::Readers, |frame| frame.readers.of(word) != set) {
            frame.readers.set(word, set);
        }
    }

    /// User code wrote by a page to a frame of which there are copies.
    pub(super) fn wrote_late(&mut self, core: &Core, mm: MmId, vpn: Vpn, pfn: Pfn, site: &Site) {
        let is_news = |frame: &Frame| {
            let known = |write: &LateWrite| (write.mm, write.vpn) == (mm, vpn);
            let newest = frame.copying.late.iter().rfind(|write| known(write));
            newest.is_none_or(|write| write.copies < frame.copying.copies.len())
        };
        if let Some(frame) = self.frame(core, pfn, OfFrame::Copies, is_news) {
            let copies = frame.copying.copies.len();
            frame.copying.late.push(LateWrite { mm, vpn, copies, site: site.clone() });
        }
    }

    /// The kernel forgets which pages were written; with `since` it is done, and notes those that are written from now on.
    pub(super) fn writes_noted(&mut self, core: &Core, mm: MmId, since: bool) {
        if let Some(mm) = self.mm(core, mm, OfMm::Noted) {
            mm.noted = Noted { since, writes: Vec::new() };
        }
    }

    /// User code wrote to a page.
    pub(super) fn user_wrote(&mut self, core: &Core, mm: MmId, vpn: Vpn, pfn: Pfn, site: &Site) {
        let frees = self.seen(core).life(pfn).map_or(0, |life| life.frees);
        let is_news = self.seen(core).mm(mm, OfMm::Noted).is_some_and(|mm| {
            let known = |write: &NotedWrite| write.vpn == vpn && write.pfn == pfn && write.frees == frees;
            mm.noted.since && !mm.noted.writes.iter().any(known)
        });
        if is_news && let Some(mm) = self.mm(core, mm, OfMm::Noted) {
            mm.noted.writes.push(NotedWrite { vpn, pfn, frees, site: site.clone() });
        }
    }

    /// A page of an object that processes share is no longer mapped there: with the entry goes the note that it was written.
    fn forget_noted(&mut self, core: &Core, mm: MmId, vpn: Vpn) {
        let is_known = self.seen(core).noted_writes(mm).iter().any(|write| write.vpn == vpn);
        if is_known && let Some(mm) = self.mm(core, mm, OfMm::Noted) {
            mm.noted.writes.retain(|write| write.vpn != vpn);
        }
    }

    pub(super) fn cleared(&mut self, core: &Core, pfn: Pfn) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Readers, |frame| !frame.readers.is_everyones()) {
            frame.readers.clear();
        }
    }

    pub(super) fn copied(&mut self, core: &Core, from: Pfn, to: Pfn) {
        let Some(source) = self.seen(core).frame(from, OfFrame::Readers) else { return };
        let readers = source.readers.clone();
        if let Some(frame) = self.frame(core, to, OfFrame::Readers, |frame| frame.readers != readers) {
            frame.readers = readers;
        }
        if let Some(frame) = self.frame(core, to, OfFrame::Life, |frame| frame.copied_from != Some(from)) {
            frame.copied_from = Some(from);
        }
        if let Some(frame) = self.frame(core, from, OfFrame::Copies, |_| true) {
            frame.copying.copies.push(to);
        }
    }

    /// A slot of the swap area holds what a frame held: whoever may read the one may read the other.
    pub(super) fn swapped_out(&mut self, core: &Core, pfn: Pfn, slot: u64) {
        let Some(source) = self.seen(core).frame(pfn, OfFrame::Readers) else { return };
        let readers = source.readers.clone();
        core.touch(self.places.slot(slot), true);
        if let Some(of) = self.slots.change(slot as usize) {
            *of = readers;
        }
    }

    /// A frame holds what a slot of the swap area holds.
    pub(super) fn swapped_in(&mut self, core: &Core, slot: u64, pfn: Pfn) {
        core.touch(self.places.slot(slot), false);
        let Some(readers) = self.slots.get(slot as usize).cloned() else { return };
        if let Some(frame) = self.frame(core, pfn, OfFrame::Readers, |frame| frame.readers != readers) {
            frame.readers = readers;
        }
    }

    /// An entry names a slot of the swap area now. A child that is being forked may read what its parent may read there, and in the
    /// page that the swap cache has of the slot.
    pub(super) fn slot_named(&mut self, core: &Core, child: MmId, slot: u64, cached: Option<Pfn>) {
        let Some(parent) = self.seen(core).mm(child, OfMm::Forks).and_then(|mm| mm.parent) else { return };
        core.touch(self.places.slot(slot), true);
        if let Some(readers) = self.slots.change(slot as usize) {
            readers.share(child, parent);
        }
        if let Some(cached) = cached {
            self.share_with_child(core, child, cached);
        }
    }

    pub(super) fn allocated(&mut self, core: &Core, pfn: Pfn, for_use: FrameUse) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Life, |_| true) {
            frame.copied_from = None;
            frame.life.state = match for_use {
                FrameUse::Data => FrameState::Data,
                FrameUse::Driver | FrameUse::Batch => FrameState::Driver,
                FrameUse::Root => FrameState::Table { level: Level::P4d, root: pfn },
                FrameUse::Table { level, root } => FrameState::Table { level, root },
            };
        }
        let was_mapped =
            |frame: &Frame| !(frame.mappings.is_empty() && frame.homes.is_empty() && frame.shared.is_none());
        if let Some(frame) = self.frame(core, pfn, OfFrame::Mappings, was_mapped) {
            frame.mappings.clear();
            frame.homes.clear();
            frame.shown.clear();
            frame.shared = None;
        }
        if let Some(frame) = self.frame(core, pfn, OfFrame::MappedBy, |frame| !frame.mapped_by.is_empty()) {
            frame.mapped_by.clear();
        }
        if let Some(frame) = self.frame(core, pfn, OfFrame::Copies, |frame| !frame.copying.copies.is_empty()) {
            frame.copying = Copying::default();
        }
        self.cleaned(core, pfn);
        if for_use != FrameUse::Data {
            self.cleared(core, pfn);
        }
    }

    /// An entry of a frame says that it is dirty.
    pub(super) fn dirtied(&mut self, core: &Core, pfn: Pfn, site: impl FnOnce() -> Site) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Dirty, |frame| frame.dirtied.is_none()) {
            frame.dirtied = Some(site());
        }
    }

    /// The contents of a frame need not be kept.
    pub(super) fn cleaned(&mut self, core: &Core, pfn: Pfn) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Dirty, |frame| frame.dirtied.is_some()) {
            frame.dirtied = None;
        }
    }

    pub(super) fn freed(&mut self, core: &Core, pfn: Pfn, site: Site) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Life, |_| true) {
            frame.life = Life { state: FrameState::Free, freed: Some(site), frees: frame.life.frees + 1 };
        }
    }

    pub(super) fn mm_created(&mut self, core: &Core, mm: MmId, root: Pfn, parent: Option<MmId>) {
        if let Some(frame) = self.frame(core, root, OfFrame::Root, |_| true) {
            frame.root_of = Some(mm);
        }
        if let Some(mm) = self.mm(core, mm, OfMm::Forks) {
            mm.parent = parent;
        }
        if let Some(parent) = parent.and_then(|parent| self.mm(core, parent, OfMm::Forks)) {
            parent.children.push(mm);
        }
    }

    pub(super) fn fork_done(&mut self, core: &Core, parent: MmId, child: MmId) {
        if let Some(child) = self.mm(core, child, OfMm::Forks) {
            child.parent = None;
        }
        if let Some(parent) = self.mm(core, parent, OfMm::Forks) {
            parent.children.retain(|of| *of != child);
        }
    }

    /// A frame is a page of a shared object from now on.
    pub(super) fn cached(&mut self, core: &Core, pfn: Pfn, page: SharedPage) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Mappings, |frame| frame.shared != Some(page)) {
            frame.shared = Some(page);
        }
    }

    pub(super) fn pte_changed(
        &mut self,
        core: &Core,
        (mm, va): (MmId, VirtAddr),
        (old, new): (Entry, Entry),
        sharing: Sharing,
        site: Site,
    ) {
        let vpn = va.vpn();
        let shown = match sharing {
            Sharing::Shared(_) => Some(((mm, vpn), true)),
            Sharing::CopyOnWrite(_) => Some(((mm, vpn), false)),
            Sharing::Private | Sharing::Nobody => None,
        };
        // The kernel counts the pages that it has mapped, whether the hardware may use the entry or not.
        let (was_there, is_there) = (is_pte_present(old), is_pte_present(new));
        let stays = was_there && is_there && old.pfn() == new.pfn();
        if was_there && !stays {
            let maps = |frame: &Frame| frame.mappings.contains(&(mm, vpn));
            if let Some(frame) = self.frame(core, old.pfn(), OfFrame::Mappings, maps)
                && let Some(place) = frame.mappings.iter().position(|mapping| *mapping == (mm, vpn))
            {
                frame.mappings.swap_remove(place);
            }
        }
        if is_there {
            self.share_with_child(core, mm, new.pfn());
            if !stays {
                let special = new.has(Entry::SPECIAL);
                let is_known = |frame: &Frame| {
                    frame.homes.contains(&(mm, vpn)) && shown.is_none_or(|shown| frame.shown.contains(&shown))
                };
                let is_new = |frame: &Frame| !special || !is_known(frame);
                if let Some(frame) = self.frame(core, new.pfn(), OfFrame::Mappings, is_new) {
                    if !special {
                        frame.mappings.push((mm, vpn));
                    }
                    if !frame.homes.contains(&(mm, vpn)) {
                        frame.homes.push((mm, vpn));
                    }
                    if let Some(shown) = shown.filter(|shown| !frame.shown.contains(shown)) {
                        frame.shown.push(shown);
                    }
                }
            }
            if let Some(frame) = self.frame(core, new.pfn(), OfFrame::MappedBy, |_| true) {
                frame.mapped_by.retain(|(by, _)| *by != mm);
                frame.mapped_by.push((mm, site.clone()));
            }
        }
        if self.notes_writes && was_there && !is_there && self.seen(core).is_of_file(old.pfn()) {
            self.forget_noted(core, mm, vpn);
        }
        self.replaced(core, mm, vpn, new, site);
    }

    /// While a child is being forked, it may read everything in its pages that its parent may read.
    fn share_with_child(&mut self, core: &Core, child: MmId, pfn: Pfn) {
        if let Some(parent) = self.seen(core).mm(child, OfMm::Forks).and_then(|mm| mm.parent) {
            let keeps = |frame: &Frame| frame.readers.keeps_from(child, parent);
            if let Some(frame) = self.frame(core, pfn, OfFrame::Readers, keeps) {
                frame.readers.share(child, parent);
            }
        }
    }

    /// The entry of a page has a new value. An old value justifies a translation until a flush is done that begins later.
    fn replaced(&mut self, core: &Core, mm: MmId, vpn: Vpn, new: Entry, site: Site) {
        core.touch(self.places.page(mm, vpn), true);
        let number = *self.page_numbers.entry((mm, vpn)).or_insert_with(|| self.pages.add());
        let is_open = |page: &PageHistory| page.values.iter().any(|value| value.until.is_none());
        let begun = if self.pages.get(number).is_some_and(is_open) {
            self.seen(core).mm(mm, OfMm::Begun).map_or(0, |mm| mm.begun)
        } else {
            0
        };
        let page = self.pages.change(number).expect("a page has the number of a history");
        page.changed = Some(site);
        for value in page.values.iter_mut().filter(|value| value.until.is_none()) {
            value.until = Some(begun);
        }
        if new.is_present() {
            page.values.push(Justified { pfn: new.pfn(), write: new.has(Entry::RW), until: None });
        }
    }

    pub(super) fn flush_begun(&mut self, core: &Core, id: u64, mm: MmId, range: Range<Vpn>) {
        let Some(of) = self.mm(core, mm, OfMm::Begun) else { return };
        of.begun += 1;
        let nth = of.begun;
        self.loose.flushes.push(Flush { id, mm, range, nth });
    }

    /// A flush is done. Values that were replaced before it began justify nothing any more.
    pub(super) fn flush_done(&mut self, core: &Core, id: u64) {
        let Some(place) = self.loose.flushes.iter().position(|flush| flush.id == id) else { return };
        let Flush { mm, range, nth, .. } = self.loose.flushes.swap_remove(place);
        if let Some(mm) = self.mm(core, mm, OfMm::Done) {
            mm.done.push((range, nth));
        }
    }

    /// A caller of GUP got a page: for which address, how much was added to the count, and where.
    pub(super) fn pinned(
        &mut self,
        core: &Core,
        (id, references): (u64, u64),
        (mm, va): (MmId, VirtAddr),
        pfn: Pfn,
        taken: Site,
    ) {
        let home = self.seen(core).frame(pfn, OfFrame::Mappings);
        let stranger = home.is_none_or(|frame| !frame.homes.contains(&(mm, va.vpn())));
        let frees = self.seen(core).life(pfn).map_or(0, |life| life.frees);
        core.touch(self.places.frame(pfn, OfFrame::Pins), true);
        let place = self.loose.pins.partition_point(|pin| pin.id < id);
        self.loose.pins.insert(place, PinState { id, mm, va, pfn, references, taken, frees, stranger });
    }

    pub(super) fn unpinned(&mut self, core: &Core, id: u64, site: Site) {
        if let Ok(place) = self.loose.pins.binary_search_by_key(&id, |pin| pin.id) {
            let pin = self.loose.pins.remove(place);
            core.touch(self.places.frame(pin.pfn, OfFrame::Pins), true);
            self.loose.gone_pins.push((pin, site));
        }
    }

    pub(super) fn object_freed(&mut self, first: Loc, site: Site) {
        self.loose.freed_objects.retain(|(object, _)| *object != first);
        self.loose.freed_objects.push((first, site));
    }
}
