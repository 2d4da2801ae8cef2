//! The memory of the oracles: the truth about frames, entries and references, kept beside the machine.
//!
//! Each part of it has a [place](Places). Code that reads or changes the part touches the place. Code that gives
//! a part the value which the part has already only looks at it.

use std::collections::BTreeMap;
use std::ops::Range;

use sim_core::{Core, Loc};
use sim_mm::{FrameUse, MemMap, MmId, SharedPage, is_pte_present};
use sim_mmu::{Entry, Level, Pfn, VirtAddr, Vpn};

use super::Site;
use super::kept::Kept;
use super::places::{OfFrame, OfMm, Places};
use super::readers::{Readers, bit};

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
    /// When it last went to the free list.
    pub(super) freed: Option<Site>,
    /// How often it went there.
    pub(super) frees: u32,
}

/// What is known of a frame.
#[derive(Clone, Debug, Default)]
struct Frame {
    life: Life,
    /// The entries that map it now, special ones left out.
    mappings: Vec<(MmId, Vpn)>,
    /// The pages that it was ever behind since it was last allocated.
    homes: Vec<(MmId, Vpn)>,
    /// Who last made an entry lead to it, for each address space that did.
    mapped_by: Vec<(MmId, Site)>,
    readers: Readers,
    /// The object that processes share to which it belongs: whoever maps it has it on purpose, and what is written to it
    /// is everybody's. It keeps this until it is allocated anew: a page that left its file may still be mapped.
    shared: Option<SharedPage>,
    /// The frame that it was filled with a copy of, since it was last allocated.
    copied_from: Option<Pfn>,
    /// The address space whose root it was last.
    root_of: Option<MmId>,
    /// Who first made an entry say that it is dirty, since it was allocated or cleaned on purpose.
    dirtied: Option<Site>,
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
#[derive(Clone, Debug, Default)]
struct PageHistory {
    values: Vec<Justified>,
    /// Who changed the entry last.
    changed: Option<Site>,
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
    /// The frame was never behind that address since it was last allocated.
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
    /// Those that are done: what they covered, and which they were.
    done: Vec<(Range<Vpn>, u32)>,
}

/// What is in no table: little, and copied for each run.
#[derive(Clone, Debug, Default)]
struct Loose {
    /// In the order of their ids.
    pins: Vec<PinState>,
    /// References that were given up, and where.
    gone_pins: Vec<(PinState, Site)>,
    /// Those under way, at most one a CPU.
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
    /// The number of each page that was ever told of.
    page_numbers: BTreeMap<(MmId, Vpn), usize>,
    loose: Loose,
    base: Loose,
}

/// The memory of the oracles in a step: what is read through this is touched.
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

    /// The frames that were ever told of, in this run or before: all others are as they were when the machine
    /// was built.
    pub(super) fn known_frames(self) -> impl Iterator<Item = Pfn> {
        self.ghost.frames.known().iter().map(|slot| self.ghost.mem_map.pfn(*slot as u64))
    }

    /// What a frame is; `None` if memory has no such frame.
    pub(super) fn life(self, pfn: Pfn) -> Option<&'a Life> {
        self.frame(pfn, OfFrame::Life).map(|frame| &frame.life)
    }

    /// The entries that map a frame now, special ones left out.
    pub(super) fn mappings(self, pfn: Pfn) -> &'a [(MmId, Vpn)] {
        self.frame(pfn, OfFrame::Mappings).map(|frame| frame.mappings.as_slice()).unwrap_or_default()
    }

    /// The page of an object that processes share which a frame is, or was last since it was allocated.
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

    /// Whether a frame belongs to a file.
    pub(super) fn is_of_file(self, pfn: Pfn) -> bool {
        self.shared(pfn).is_some()
    }

    /// Who last made an entry lead to a frame, for each address space that did, the latest last.
    pub(super) fn mapped_by(self, pfn: Pfn) -> &'a [(MmId, Site)] {
        self.frame(pfn, OfFrame::MappedBy).map(|frame| frame.mapped_by.as_slice()).unwrap_or_default()
    }

    /// Whether an address space may read a word.
    pub(super) fn may_read(self, mm: MmId, pfn: Pfn, word: u32) -> bool {
        self.frame(pfn, OfFrame::Readers).is_none_or(|frame| frame.readers.of(word) & bit(mm) != 0)
    }

    /// The frame that a frame was filled with a copy of, since it was last allocated.
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
    /// A machine with these frames, of which the first `reserved` are taken, and so many address spaces.
    pub(super) fn new(core: &Core, mem_map: MemMap, reserved: u64, mms: usize) -> Ghost {
        let mut of_frames = Kept::new(vec![Frame::default(); mem_map.frames() as usize]);
        for pfn in 0..reserved {
            if let Some(frame) = of_frames.change(pfn as usize) {
                frame.life.state = FrameState::Reserved;
            }
        }
        Ghost {
            places: Places::new(core, mem_map, mms),
            mem_map,
            frames: of_frames,
            mms: Kept::new(vec![Mm::default(); usize::from(u8::MAX) + 1]),
            pages: Kept::default(),
            page_numbers: BTreeMap::new(),
            loose: Loose::default(),
            base: Loose::default(),
        }
    }

    /// For a step of `core`.
    pub(super) fn seen<'a>(&'a self, core: &'a Core) -> Seen<'a> {
        Seen { core, ghost: self }
    }

    /// Makes the present state the one that runs start with.
    ///
    /// Runs count their steps anew, so what set-up did counts as done before their first one: a frame that it freed
    /// was freed before any translation of the run was cached.
    pub(super) fn checkpoint(&mut self) {
        self.change_sites(|site| site.step = 0);
        self.frames.checkpoint();
        self.mms.checkpoint();
        self.pages.checkpoint();
        self.base.clone_from(&self.loose);
    }

    /// Changes every site that is remembered.
    fn change_sites(&mut self, mut change: impl FnMut(&mut Site)) {
        self.frames.change_known(|frame| {
            frame.mapped_by.iter_mut().map(|(_, site)| site).chain(&mut frame.life.freed).for_each(&mut change);
        });
        self.pages.change_known(|page| page.changed.iter_mut().for_each(&mut change));
        self.loose.pins.iter_mut().map(|pin| &mut pin.taken).for_each(&mut change);
        self.loose.freed_objects.iter_mut().map(|(_, site)| site).for_each(&mut change);
        let gone = self.loose.gone_pins.iter_mut().flat_map(|(pin, put)| [&mut pin.taken, put]);
        gone.for_each(&mut change);
    }

    /// Back to the checkpoint.
    pub(super) fn rewind(&mut self) {
        self.frames.rewind();
        self.mms.rewind();
        self.pages.rewind();
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

    /// Part of what is known of a frame, which changes if `differs` says so of the present state.
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

    /// Part of what is known of an address space, which changes.
    fn mm(&mut self, core: &Core, mm: MmId, part: OfMm) -> Option<&mut Mm> {
        core.touch(self.places.mm(mm, part), true);
        self.mms.change(mm.0.into())
    }

    /// A translation to a frame was cached, and remembers at which step: it tells frees before from frees after it.
    pub(super) fn filled(&self, core: &Core, pfn: Pfn) {
        core.touch(self.places.frame(pfn, OfFrame::Life), false);
    }

    /// An address space wrote a word: only it may read it, and whoever is being forked from it.
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
            frame.shared = None;
        }
        if let Some(frame) = self.frame(core, pfn, OfFrame::MappedBy, |frame| !frame.mapped_by.is_empty()) {
            frame.mapped_by.clear();
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

    /// What a frame holds need not be kept.
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

    pub(super) fn pte_changed(&mut self, core: &Core, mm: MmId, va: VirtAddr, old: Entry, new: Entry, site: Site) {
        let vpn = va.vpn();
        // The kernel counts what it has mapped, whether the hardware may find it or not.
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
                let is_new = |frame: &Frame| !special || !frame.homes.contains(&(mm, vpn));
                if let Some(frame) = self.frame(core, new.pfn(), OfFrame::Mappings, is_new) {
                    if !special {
                        frame.mappings.push((mm, vpn));
                    }
                    if !frame.homes.contains(&(mm, vpn)) {
                        frame.homes.push((mm, vpn));
                    }
                }
            }
            if let Some(frame) = self.frame(core, new.pfn(), OfFrame::MappedBy, |_| true) {
                frame.mapped_by.retain(|(by, _)| *by != mm);
                frame.mapped_by.push((mm, site.clone()));
            }
        }
        self.replaced(core, mm, vpn, new, site);
    }

    /// While a child is being forked, it may read whatever its parent may read of what it maps.
    fn share_with_child(&mut self, core: &Core, child: MmId, pfn: Pfn) {
        if let Some(parent) = self.seen(core).mm(child, OfMm::Forks).and_then(|mm| mm.parent) {
            let keeps = |frame: &Frame| frame.readers.keeps_from(child, parent);
            if let Some(frame) = self.frame(core, pfn, OfFrame::Readers, keeps) {
                frame.readers.share(child, parent);
            }
        }
    }

    /// The entry of a page has a new value: the old ones justify a translation until a flush that begins later is done.
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

    /// The promise of a flush: what was replaced before it began justifies nothing any more.
    pub(super) fn flush_done(&mut self, core: &Core, id: u64) {
        let Some(place) = self.loose.flushes.iter().position(|flush| flush.id == id) else { return };
        let Flush { mm, range, nth, .. } = self.loose.flushes.swap_remove(place);
        if let Some(mm) = self.mm(core, mm, OfMm::Done) {
            mm.done.push((range, nth));
        }
    }

    /// Somebody got a page: what he asked for, how much it added to the count, and where that was.
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
