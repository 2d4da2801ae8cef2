//! What the oracles ask their memory. A step touches what it asks for.

use sim_core::{CpuId, Loc, TaskId};
use sim_mm::{MmId, SharedPage};
use sim_mmu::{Pfn, Vpn};

use super::{Copying, Frame, FrameState, Justified, Life, Mm, NotedWrite, PageHistory, PinState, Seen};
use crate::oracle::Site;
use crate::oracle::places::{OfFrame, OfMm};
use crate::oracle::readers::bit;

impl<'a> Seen<'a> {
    pub(super) fn frame(self, pfn: Pfn, part: OfFrame) -> Option<&'a Frame> {
        let slot = self.ghost.slot(pfn);
        self.core.touch(self.ghost.places.frame(slot, part), false);
        self.ghost.frames.get(slot)
    }

    pub(super) fn mm(self, mm: MmId, part: OfMm) -> Option<&'a Mm> {
        self.core.touch(self.ghost.places.mm(mm, part), false);
        self.ghost.mms.get(mm.0.into())
    }

    pub(super) fn page(self, mm: MmId, vpn: Vpn) -> Option<&'a PageHistory> {
        self.core.touch(self.ghost.places.page(mm, vpn), false);
        self.ghost.pages.get(*self.ghost.page_numbers.get(&(mm, vpn))?)
    }

    /// The frames that events ever named, in this run or before. All others are as they were when the machine was built.
    pub(in crate::oracle) fn known_frames(self) -> impl Iterator<Item = Pfn> {
        self.ghost.frames.known().iter().map(|slot| self.ghost.mem_map.pfn(*slot as u64))
    }

    /// What a frame is. `None`, if memory has no such frame.
    pub(in crate::oracle) fn life(self, pfn: Pfn) -> Option<&'a Life> {
        self.frame(pfn, OfFrame::Life).map(|frame| &frame.life)
    }

    /// The entries that map a frame now, without special ones.
    pub(in crate::oracle) fn mappings(self, pfn: Pfn) -> &'a [(MmId, Vpn)] {
        self.frame(pfn, OfFrame::Mappings).map(|frame| frame.mappings.as_slice()).unwrap_or_default()
    }

    /// If a frame is a page of an object that processes share, that page. It may also be the last such page since the frame was
    /// allocated.
    pub(in crate::oracle) fn shared(self, pfn: Pfn) -> Option<SharedPage> {
        self.frame(pfn, OfFrame::Mappings)?.shared
    }

    /// Who first made an entry say that a frame is dirty, since it was allocated or cleaned on purpose.
    pub(in crate::oracle) fn dirtied(self, pfn: Pfn) -> Option<&'a Site> {
        self.frame(pfn, OfFrame::Dirty)?.dirtied.as_ref()
    }

    /// Who wrote last to a page of a file, on a machine with a disk.
    pub(in crate::oracle) fn last_write(self, pfn: Pfn) -> Option<&'a Site> {
        self.frame(pfn, OfFrame::Dirty)?.writes.last.as_ref()
    }

    /// The pages that a call promised to write back, and that the disk has not as they were when it began. A page whose frame is another's
    /// by now is none.
    pub(in crate::oracle) fn not_synced(self, id: u64) -> impl Iterator<Item = (Pfn, SharedPage)> + 'a {
        let sync = self.ghost.loose.syncs.iter().find(move |sync| sync.id == id);
        sync.into_iter().flat_map(|sync| &sync.pages).filter_map(move |&(pfn, at, count, frees)| {
            let same = self.life(pfn).is_some_and(|life| life.frees == frees);
            let kept = self.frame(pfn, OfFrame::Dirty).is_some_and(|frame| frame.writes.kept >= count);
            (same && !kept).then_some((pfn, at))
        })
    }

    /// The pages that a frame was ever behind since it was allocated.
    pub(in crate::oracle) fn homes(self, pfn: Pfn) -> &'a [(MmId, Vpn)] {
        self.frame(pfn, OfFrame::Mappings).map(|frame| frame.homes.as_slice()).unwrap_or_default()
    }

    /// Whether a frame was behind a page as a page of a file, and only ever by private mappings.
    pub(in crate::oracle) fn is_only_lent(self, pfn: Pfn, page: (MmId, Vpn)) -> bool {
        let shown = self.frame(pfn, OfFrame::Mappings).map(|frame| frame.shown.as_slice()).unwrap_or_default();
        shown.contains(&(page, false)) && !shown.contains(&(page, true))
    }

    /// Whether a frame belongs to a file.
    pub(in crate::oracle) fn is_of_file(self, pfn: Pfn) -> bool {
        self.shared(pfn).is_some()
    }

    /// Who last made an entry lead to a frame, for each address space that did, the latest last.
    pub(in crate::oracle) fn mapped_by(self, pfn: Pfn) -> &'a [(MmId, Site)] {
        self.frame(pfn, OfFrame::MappedBy).map(|frame| frame.mapped_by.as_slice()).unwrap_or_default()
    }

    /// The writes of an address space that the kernel has promised to note.
    pub(in crate::oracle) fn noted_writes(self, mm: MmId) -> &'a [NotedWrite] {
        self.mm(mm, OfMm::Noted).map(|mm| mm.noted.writes.as_slice()).unwrap_or_default()
    }

    /// Who wrote by a page to the frame that this frame is a copy of, after the copy was made.
    pub(in crate::oracle) fn written_after_copy(self, mm: MmId, vpn: Vpn, copy: Pfn) -> Option<(Pfn, &'a Site)> {
        let from = self.copied_from(copy)?;
        let Copying { copies, late } = &self.frame(from, OfFrame::Copies)?.copying;
        let nth = copies.iter().rposition(|pfn| *pfn == copy)?;
        let write = late.iter().find(|write| (write.mm, write.vpn) == (mm, vpn) && nth < write.copies)?;
        Some((from, &write.site))
    }

    /// Whether there is a copy of a frame.
    pub(in crate::oracle) fn has_copies(self, pfn: Pfn) -> bool {
        self.frame(pfn, OfFrame::Copies).is_some_and(|frame| !frame.copying.copies.is_empty())
    }

    /// Whether an address space may read a word.
    pub(in crate::oracle) fn may_read(self, mm: MmId, pfn: Pfn, word: u32) -> bool {
        self.frame(pfn, OfFrame::Readers).is_none_or(|frame| frame.readers.of(word) & bit(mm) != 0)
    }

    /// The frame from which a frame was filled by a copy, since it was last allocated.
    pub(in crate::oracle) fn copied_from(self, pfn: Pfn) -> Option<Pfn> {
        self.frame(pfn, OfFrame::Life)?.copied_from
    }

    /// The frame that the entry of a page maps now.
    pub(in crate::oracle) fn mapped_now(self, mm: MmId, vpn: Vpn) -> Option<Pfn> {
        Some(self.page(mm, vpn)?.values.iter().find(|value| value.until.is_none())?.pfn)
    }

    /// The address space whose root a frame is, or was last.
    pub(in crate::oracle) fn mm_of_root(self, root: Pfn) -> Option<MmId> {
        self.frame(root, OfFrame::Root)?.root_of
    }

    /// Whether a root is the kernel's own.
    pub(in crate::oracle) fn is_kernels(self, root: Pfn) -> bool {
        self.life(root).is_some_and(|life| life.state == FrameState::Reserved)
    }

    /// Whether one of the two is being forked from the other.
    pub(in crate::oracle) fn is_forking(self, a: MmId, b: MmId) -> bool {
        self.mm(a, OfMm::Forks).is_some_and(|mm| mm.parent == Some(b) || mm.children.contains(&b))
    }

    /// Who changed the entry of a page last.
    pub(in crate::oracle) fn changed(self, mm: MmId, vpn: Vpn) -> Option<&'a Site> {
        self.page(mm, vpn)?.changed.as_ref()
    }

    /// Whether the entry of a page allows such a translation, or did when the last complete flush of it began.
    pub(in crate::oracle) fn justifies(self, mm: MmId, vpn: Vpn, pfn: Pfn, write: bool, nested: bool) -> bool {
        let Some(page) = self.page(mm, vpn) else { return false };
        let allows = |value: &&Justified| value.pfn == pfn && (value.write || !write) && (value.present || nested);
        let mut values = page.values.iter().filter(allows);
        values.clone().any(|value| value.until.is_none())
            || values.any(|value| {
                let done = self.mm(mm, OfMm::Done).map(|mm| mm.done.as_slice()).unwrap_or_default();
                !done
                    .iter()
                    .any(|(range, nth)| range.contains(&vpn) && value.until.is_some_and(|until| until < *nth))
            })
    }

    /// Whether a page that was in one frame came by way of swap to the other. Of each frame it is told how often it was freed.
    pub(in crate::oracle) fn came_by_swap(self, from: (Pfn, u32), to: (Pfn, u32)) -> bool {
        self.ghost.loose.swapped.contains(&(from, to))
    }

    /// A reference that is not given up yet.
    pub(in crate::oracle) fn pin(self, id: u64) -> Option<&'a PinState> {
        let pin = self.ghost.pin(id)?;
        self.core.touch(self.ghost.place(pin.pfn, OfFrame::Pins), false);
        Some(pin)
    }

    /// A reference that was given up, and where.
    pub(in crate::oracle) fn gone_pin(self, id: u64) -> Option<(&'a PinState, &'a Site)> {
        let (pin, put) = self.ghost.loose.gone_pins.iter().find(|(pin, _)| pin.id == id)?;
        self.core.touch(self.ghost.place(pin.pfn, OfFrame::Pins), false);
        Some((pin, put))
    }

    /// Who has a page locked, and where it was locked. A task that asks for its own locks touches nothing that others change; and who unlocks
    /// a page touches its flags in the same step.
    pub(in crate::oracle) fn page_lock(self, pfn: Pfn) -> Option<(&'a (CpuId, Option<TaskId>), &'a Site)> {
        let lock = self.ghost.loose.page_locks.iter().find(|(locked, ..)| *locked == pfn);
        lock.map(|(_, holder, site)| (holder, site))
    }

    /// Pins that hold a frame now.
    pub(in crate::oracle) fn pins_on(self, pfn: Pfn) -> impl Iterator<Item = &'a PinState> {
        self.core.touch(self.ghost.place(pfn, OfFrame::Pins), false);
        self.ghost.loose.pins.iter().filter(move |pin| pin.pfn == pfn)
    }

    /// Who last freed the object whose first word this is.
    pub(in crate::oracle) fn freed_object(self, first: Loc) -> Option<&'a Site> {
        self.ghost.loose.freed_objects.iter().find(|(object, _)| *object == first).map(|(_, site)| site)
    }
}
