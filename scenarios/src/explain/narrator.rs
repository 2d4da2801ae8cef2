//! Tells what a step did that concerns the finding: its frame, an entry that leads to the frame, its page, or a flush of
//! the page.

use std::collections::BTreeMap;

use sim_core::{CpuId, Event as Core, Loc, OpKind, Role, Routine};
use sim_mm::{Event as Mm, FrameUse, MmId, Order, Page, SharedPage, Sharing};
use sim_mmu::{Entry, Event as Hardware, Level, Pfn, VirtAddr, Vpn, Walker};

use super::act::Act;
use super::entries::{self, Places, TableEntry};
use super::fact::{Count, Fact, maps_huge_page};
use super::spaces::{PageOf, Spaces};
use super::subject::Subject;
use crate::explore::Trace;
use crate::oracle::{Finding, Logged, OracleId, Violation, What};
use crate::world::World;

/// The latest step before the last one in which the CPU of the last step read an entry.
fn followed(trace: &Trace) -> Option<u64> {
    let last = trace.log.last()?;
    let before = trace.log.iter().rev().find(|entry| {
        entry.cpu == last.cpu
            && entry.step < last.step
            && matches!(entry.what, What::Hardware(Hardware::TableAccess { .. }))
    });
    before.map(|entry| entry.step)
}

fn is_speculation(finding: &Finding) -> bool {
    matches!(finding.violation, Violation::NoSuchTable { by: Walker::Speculation, .. })
}

/// Knows what the finding is about, and the names of locations.
pub(super) struct Narrator<'a> {
    world: &'a World<'a>,
    pub(super) frame: Option<Pfn>,
    oracle: OracleId,
    at_rest: bool,
    /// The step in which the walk that took a frame for a table read the entry that it followed.
    followed: Option<u64>,
    /// The step in which a speculative walk took a frame for a table.
    speculated: Option<u64>,
    pub(super) spaces: Spaces<'a>,
    /// The first word of the object that was used after its end, and the name of the object.
    object: Option<(Loc, String)>,
    /// Whether every access of user code is told.
    of_values: bool,
    /// Whether it is told which pages files have, and how long files are.
    of_files: bool,
    /// Whether each pin is told.
    of_pins: bool,
    /// Whether it matters that a page is clean: on a machine with a disk.
    of_dirt: bool,
    pages: Vec<(MmId, VirtAddr)>,
    entries: Places,
    /// The blocks of the disk to which the frame was written.
    blocks: Vec<u32>,
    /// Flushes that concern the pages, and the page of each.
    flushes: BTreeMap<u64, (MmId, VirtAddr)>,
    /// The page of each pin.
    pins: BTreeMap<u64, (MmId, VirtAddr)>,
    /// The steps that changed an entry which leads to the frame, or led to it before. Each has whether the entry leads there
    /// now, and which page of shared memory the frame was then.
    sharing: Vec<(u64, bool, Option<SharedPage>)>,
    /// The page through which user code last wrote each frame, if the finding is about values that it wrote and read.
    written: BTreeMap<Pfn, (MmId, VirtAddr)>,
}

/// Whether a finding is about several values together, so that each access of user code may be a part of it.
fn is_of_values(finding: &Finding) -> bool {
    matches!(finding.violation, Violation::Together { .. } | Violation::NotImplied { .. })
}

impl<'a> Narrator<'a> {
    pub(super) fn new(world: &'a World<'a>, trace: &Trace, finding: &Finding, act: Option<&Act>) -> Narrator<'a> {
        let spaces = Spaces::of(world, trace);
        let places = Places::of(&spaces, world, trace);
        let subject = Subject::of(&spaces, &places, trace, finding, act);
        // The value may be one of a file.
        let is_answer = act.is_some() && matches!(finding.violation, Violation::Value { .. });
        let mut narrator = Narrator {
            world,
            frame: subject.frame,
            oracle: finding.oracle(),
            at_rest: matches!(finding.oracle(), OracleId::Refcount | OracleId::Mapcount) && finding.is_at_rest(),
            followed: (finding.oracle() == OracleId::PageTableUseAfterFree).then(|| followed(trace)).flatten(),
            speculated: is_speculation(finding).then(|| trace.log.last().map(|entry| entry.step)).flatten(),
            pages: subject.pages,
            entries: places,
            blocks: Vec::new(),
            spaces,
            flushes: BTreeMap::new(),
            pins: BTreeMap::new(),
            sharing: Vec::new(),
            written: BTreeMap::new(),
            of_values: is_of_values(finding),
            of_dirt: world.kernel().has_disk(),
            of_files: finding.oracle() == OracleId::BadPageMap || is_answer,
            of_pins: matches!(finding.oracle(), OracleId::Check | OracleId::ReturnValue),
            object: subject.object,
        };
        for entry in &trace.log {
            match &entry.what {
                What::Hardware(Hardware::Retired { va, access, through, .. })
                    if access.writes() && narrator.tells_accesses_of(through.frame(*va)) =>
                {
                    let mm = narrator.spaces.of_root(through.root, entry.step);
                    narrator.written.extend(mm.map(|mm| (through.frame(*va), (mm, va.page_base()))));
                }
                What::Mm(Mm::PteChanged { mm, va, old, new, sharing, .. })
                    if narrator.leads_to_frame(*old) || narrator.leads_to_frame(*new) =>
                {
                    let leads = if narrator.leads_to_frame(*new) { new } else { old };
                    narrator.pages.push((*mm, narrator.page_in(va.vpn(), leads.pfn())));
                    // If the entry leads to another frame now, the line is about that frame.
                    if narrator.leads_to_frame(*new) || !new.is_present() {
                        let nth = narrator.frame.map_or(0, |frame| frame.0 - leads.pfn().0);
                        let page = match sharing.of_part(nth) {
                            Sharing::Shared(page) | Sharing::CopyOnWrite(page) => Some(page),
                            Sharing::Private | Sharing::Nobody => None,
                        };
                        narrator.sharing.push((entry.step, narrator.leads_to_frame(*new), page));
                    }
                }
                What::Mm(Mm::Pinned { id, mm, va, .. }) => {
                    narrator.pins.insert(*id, (*mm, *va));
                }
                What::Mm(Mm::BlockWritten { pfn, block }) if narrator.is_frame(*pfn) => {
                    narrator.blocks.push(*block)
                }
                _ => {}
            }
        }
        for entry in &trace.log {
            if let What::Mm(Mm::FlushBegun { id, mm, range }) = &entry.what
                && let Some(page) = narrator.pages.iter().find(|(of, va)| of == mm && range.contains(&va.vpn()))
            {
                narrator.flushes.insert(*id, *page);
            }
        }
        narrator
    }

    fn is_frame(&self, pfn: Pfn) -> bool {
        self.frame == Some(pfn)
    }

    /// Whether it is one of these frames in a row, which are freed or counted together.
    fn is_one_of(&self, first: Pfn, order: Order) -> bool {
        self.frame.is_some_and(|frame| order.has(first, frame))
    }

    /// The page behind which the frame is, if `vpn` is the one behind which a frame before it is.
    fn page_in(&self, vpn: Vpn, pfn: Pfn) -> VirtAddr {
        vpn.base().plus_pages(self.frame.map_or(0, |frame| frame.0 - pfn.0))
    }

    /// Of which level an entry is that maps a page.
    pub(super) fn level(&self, entry: Entry) -> Level {
        match maps_huge_page(entry) {
            true => self.world.kernel().level_of_huge(Page(entry.pfn())),
            false => Level::Pte,
        }
    }

    /// How many pages an entry maps.
    fn order(&self, entry: Entry) -> Order {
        Order::of(self.level(entry), self.world.kernel().mmu.geometry)
    }

    /// Whether an entry of this level at a place is that of one of the pages.
    fn is_of_pages(&self, level: Level, (mm, place): (MmId, VirtAddr)) -> bool {
        let span = self.world.kernel().mmu.geometry.span(level);
        self.pages.iter().any(|(of, va)| *of == mm && va.0.wrapping_sub(place.0) < span)
    }

    fn tells_accesses_of(&self, pfn: Pfn) -> bool {
        self.of_values || self.is_frame(pfn)
    }

    /// If nothing says which frame a value of a file was in, all frames of files are told.
    fn tells_files_of(&self, pfn: Pfn) -> bool {
        self.of_files && (self.frame.is_none() || self.is_frame(pfn))
    }

    pub(super) fn leads_to_frame(&self, entry: Entry) -> bool {
        entry.is_present() && self.is_one_of(entry.pfn(), self.order(entry))
    }

    /// The name of a page in the line of a log entry.
    fn page(&self, at: &Logged, (mm, va): (MmId, VirtAddr)) -> PageOf {
        self.spaces.page(self.spaces.at(at.cpu, at.step), mm, va)
    }

    /// A page of the address space under `root`.
    fn page_under(&self, at: &Logged, root: Pfn, va: VirtAddr) -> Option<PageOf> {
        let mm = self.spaces.of_root(root, at.step).or_else(|| self.spaces.at(at.cpu, at.step))?;
        Some(self.page(at, (mm, va)))
    }

    /// What one step did.
    pub(super) fn tell<'l>(&self, step: &'l [Logged]) -> Vec<(&'l Logged, Fact)> {
        let touched = entries::touched(step);
        let told = step.iter().filter_map(|entry| {
            let fact = match &entry.what {
                What::Core(Core::Drain { loc, new, .. }) => self.tell_drain(*loc, *new, entry),
                What::Core(event) => self.tell_core(event, &entry.stack),
                What::Hardware(Hardware::TableAccess { by, .. }) => {
                    touched.and_then(|(table_entry, root)| self.tell_entry(table_entry, root, *by, entry))
                }
                What::Hardware(Hardware::Speculated { level, table, .. }) => {
                    let wrong = self.speculated == Some(entry.step) && self.is_frame(*table);
                    wrong.then_some(Fact::Speculated { level: *level, table: *table })
                }
                What::Hardware(Hardware::SetFlags { level, old, new }) => {
                    let dirtied = new.has(Entry::DIRTY) && !old.has(Entry::DIRTY) && self.leads_to_frame(*new);
                    let place = touched.and_then(|(found, _)| self.entries.at(entry.step, found.loc));
                    let of = place.map(|place| self.page(entry, place));
                    (dirtied && self.oracle == OracleId::DirtyLost).then_some(Fact::Dirtied {
                        level: *level,
                        of,
                        pfn: self.frame.unwrap_or(new.pfn()),
                    })
                }
                What::Hardware(event) => self.tell_hardware(event, entry),
                What::Mm(Mm::PteChanged { mm, va, old, new, .. }) => {
                    touched.and_then(|(above, _)| self.tell_moved(above, (*mm, *va), (*old, *new), entry))
                }
                What::Mm(event) => self.tell_mm(event, entry),
            };
            fact.map(|fact| (entry, fact))
        });
        let mut told: Vec<_> = told.collect();
        // Several walks may reach the same table.
        told.dedup_by(|one, before| matches!(one.1, Fact::Speculated { .. }) && one.1 == before.1);
        told
    }

    fn tell_entry(&self, entry: TableEntry, root: Pfn, by: Walker, at: &Logged) -> Option<Fact> {
        let TableEntry { level, table, loc, old, new } = entry;
        // An empty entry may have mapped a huge page before, and may again.
        let maps_page = level == Level::Pte || [old, new].into_iter().any(|e| e.is_none() || maps_huge_page(e));
        let place = self.entries.at(at.step, loc).filter(|_| maps_page);
        let lockless = at.stack.iter().any(|routine| routine.role == Role::Lockless);
        let of_call = match self.oracle {
            OracleId::Check => lockless,
            OracleId::Livelock => by == Walker::Software,
            _ => false,
        };
        let known = place.is_some_and(|place| of_call || self.is_of_pages(level, place));
        let leads = self.leads_to_frame(old) || self.leads_to_frame(new) || Some(at.step) == self.followed;
        // The read of an entry by a walk needs no line. A fault or a translation follows from it, and shows it.
        let seen_elsewhere = by == Walker::Hardware && maps_page && old.pfn() == new.pfn();
        let told = (known || leads) && !seen_elsewhere || self.is_frame(table);
        let of = place.map(|place| self.page(at, place)).filter(|_| !self.is_frame(table));
        let line = self.spaces.at(at.cpu, at.step);
        let owner = match &of {
            Some(page) => page.owner.clone(),
            None => self.spaces.of_root(root, at.step).and_then(|mm| self.spaces.owner(line, mm)),
        };
        told.then(|| Fact::Entry { level, owner, of, table: self.is_frame(table).then_some(table), loc, old, new })
    }

    /// An entry that gets another address because the table that it is in does: by a change of an entry `above` it.
    fn tell_moved(
        &self,
        above: TableEntry,
        page: (MmId, VirtAddr),
        (old, new): (Entry, Entry),
        at: &Logged,
    ) -> Option<Fact> {
        let is_huge = [old, new].into_iter().any(maps_huge_page);
        let moved =
            above.level != Level::Pte && !is_huge && (self.leads_to_frame(old) || self.leads_to_frame(new));
        let of = self.page(at, page);
        let owner = of.owner.clone();
        moved.then_some(Fact::Entry {
            level: Level::Pte,
            owner,
            of: Some(of),
            table: None,
            loc: above.loc,
            old,
            new,
        })
    }

    fn tell_core(&self, event: &Core, stack: &[Routine]) -> Option<Fact> {
        let frame = Page(self.frame.unwrap_or(Pfn(u64::MAX)));
        let counts = self.frame.map(|pfn| {
            let kernel = &self.world.kernel();
            (pfn, kernel.refcount(frame).loc(), kernel.mapcount(frame).loc())
        });
        match (event, counts) {
            (Core::Raise { target, .. }, _) if !self.flushes.is_empty() => Some(Fact::Sent { target: *target }),
            (Core::Interrupt(_), _) if !self.flushes.is_empty() => Some(Fact::Taken { inside: !stack.is_empty() }),
            (Core::Access { kind: OpKind::Read, loc, new, .. }, Some((pfn, refs, maps)))
                if *loc == refs || *loc == maps =>
            {
                let count = if *loc == refs { Count::Ref } else { Count::Map };
                Some(Fact::Count { count, pfn, values: vec![*new], freed: false })
            }
            _ => None,
        }
    }

    /// Only for a check on values it matters when a store becomes visible to others.
    fn tell_drain(&self, loc: Loc, value: u64, at: &Logged) -> Option<Fact> {
        let (pfn, word) = self.world.kernel().mmu.phys.locate(loc).filter(|_| self.oracle == OracleId::Check)?;
        let page = self.written.get(&pfn)?;
        Some(Fact::Drained { of: self.page(at, *page), word, value })
    }

    fn tell_hardware(&self, event: &Hardware, at: &Logged) -> Option<Fact> {
        match event {
            Hardware::Retired { va, access, through, word, value, .. }
                if self.tells_accesses_of(through.frame(*va)) =>
            {
                Some(Fact::Touched {
                    of: self.page_under(at, through.root, va.page_base()),
                    pfn: through.frame(*va),
                    word: *word,
                    value: *value,
                    write: access.writes(),
                    through: Some(through.id),
                    device: false,
                })
            }
            Hardware::Began(partial) if self.is_frame(partial.table) => {
                Some(Fact::Began { level: partial.level, table: partial.table })
            }
            Hardware::Filled(found) if found.frames().any(|pfn| self.is_frame(pfn)) => self
                .page_under(at, found.root, self.page_in(found.vpn, found.pfn))
                .map(|of| Fact::Filled { id: found.id, of, leaf: found.leaf }),
            Hardware::Invalidated { target, page, pcid } if self.concerns(page.map(VirtAddr::vpn)) => {
                Some(Fact::Dropped { target: *target, pcid: *pcid })
            }
            _ => None,
        }
    }

    fn concerns(&self, page: Option<Vpn>) -> bool {
        self.pages.iter().any(|(_, va)| page.is_none_or(|vpn| vpn == va.vpn()))
    }

    fn tell_mm(&self, event: &Mm, at: &Logged) -> Option<Fact> {
        let flushed = |id: &u64| self.flushes.get(id).map(|page| self.page(at, *page));
        match event {
            Mm::FrameAllocated { pfn, for_use, order } if self.is_one_of(*pfn, *order) => Some(Fact::Allocated {
                pfn: *pfn,
                level: match for_use {
                    FrameUse::Data | FrameUse::Driver | FrameUse::Batch | FrameUse::Returned => None,
                    FrameUse::Root => Some(Level::P4d),
                    FrameUse::Table { level, .. } => Some(*level),
                },
            }),
            Mm::FlagsLost { pfn, lost } if self.is_frame(*pfn) => Some(Fact::FlagsLost { pfn: *pfn, lost: *lost }),
            Mm::WritesForgotten { .. } if self.oracle == OracleId::Semantics => {
                Some(Fact::Noting { begins: false })
            }
            Mm::WritesNoted { .. } if self.oracle == OracleId::Semantics => Some(Fact::Noting { begins: true }),
            Mm::AllocationFailed { what } => Some(Fact::NoMemory { what }),
            Mm::ObjectFreed { first } => {
                let (_, what) = self.object.as_ref().filter(|(object, _)| object == first)?;
                Some(Fact::ObjectFreed { what: what.clone() })
            }
            Mm::PageCached { pfn, page } if self.tells_files_of(*pfn) => {
                Some(Fact::Cached { pfn: *pfn, page: *page, is_in: true })
            }
            Mm::PageUncached { pfn, page } if self.tells_files_of(*pfn) => {
                Some(Fact::Cached { pfn: *pfn, page: *page, is_in: false })
            }
            // Where the diagram is not about files, this is what it ends with.
            Mm::PageDropped { pfn, page } if self.is_frame(*pfn) && !self.tells_files_of(*pfn) => {
                Some(Fact::Cached { pfn: *pfn, page: *page, is_in: false })
            }
            Mm::FileResized { file, pages } if self.of_files => Some(Fact::Resized { file: *file, pages: *pages }),
            Mm::FrameFreed { pfn, order } if self.is_one_of(*pfn, *order) => Some(Fact::Freed { pfn: *pfn }),
            Mm::FrameRetired { pfn } if self.is_frame(*pfn) => Some(Fact::Retired { pfn: *pfn }),
            Mm::PageCopied { from, to } if self.is_frame(*from) || self.is_frame(*to) => {
                Some(Fact::Copied { from: *from, to: *to })
            }
            Mm::PageMerged { from, to, .. } if self.is_frame(*from) || self.is_frame(*to) => {
                Some(Fact::Merged { from: *from, to: *to })
            }
            Mm::TableShared { table, .. } if self.is_frame(*table) => {
                Some(Fact::TableShared { table: *table, begins: true })
            }
            Mm::TableGivenUp { table, .. } if self.is_frame(*table) => {
                Some(Fact::TableShared { table: *table, begins: false })
            }
            Mm::WrittenBack { pfn } if self.is_frame(*pfn) => Some(Fact::WrittenBack { pfn: *pfn }),
            // What came to the block from another frame.
            Mm::BlockWritten { pfn, block } if self.blocks.contains(block) && !self.is_frame(*pfn) => {
                Some(Fact::OnDisk { pfn: *pfn, block: *block })
            }
            Mm::WriteFailed { pfn } if self.is_frame(*pfn) => Some(Fact::WriteFailed { pfn: *pfn }),
            Mm::PageWritten { pfn } if self.is_frame(*pfn) => Some(Fact::Written { pfn: *pfn }),
            Mm::PageCleaned { pfn } if self.of_dirt && self.is_frame(*pfn) => Some(Fact::Cleaned { pfn: *pfn }),
            Mm::SwappedOut { pfn, slot } if self.is_frame(*pfn) => {
                Some(Fact::SwappedOut { pfn: *pfn, slot: *slot })
            }
            Mm::SwappedIn { slot, pfn } if self.is_frame(*pfn) => Some(Fact::SwappedIn { slot: *slot, pfn: *pfn }),
            Mm::RefChanged { pfn, old, new, .. } if self.is_frame(*pfn) => {
                Some(Fact::Count { count: Count::Ref, pfn: *pfn, values: vec![*old, *new], freed: false })
            }
            Mm::MapcountChanged { pfn, old, new } if self.is_frame(*pfn) => {
                Some(Fact::Count { count: Count::Map, pfn: *pfn, values: vec![*old, *new], freed: false })
            }
            Mm::FlushBegun { id, .. } => flushed(id).map(|of| Fact::FlushBegun { id: *id, of }),
            Mm::FlushDone { id } => flushed(id).map(|of| Fact::FlushDone { id: *id, of }),
            Mm::Pinned { id, va, mm, pfn, .. } if self.is_frame(*pfn) || self.of_pins => {
                Some(Fact::Pinned { id: *id, of: self.page(at, (*mm, *va)), pfn: *pfn })
            }
            Mm::GuestMapped { mm, spte } if self.is_frame(spte.pfn) => {
                Some(Fact::GuestMapped { of: self.page(at, (*mm, spte.vpn.base())), spte: spte.leaf })
            }
            Mm::GuestUnmapped { mm, va, pfn } if self.is_frame(*pfn) => {
                Some(Fact::GuestUnmapped { of: self.page(at, (*mm, *va)), pfn: *pfn })
            }
            Mm::PinTouched { id, pfn, word, value, write, .. }
                if self.is_frame(*pfn) || self.oracle == OracleId::Check =>
            {
                Some(Fact::Touched {
                    of: self.pins.get(id).map(|page| self.page(at, *page)),
                    pfn: *pfn,
                    word: *word,
                    value: *value,
                    write: *write,
                    through: None,
                    device: at.stack.is_empty(),
                })
            }
            _ => None,
        }
    }

    /// Whether the finding is about counts that are wrong in the end.
    pub(super) fn is_at_rest(&self) -> bool {
        self.at_rest
    }

    /// Whether an empty entry was taken for one that leads to the frame. That can happen to frame 0, the zero page.
    pub(super) fn follows_none(&self) -> bool {
        self.is_zero_page() && self.oracle != OracleId::Check
    }

    /// Whether the frame is the zero page.
    pub(super) fn is_zero_page(&self) -> bool {
        self.frame == Some(self.world.kernel().zero_page.0)
    }

    /// The page of shared memory that the frame is at a step. The changes of entries that lead to it say so: the last change
    /// before the step, or otherwise the first one after it that finds the frame mapped.
    pub(super) fn shared_at(&self, step: u64) -> Option<SharedPage> {
        let before = self.sharing.iter().rev().find(|(at, ..)| *at <= step);
        let (.., page) = before.or_else(|| self.sharing.first().filter(|(_, leads, _)| !leads))?;
        *page
    }

    /// The names of the CPUs' first threads.
    pub(super) fn heads(&self) -> BTreeMap<CpuId, String> {
        self.world.scenario.threads.iter().rev().map(|t| (CpuId(t.cpu), t.name.clone())).collect()
    }
}
