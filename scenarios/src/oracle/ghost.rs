//! What the oracles remember: the truth about frames, entries and references, kept beside the machine.

use std::ops::Range;

use sim_core::{CpuId, Loc, Role, Routine};
use sim_mm::{FrameUse, MmId};
use sim_mmu::{Entry, Level, Pfn, VirtAddr, Vpn};

/// Where something happened. Without the event log, the stack is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// On which CPU.
    pub cpu: CpuId,
    /// At which step of the run.
    pub step: u64,
    /// The active routines, outermost first.
    pub stack: Vec<Routine>,
}

impl Site {
    /// The innermost routine that tells what was going on.
    pub fn routine(&self) -> Option<&'static str> {
        telling(&self.stack).map(|routine| routine.name)
    }
}

/// The innermost of some active routines that is more than a helper.
pub(crate) fn telling(stack: &[Routine]) -> Option<Routine> {
    stack.iter().rev().find(|routine| routine.role != Role::Helper).or(stack.last()).copied()
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameState {
    /// Taken before anything ran: the zero page, the kernel's own root.
    Reserved,
    /// On the free list.
    Free,
    /// Contents of user memory.
    Data,
    /// A table.
    Table { level: Level, root: Pfn },
}

/// What is known of a frame.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) state: FrameState,
    /// When it last went to the free list.
    pub(super) freed: Option<Site>,
    /// The entries that map it now, special ones left out.
    pub(super) mappings: Vec<(MmId, Vpn)>,
    /// The pages that it was ever behind since it was last allocated.
    pub(super) homes: Vec<(MmId, Vpn)>,
    /// Who last made an entry lead to it, for each address space that did.
    pub(super) mapped_by: Vec<(MmId, Site)>,
}

/// A value that an entry had, and whether it still has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Justified {
    pub(super) pfn: Pfn,
    pub(super) write: bool,
    /// The moment at which it was replaced.
    pub(super) until: Option<u64>,
}

/// A page of an address space: the values that justify a translation of it.
#[derive(Clone, Debug)]
pub(super) struct PageHistory {
    pub(super) mm: MmId,
    pub(super) vpn: Vpn,
    pub(super) values: Vec<Justified>,
    /// Who changed the entry last.
    pub(super) changed: Option<Site>,
}

/// A reference that GUP handed out.
#[derive(Clone, Debug)]
pub(super) struct PinState {
    pub(super) id: u64,
    pub(super) mm: MmId,
    pub(super) va: VirtAddr,
    pub(super) pfn: Pfn,
    pub(super) taken: Site,
    /// The frame was never behind that address since it was last allocated.
    pub(super) stranger: bool,
}

#[derive(Clone, Debug)]
struct Flush {
    id: u64,
    mm: MmId,
    range: Range<Vpn>,
    begun: u64,
}

/// The memory of the oracles.
#[derive(Clone, Debug)]
pub struct Ghost {
    pub(super) frames: Vec<Frame>,
    /// For each word of memory, the address spaces that may read what it holds: a bit each.
    readers: Vec<u64>,
    words: u32,
    pub(super) pages: Vec<PageHistory>,
    pub(super) pins: Vec<PinState>,
    flushes: Vec<Flush>,
    /// Kernel objects that were freed: the first word of each, and who did it last.
    freed_objects: Vec<(Loc, Site)>,
    /// Root frame of each address space that ever was.
    roots: Vec<(Pfn, MmId)>,
    /// Address spaces that were torn down, or are being.
    pub(super) exited: Vec<MmId>,
    /// Forks under way: parent and child.
    pub(super) forking: Vec<(MmId, MmId)>,
    /// Counts events: the moments that `until` and `begun` speak of.
    moment: u64,
}

const EVERYONE: u64 = u64::MAX;

fn bit(mm: MmId) -> u64 {
    1 << (mm.0 % 64)
}

impl Ghost {
    /// A machine with `frames` frames of `words` words, of which the first `reserved` are taken.
    pub(super) fn new(frames: u64, words: u32, reserved: u64) -> Ghost {
        let frame = |pfn| Frame {
            state: if pfn < reserved { FrameState::Reserved } else { FrameState::Free },
            freed: None,
            mappings: Vec::new(),
            homes: Vec::new(),
            mapped_by: Vec::new(),
        };
        Ghost {
            frames: (0..frames).map(frame).collect(),
            readers: vec![EVERYONE; frames as usize * words as usize],
            words,
            pages: Vec::new(),
            pins: Vec::new(),
            flushes: Vec::new(),
            freed_objects: Vec::new(),
            roots: Vec::new(),
            exited: Vec::new(),
            forking: Vec::new(),
            moment: 0,
        }
    }

    pub(super) fn frame(&self, pfn: Pfn) -> Option<&Frame> {
        self.frames.get(pfn.0 as usize)
    }

    fn frame_mut(&mut self, pfn: Pfn) -> Option<&mut Frame> {
        self.frames.get_mut(pfn.0 as usize)
    }

    pub(super) fn mm_of_root(&self, root: Pfn) -> Option<MmId> {
        self.roots.iter().rev().find(|(r, _)| *r == root).map(|(_, mm)| *mm)
    }

    pub(super) fn page(&self, mm: MmId, vpn: Vpn) -> Option<&PageHistory> {
        self.pages.iter().find(|page| page.mm == mm && page.vpn == vpn)
    }

    pub(super) fn pin(&self, id: u64) -> Option<&PinState> {
        self.pins.iter().find(|pin| pin.id == id)
    }

    /// Whether an address space may read a word.
    pub(super) fn may_read(&self, mm: MmId, pfn: Pfn, word: u32) -> bool {
        self.readers
            .get(pfn.0 as usize * self.words as usize + word as usize)
            .is_none_or(|readers| readers & bit(mm) != 0)
    }

    /// Whether one of the two is being forked from the other.
    pub(super) fn is_forking(&self, a: MmId, b: MmId) -> bool {
        self.forking.iter().any(|&(parent, child)| (parent, child) == (a, b) || (parent, child) == (b, a))
    }

    pub(super) fn tick(&mut self) {
        self.moment += 1;
    }

    fn readers_of(&mut self, pfn: Pfn) -> &mut [u64] {
        let words = self.words as usize;
        let start = pfn.0 as usize * words;
        self.readers.get_mut(start..start + words).unwrap_or_default()
    }

    /// An address space wrote a word: only it may read it, and whoever is being forked from it.
    pub(super) fn wrote(&mut self, mm: MmId, pfn: Pfn, word: u32) {
        let forked = self.forking.iter().filter(|(parent, _)| *parent == mm).fold(0, |set, (_, c)| set | bit(*c));
        if let Some(readers) = self.readers_of(pfn).get_mut(word as usize) {
            *readers = bit(mm) | forked;
        }
    }

    pub(super) fn cleared(&mut self, pfn: Pfn) {
        self.readers_of(pfn).fill(EVERYONE);
    }

    pub(super) fn copied(&mut self, from: Pfn, to: Pfn) {
        let source = self.readers_of(from).to_vec();
        self.readers_of(to).copy_from_slice(&source);
    }

    pub(super) fn allocated(&mut self, pfn: Pfn, for_use: FrameUse) {
        let Some(frame) = self.frame_mut(pfn) else { return };
        frame.state = match for_use {
            FrameUse::Data => FrameState::Data,
            FrameUse::Root => FrameState::Table { level: Level::P4d, root: pfn },
            FrameUse::Table { level, root } => FrameState::Table { level, root },
        };
        frame.mappings.clear();
        frame.homes.clear();
        frame.mapped_by.clear();
        if for_use != FrameUse::Data {
            self.cleared(pfn);
        }
    }

    pub(super) fn freed(&mut self, pfn: Pfn, site: Site) {
        if let Some(frame) = self.frame_mut(pfn) {
            frame.state = FrameState::Free;
            frame.freed = Some(site);
        }
    }

    pub(super) fn mm_created(&mut self, mm: MmId, root: Pfn, parent: Option<MmId>) {
        self.roots.push((root, mm));
        self.forking.extend(parent.map(|parent| (parent, mm)));
    }

    pub(super) fn fork_done(&mut self, parent: MmId, child: MmId) {
        self.forking.retain(|fork| *fork != (parent, child));
    }

    pub(super) fn pte_changed(&mut self, mm: MmId, va: VirtAddr, old: Entry, new: Entry, site: Site) {
        let vpn = va.vpn();
        if old.is_present()
            && old.pfn() != new.pfn()
            && let Some(frame) = self.frame_mut(old.pfn())
            && let Some(i) = frame.mappings.iter().position(|m| *m == (mm, vpn))
        {
            frame.mappings.swap_remove(i);
        }
        if new.is_present() {
            self.mapped(mm, vpn, old, new, &site);
        } else if old.is_present()
            && let Some(frame) = self.frame_mut(old.pfn())
        {
            frame.mappings.retain(|m| *m != (mm, vpn));
        }
        let moment = self.moment;
        let page = match self.pages.iter().position(|page| page.mm == mm && page.vpn == vpn) {
            Some(i) => &mut self.pages[i],
            None => {
                self.pages.push(PageHistory { mm, vpn, values: Vec::new(), changed: None });
                self.pages.last_mut().expect("just pushed")
            }
        };
        page.changed = Some(site);
        for value in page.values.iter_mut().filter(|value| value.until.is_none()) {
            value.until = Some(moment);
        }
        if new.is_present() {
            page.values.push(Justified { pfn: new.pfn(), write: new.has(Entry::RW), until: None });
        }
    }

    fn mapped(&mut self, mm: MmId, vpn: Vpn, old: Entry, new: Entry, site: &Site) {
        let parent = self.forking.iter().find(|(_, child)| *child == mm).map(|(parent, _)| *parent);
        if let Some(parent) = parent {
            for readers in self.readers_of(new.pfn()) {
                if *readers & bit(parent) != 0 {
                    *readers |= bit(mm);
                }
            }
        }
        let Some(frame) = self.frame_mut(new.pfn()) else { return };
        if !(old.is_present() && old.pfn() == new.pfn()) {
            if !new.has(Entry::SPECIAL) {
                frame.mappings.push((mm, vpn));
            }
            if !frame.homes.contains(&(mm, vpn)) {
                frame.homes.push((mm, vpn));
            }
        }
        frame.mapped_by.retain(|(by, _)| *by != mm);
        frame.mapped_by.push((mm, site.clone()));
    }

    pub(super) fn pinned(&mut self, id: u64, mm: MmId, va: VirtAddr, pfn: Pfn, taken: Site) {
        let stranger = self.frame(pfn).is_none_or(|frame| !frame.homes.contains(&(mm, va.vpn())));
        self.pins.push(PinState { id, mm, va, pfn, taken, stranger });
    }

    pub(super) fn unpinned(&mut self, id: u64) {
        self.pins.retain(|pin| pin.id != id);
    }

    pub(super) fn flush_begun(&mut self, id: u64, mm: MmId, range: Range<Vpn>) {
        let begun = self.moment;
        self.flushes.push(Flush { id, mm, range, begun });
    }

    pub(super) fn object_freed(&mut self, first: Loc, site: Site) {
        self.freed_objects.retain(|(object, _)| *object != first);
        self.freed_objects.push((first, site));
    }

    /// Who last freed the object whose first word this is.
    pub(super) fn freed_object(&self, first: Loc) -> Option<&Site> {
        self.freed_objects.iter().find(|(object, _)| *object == first).map(|(_, site)| site)
    }

    /// The address space of a flush that is not done yet.
    pub(super) fn flushed_mm(&self, id: u64) -> Option<MmId> {
        self.flushes.iter().find(|flush| flush.id == id).map(|flush| flush.mm)
    }

    /// The promise of a flush: what was replaced before it began justifies nothing any more.
    pub(super) fn flush_done(&mut self, id: u64) {
        let Some(i) = self.flushes.iter().position(|flush| flush.id == id) else { return };
        let Flush { mm, range, begun, .. } = self.flushes.swap_remove(i);
        for page in self.pages.iter_mut().filter(|page| page.mm == mm && range.contains(&page.vpn)) {
            page.values.retain(|value| value.until.is_none_or(|until| until > begun));
        }
    }

    /// Becomes a copy of `base`, keeping what memory it has.
    pub(super) fn rewind_to(&mut self, base: &Ghost) {
        self.frames.clone_from(&base.frames);
        self.readers.clone_from(&base.readers);
        self.pages.clone_from(&base.pages);
        self.pins.clone_from(&base.pins);
        self.flushes.clone_from(&base.flushes);
        self.freed_objects.clone_from(&base.freed_objects);
        self.roots.clone_from(&base.roots);
        self.exited.clone_from(&base.exited);
        self.forking.clone_from(&base.forking);
        self.moment = base.moment;
    }

    /// Pins that hold a frame now.
    pub(super) fn pins_on(&self, pfn: Pfn) -> impl Iterator<Item = &PinState> {
        self.pins.iter().filter(move |pin| pin.pfn == pfn)
    }
}
