//! What the memory of the oracles is told: a function for each thing that happens on the machine.

use std::ops::Range;

use sim_core::{Core, CpuId, Loc, TaskId};
use sim_mm::{FrameUse, MmId, SharedPage, Sharing, is_pte_present};
use sim_mmu::{Entry, Level, Pfn, VirtAddr, Vpn};

use super::{
    Copying, FileWrites, Flush, Frame, FrameState, Ghost, Justified, LateWrite, Life, Noted, NotedWrite,
    PageHistory, PinState, Slot, Sync,
};
use crate::oracle::Site;
use crate::oracle::places::{OfFrame, OfMm};
use crate::oracle::readers::bit;

impl Ghost {
    /// A translation to a frame was cached. It remembers the step, by which it tells earlier frees from later ones.
    pub(in crate::oracle) fn filled(&self, core: &Core, pfn: Pfn) {
        core.touch(self.place(pfn, OfFrame::Life), false);
    }

    /// An address space wrote a word. From now on only it may read the word, and those that are being forked from it.
    pub(in crate::oracle) fn wrote(&mut self, core: &Core, mm: MmId, pfn: Pfn, word: u32) {
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
    pub(in crate::oracle) fn wrote_late(&mut self, core: &Core, mm: MmId, vpn: Vpn, pfn: Pfn, site: &Site) {
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
    pub(in crate::oracle) fn writes_noted(&mut self, core: &Core, mm: MmId, since: bool) {
        if let Some(mm) = self.mm(core, mm, OfMm::Noted) {
            mm.noted = Noted { since, writes: Vec::new() };
        }
    }

    /// User code wrote to a page.
    pub(in crate::oracle) fn user_wrote(&mut self, core: &Core, mm: MmId, vpn: Vpn, pfn: Pfn, site: &Site) {
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

    pub(in crate::oracle) fn cleared(&mut self, core: &Core, pfn: Pfn) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Readers, |frame| !frame.readers.is_everyones()) {
            frame.readers.clear();
        }
    }

    pub(in crate::oracle) fn copied(&mut self, core: &Core, from: Pfn, to: Pfn) {
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

    /// What was one frame is the other from now on. An entry of either may have said that it is dirty.
    pub(in crate::oracle) fn migrated(&mut self, core: &Core, from: Pfn, to: Pfn) {
        if let Some(site) = self.seen(core).dirtied(from).cloned() {
            self.dirtied(core, to, || site);
        }
    }

    /// An entry leads to the frame to which the page of another frame was moved: the address space may read there what it could read in that
    /// one. It may have been forked since the page was copied.
    pub(in crate::oracle) fn readable_as(&mut self, core: &Core, mm: MmId, from: Pfn, to: Pfn) {
        let Some(source) = self.seen(core).frame(from, OfFrame::Readers) else { return };
        let source = source.readers.clone();
        let differs = |frame: &Frame| frame.readers.lacks(mm, &source);
        if let Some(frame) = self.frame(core, to, OfFrame::Readers, differs) {
            frame.readers.add(mm, &source);
        }
    }

    /// A slot of the swap area holds what a frame held: whoever may read the one may read the other.
    pub(in crate::oracle) fn swapped_out(&mut self, core: &Core, pfn: Pfn, slot: u64) {
        let Some(source) = self.seen(core).frame(pfn, OfFrame::Readers) else { return };
        let held = Slot { readers: source.readers.clone(), from: Some((pfn, source.life.frees)) };
        core.touch(self.places.slot(slot), true);
        if let Some(of) = self.slots.change(slot as usize) {
            *of = held;
        }
    }

    /// A frame holds what a slot of the swap area holds.
    pub(in crate::oracle) fn swapped_in(&mut self, core: &Core, slot: u64, pfn: Pfn) {
        core.touch(self.places.slot(slot), false);
        let Some(Slot { readers, from }) = self.slots.get(slot as usize).cloned() else { return };
        if self.notes_writes {
            let frees = self.seen(core).life(pfn).map_or(0, |life| life.frees);
            self.loose.swapped.extend(from.map(|from| (from, (pfn, frees))));
        }
        if let Some(frame) = self.frame(core, pfn, OfFrame::Readers, |frame| frame.readers != readers) {
            frame.readers = readers;
        }
    }

    /// An entry names a slot of the swap area now. A child that is being forked may read what its parent may read there, and in the
    /// page that the swap cache has of the slot.
    pub(in crate::oracle) fn slot_named(&mut self, core: &Core, child: MmId, slot: u64, cached: Option<Pfn>) {
        let Some(parent) = self.seen(core).mm(child, OfMm::Forks).and_then(|mm| mm.parent) else { return };
        core.touch(self.places.slot(slot), true);
        if let Some(held) = self.slots.change(slot as usize) {
            held.readers.share(child, parent);
        }
        if let Some(cached) = cached {
            self.share_with_child(core, child, cached);
        }
    }

    pub(in crate::oracle) fn allocated(&mut self, core: &Core, pfn: Pfn, for_use: FrameUse) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Life, |_| true) {
            frame.copied_from = None;
            frame.life.state = match for_use {
                FrameUse::Data => FrameState::Data,
                FrameUse::Driver | FrameUse::Batch | FrameUse::Returned => FrameState::Driver,
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
        self.forget_writes(core, pfn);
        if for_use != FrameUse::Data {
            self.cleared(core, pfn);
        }
    }

    /// The kernel was told that the memory of a frame is broken, and has marked the page.
    pub(in crate::oracle) fn broken(&mut self, core: &Core, pfn: Pfn) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Life, |frame| !frame.life.broken) {
            frame.life.broken = true;
        }
    }

    /// An address space begins to use a table that another one has.
    pub(in crate::oracle) fn table_shared(&mut self, core: &Core, table: Pfn, with: Pfn, root: Pfn) {
        if let Some(frame) = self.frame(core, table, OfFrame::Life, |_| true) {
            let sharers = &mut frame.life.sharers;
            if sharers.is_empty() {
                sharers.push(with);
            }
            sharers.push(root);
        }
    }

    /// An address space has given a shared table up.
    pub(in crate::oracle) fn table_given_up(&mut self, core: &Core, table: Pfn, root: Pfn) {
        if let Some(frame) = self.frame(core, table, OfFrame::Life, |_| true) {
            frame.life.sharers.retain(|sharer| *sharer != root);
        }
    }

    /// A frame is a part of the huge page of zeroes, as a special entry says that maps a huge page.
    pub(in crate::oracle) fn holds_zeroes(&mut self, core: &Core, pfn: Pfn) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Life, |frame| frame.life.state == FrameState::Data) {
            frame.life.state = FrameState::Zeroes;
        }
    }

    /// An entry of a frame says that it is dirty.
    pub(in crate::oracle) fn dirtied(&mut self, core: &Core, pfn: Pfn, site: impl FnOnce() -> Site) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Dirty, |frame| frame.dirtied.is_none()) {
            frame.dirtied = Some(site());
        }
    }

    /// Somebody wrote to a page of a file. A device tells whoever has the pin, and not the kernel.
    pub(in crate::oracle) fn file_written(&mut self, core: &Core, pfn: Pfn, by_device: bool, site: &Site) {
        if !self.has_disk || self.seen(core).shared(pfn).is_none() {
            return;
        }
        if let Some(frame) = self.frame(core, pfn, OfFrame::Dirty, |_| true) {
            frame.writes.last = Some(site.clone());
            frame.writes.count += u64::from(!by_device);
        }
    }

    /// The disk took what a page of a file holds.
    pub(in crate::oracle) fn written_back(&mut self, core: &Core, pfn: Pfn) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Dirty, |frame| frame.writes.kept != frame.writes.count)
        {
            frame.writes.kept = frame.writes.count;
        }
    }

    /// A call begins that promises to write pages of a file back.
    pub(in crate::oracle) fn sync_begun(&mut self, core: &Core, id: u64, file: u32, pages: Range<u64>) {
        let seen = self.seen(core);
        let known = seen.known_frames().filter_map(|pfn| {
            let at = seen.shared(pfn).filter(|at| at.file == file && pages.contains(&at.index))?;
            // What is said of a frame that is free is over.
            let life = seen.life(pfn).filter(|life| life.state == FrameState::Data)?;
            let FileWrites { count, kept, .. } = seen.frame(pfn, OfFrame::Dirty)?.writes;
            (kept < count).then_some((pfn, at, count, life.frees))
        });
        let pages = known.collect();
        self.loose.syncs.push(Sync { id, pages });
    }

    /// It has ended.
    pub(in crate::oracle) fn sync_done(&mut self, id: u64) {
        self.loose.syncs.retain(|sync| sync.id != id);
    }

    /// A page is locked, or with no holder unlocked.
    pub(in crate::oracle) fn page_locked(&mut self, pfn: Pfn, by: Option<(CpuId, Option<TaskId>)>, site: &Site) {
        self.loose.page_locks.retain(|(locked, ..)| *locked != pfn);
        self.loose.page_locks.extend(by.map(|by| (pfn, by, site.clone())));
    }

    /// The contents of a frame need not be kept.
    pub(in crate::oracle) fn cleaned(&mut self, core: &Core, pfn: Pfn) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Dirty, |frame| frame.dirtied.is_some()) {
            frame.dirtied = None;
        }
    }

    /// Nobody has written to a frame that was just allocated.
    fn forget_writes(&mut self, core: &Core, pfn: Pfn) {
        let is_known = |frame: &Frame| frame.writes.last.is_some();
        if self.has_disk
            && let Some(frame) = self.frame(core, pfn, OfFrame::Dirty, is_known)
        {
            frame.writes = FileWrites::default();
        }
    }

    pub(in crate::oracle) fn freed(&mut self, core: &Core, pfn: Pfn, site: Site) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Life, |_| true) {
            let frees = frame.life.frees + 1;
            let broken = frame.life.broken;
            frame.life = Life { state: FrameState::Free, freed: Some(site), frees, sharers: Vec::new(), broken };
        }
    }

    pub(in crate::oracle) fn mm_created(&mut self, core: &Core, mm: MmId, root: Pfn, parent: Option<MmId>) {
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

    pub(in crate::oracle) fn fork_done(&mut self, core: &Core, parent: MmId, child: MmId) {
        if let Some(child) = self.mm(core, child, OfMm::Forks) {
            child.parent = None;
        }
        if let Some(parent) = self.mm(core, parent, OfMm::Forks) {
            parent.children.retain(|of| *of != child);
        }
    }

    /// A frame is a page of a shared object from now on.
    pub(in crate::oracle) fn cached(&mut self, core: &Core, pfn: Pfn, page: SharedPage) {
        if let Some(frame) = self.frame(core, pfn, OfFrame::Mappings, |frame| frame.shared != Some(page)) {
            frame.shared = Some(page);
        }
    }

    pub(in crate::oracle) fn pte_changed(
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
                let special = new.has(Entry::SPECIAL) || new.has(Entry::DEVMAP);
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
    pub(in crate::oracle) fn share_with_child(&mut self, core: &Core, child: MmId, pfn: Pfn) {
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
        let present = new.is_present();
        if present || is_pte_present(new) {
            let write = new.has(Entry::RW);
            page.values.push(Justified { pfn: new.pfn(), write, present, until: None });
        }
    }

    pub(in crate::oracle) fn flush_begun(&mut self, core: &Core, id: u64, mm: MmId, range: Range<Vpn>) {
        let Some(of) = self.mm(core, mm, OfMm::Begun) else { return };
        of.begun += 1;
        let nth = of.begun;
        self.loose.flushes.push(Flush { id, mm, range, nth });
    }

    /// A flush is done. Values that were replaced before it began justify nothing any more.
    pub(in crate::oracle) fn flush_done(&mut self, core: &Core, id: u64) {
        let Some(place) = self.loose.flushes.iter().position(|flush| flush.id == id) else { return };
        let Flush { mm, range, nth, .. } = self.loose.flushes.swap_remove(place);
        if let Some(mm) = self.mm(core, mm, OfMm::Done) {
            mm.done.push((range, nth));
        }
    }

    /// A caller of GUP got a page: for which address, how much was added to the count, and where.
    pub(in crate::oracle) fn pinned(
        &mut self,
        core: &Core,
        (id, references, longterm): (u64, u64, bool),
        (mm, va): (MmId, VirtAddr),
        pfn: Pfn,
        taken: Site,
    ) {
        let home = self.seen(core).frame(pfn, OfFrame::Mappings);
        let stranger = home.is_none_or(|frame| !frame.homes.contains(&(mm, va.vpn())));
        let frees = self.seen(core).life(pfn).map_or(0, |life| life.frees);
        core.touch(self.place(pfn, OfFrame::Pins), true);
        let place = self.loose.pins.partition_point(|pin| pin.id < id);
        self.loose.pins.insert(place, PinState { id, mm, va, pfn, references, taken, frees, longterm, stranger });
    }

    pub(in crate::oracle) fn unpinned(&mut self, core: &Core, id: u64, site: Site) {
        if let Ok(place) = self.loose.pins.binary_search_by_key(&id, |pin| pin.id) {
            let pin = self.loose.pins.remove(place);
            core.touch(self.place(pin.pfn, OfFrame::Pins), true);
            self.loose.gone_pins.push((pin, site));
        }
    }

    pub(in crate::oracle) fn object_freed(&mut self, first: Loc, site: Site) {
        self.loose.freed_objects.retain(|(object, _)| *object != first);
        self.loose.freed_objects.push((first, site));
    }
}
