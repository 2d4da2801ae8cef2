//! The observer of a machine. It tells the oracles of every event, and keeps the event log if there is one.

use std::cell::{Cell, RefCell};

use sim_core::{Atomic, Bytes, Core, CpuId, Loc, Routine};
use sim_mm::{
    Event as Mm, FrameUse, Kernel, MigrationEntry, Order, Reach, SwpEntry, is_pte_present, part_of_huge,
};
use sim_mmu::{Access, Entry, Event as Hardware, Pfn, Translation, VirtAddr, Walker};

use super::ghost::Ghost;
use super::page_table_use_after_free::Walked;
use super::{
    Finding, Site, Watched, bad_page_map, cow_broken, dirty_lost, flag_lost, frame_use_after_free, incoherent,
    kernel_bug, leak, lock, lost_write, mapcount, multi_hit, object_use_after_free, page_table_use_after_free,
    pin_misuse, refcount, return_value, semantics, sleep_in_atomic, stale_pin, stale_tlb,
};

/// An entry of the event log.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The step in which it happened.
    pub step: u64,
    /// The CPU that did it.
    pub cpu: CpuId,
    /// The active routines, outermost first.
    pub stack: Vec<Routine>,
    /// What happened.
    pub what: What,
}

/// Something that happened at any layer.
#[derive(Clone, Debug)]
pub enum What {
    /// An access, a call, an interrupt.
    Core(sim_core::Event),
    /// Of the hardware.
    Hardware(Hardware),
    /// Of the kernel.
    Mm(Mm),
}

/// Watches one machine.
pub struct Watch {
    ghost: RefCell<Ghost>,
    findings: RefCell<Vec<Finding>>,
    log: RefCell<Option<Vec<Logged>>>,
    enabled: Cell<bool>,
    /// A buffer. It is kept from run to run, so that its memory is used again.
    reach: RefCell<Reach>,
}

impl Watch {
    /// A watch over a machine.
    pub fn new(core: &Core, watched: Watched) -> Watch {
        Watch {
            ghost: RefCell::new(Ghost::new(core, watched)),
            findings: RefCell::default(),
            log: RefCell::new(None),
            enabled: Cell::new(true),
            reach: RefCell::default(),
        }
    }

    /// Makes the present ghost state the one that runs start with.
    pub fn checkpoint(&self) {
        self.ghost.borrow_mut().checkpoint();
    }

    /// Goes back to the checkpoint.
    pub fn rewind(&self) {
        self.ghost.borrow_mut().rewind();
        self.findings.borrow_mut().clear();
        if let Some(log) = self.log.borrow_mut().as_mut() {
            log.clear();
        }
    }

    /// Stops or resumes watching. It stops while contexts are dropped at the end of a run, because that is no part of the run.
    pub fn set_enabled(&self, on: bool) {
        self.enabled.set(on);
    }

    /// Starts or stops keeping the event log.
    pub fn keep_log(&self, keep: bool) {
        // A run has some hundred events, and an entry is large: a log that grows step by step would be copied each time.
        self.log.replace(keep.then(|| Vec::with_capacity(256)));
    }

    /// The event log of the run.
    pub fn take_log(&self) -> Vec<Logged> {
        self.log.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What the event log has from entry `from` on.
    pub fn log_from(&self, from: usize, mut hear: impl FnMut(&Logged)) {
        let log = self.log.borrow();
        log.iter().flat_map(|log| log.iter().skip(from)).for_each(&mut hear);
    }

    /// What the oracles found in the run.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.borrow().clone()
    }

    /// Whether anything was found.
    pub fn found(&self) -> bool {
        !self.findings.borrow().is_empty()
    }

    /// Adds a finding that was made beside the machine.
    pub fn add(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    /// Judges what can only be judged when everything is at rest.
    pub fn judge_at_rest(&self, kernel: &Kernel) {
        let ghost = self.ghost.borrow();
        let ghost = ghost.seen(kernel.core());
        let site = Site { cpu: CpuId(0), step: kernel.core().steps(), stack: Vec::new() };
        let reach = &mut *self.reach.borrow_mut();
        let contradicts = self.note(bad_page_map::at_rest(ghost, kernel, reach, &site));
        // If the walk found a contradiction, `reach` does not have everything, so the counts cannot be judged.
        let miscounts = !contradicts
            && self.note(refcount::at_rest(ghost, kernel, reach, &site))
                | self.note(mapcount::at_rest(ghost, kernel, &site));
        // If pages themselves are lost, their dirty bits are no findings as well.
        if !contradicts && !miscounts {
            self.note(dirty_lost::at_rest(ghost, kernel, &site));
        }
        self.note(semantics::at_rest(ghost, kernel));
        self.note(semantics::kept_in_place(ghost, kernel));
    }

    /// Keeps a finding, if it is one, and says whether it is. They are added one at a time and not as a list, because a finding is
    /// large, and mostly there is none.
    fn note(&self, found: Option<Finding>) -> bool {
        let is_found = found.is_some();
        if let Some(finding) = found {
            self.findings.borrow_mut().push(finding);
        }
        is_found
    }

    /// Keeps a finding, if it is one. It ends the run.
    fn report(&self, core: &Core, found: Option<Finding>) {
        if self.note(found) {
            core.request_stop();
        }
    }

    /// An access of code retired: it touched these bytes of a word, through a translation of the page of the address.
    // Most events are not this one, and what they cost is a part of each step. So this is not a part of where they go through.
    #[inline(never)]
    fn retired(
        &self,
        ghost: &mut Ghost,
        cpu: sim_mmu::Cpu<'_>,
        (va, access): (VirtAddr, Access),
        (through, nested): (&Translation, bool),
        (word, bytes, value): (u32, Bytes, u64),
    ) {
        let core = cpu.core;
        let seen = ghost.seen(core);
        // This is the address space that accesses, and not the one for which the translation was cached.
        let Some(mm) = seen.mm_of_root(cpu.cr3().root()) else { return };
        let site = site(*cpu);
        let uaf = frame_use_after_free::retired(seen, mm, va, through, &site);
        // Memory of the kernel belongs to no process.
        if !through.rights.user {
            self.report(core, uaf);
            return;
        }
        let stale = stale_tlb::retired(seen, mm, va, access, (through, nested), &site);
        let installed = seen.changed(mm, va.vpn()).unwrap_or(&site);
        let old = (!access.writes())
            .then(|| incoherent::read(seen, cpu, mm, va, through, (word, bytes, value), &site))
            .flatten();
        let shared = if access.writes() {
            let broken = cow_broken::wrote(seen, mm, va, through.pfn, installed);
            ghost.wrote(core, mm, through.pfn, word);
            ghost.file_written(core, through.pfn, false, &site);
            if ghost.seen(core).has_copies(through.pfn) {
                ghost.wrote_late(core, mm, va.vpn(), through.pfn, &site);
                self.report(core, lost_write::wrote(ghost.seen(core), mm, va.vpn(), &site));
            }
            if ghost.notes_writes {
                ghost.user_wrote(core, mm, va.vpn(), through.pfn, &site);
            }
            broken
        } else {
            leak::read(seen, mm, va, through.pfn, word, value, installed)
        };
        self.report(core, uaf);
        self.report(core, stale);
        self.report(core, old);
        self.report(core, shared);
    }

    /// A frame is nobody's from now on.
    fn freed(&self, ghost: &mut Ghost, core: &Core, pfn: Pfn, site: Site) {
        let mapped = mapcount::freed(ghost.seen(core), pfn, &site);
        let counted = refcount::freed(ghost.seen(core), pfn, &site);
        ghost.freed(core, pfn, site);
        self.report(core, mapped);
        self.report(core, counted);
    }

    fn record(&self, step: u64, cpu: sim_core::Cpu<'_>, what: impl FnOnce() -> What) {
        if let Some(log) = self.log.borrow_mut().as_mut() {
            log.push(Logged { step, cpu: cpu.id, stack: cpu.routines(), what: what() });
        }
    }
}

#[inline]
fn site(cpu: sim_core::Cpu<'_>) -> Site {
    Site { cpu: cpu.id, step: cpu.core.steps(), stack: cpu.routines() }
}

impl sim_core::Observer for Watch {
    fn observe(&self, core: &Core, cpu: CpuId, event: sim_core::Event) {
        if self.enabled.get() {
            self.record(core.steps(), sim_core::Cpu { core, id: cpu }, || What::Core(event));
        }
    }

    fn slept_in_atomic(&self, core: &Core, cpu: CpuId, why: Atomic) {
        if self.enabled.get() {
            let site = site(sim_core::Cpu { core, id: cpu });
            self.report(core, Some(sleep_in_atomic::slept(why, &site)));
        }
    }

    fn touched_dead(&self, core: &Core, cpu: CpuId, loc: Loc) {
        if self.enabled.get() {
            let site = site(sim_core::Cpu { core, id: cpu });
            let found = object_use_after_free::touched(self.ghost.borrow().seen(core), core, loc, &site);
            self.report(core, Some(found));
        }
    }
}

impl sim_mmu::Observer for Watch {
    fn hardware(&self, cpu: sim_mmu::Cpu<'_>, event: &Hardware) {
        if !self.enabled.get() {
            return;
        }
        self.record(cpu.core.steps(), *cpu, || What::Hardware(*event));
        // Most events are this one. So it has a way of its own, which is short.
        if let Hardware::TableAccess { root, level, table, by } = *event {
            let ghost = self.ghost.borrow();
            let walked = Walked { root, level, table, by };
            let found = page_table_use_after_free::accessed(ghost.seen(cpu.core), walked, || site(*cpu));
            self.report(cpu.core, found);
        } else {
            self.told_by_hardware(cpu, event);
        }
    }
}

impl Watch {
    /// An event of the hardware that is no access to a table.
    #[inline(never)]
    fn told_by_hardware(&self, cpu: sim_mmu::Cpu<'_>, event: &Hardware) {
        let mut ghost = self.ghost.borrow_mut();
        let core = cpu.core;
        match *event {
            Hardware::Speculated { root, level, table } => {
                let walked = Walked { root, level, table, by: Walker::Speculation };
                let found = page_table_use_after_free::accessed(ghost.seen(core), walked, || site(*cpu));
                self.report(cpu.core, found);
            }
            Hardware::Retired { va, access, through, nested, word, bytes, value } => {
                // Of a huge page only the page of the address is used.
                let through = (&through.of_page(va), nested);
                self.retired(&mut ghost, cpu, (va, access), through, (word, bytes, value));
            }
            Hardware::Filled(translation) => {
                translation.frames().for_each(|pfn| ghost.filled(core, pfn));
                let found = multi_hit::filled(ghost.seen(core), cpu, &translation, || site(*cpu));
                self.report(cpu.core, found);
            }
            Hardware::SetFlags { level, old, new } => {
                if new.has(Entry::DIRTY) && !old.has(Entry::DIRTY) {
                    // Of a huge page there is one bit for all of its frames.
                    let order = Order::of(level, cpu.mmu.geometry);
                    order.frames(new.pfn()).for_each(|pfn| ghost.dirtied(core, pfn, || site(*cpu)));
                }
            }
            // The first is judged above.
            Hardware::TableAccess { .. }
            | Hardware::Began(_)
            | Hardware::Faulted(_)
            | Hardware::Invalidated { .. } => {}
        }
    }
}

impl sim_mm::Observer for Watch {
    fn kernel(&self, cpu: sim_mm::Cpu<'_>, event: &Mm) {
        if !self.enabled.get() {
            return;
        }
        self.record(cpu.core.steps(), **cpu, || What::Mm(event.clone()));
        // Most events change a count. So they have a way of their own, which is short.
        match *event {
            Mm::RefChanged { pfn, how, old, new } => {
                let ghost = self.ghost.borrow();
                let changed = refcount::changed(ghost.seen(cpu.core), pfn, how, old, new, || site(**cpu));
                self.report(cpu.core, changed);
            }
            Mm::MapcountChanged { .. } => {}
            _ => self.told_by_kernel(cpu, event),
        }
    }
}

impl Watch {
    /// An event of the kernel that changes no count.
    #[inline(never)]
    fn told_by_kernel(&self, cpu: sim_mm::Cpu<'_>, event: &Mm) {
        let mut ghost = self.ghost.borrow_mut();
        let core: &Core = cpu.core;
        // Most events do not need it.
        let site = || site(**cpu);
        match *event {
            Mm::FrameAllocated { pfn, order, for_use } => {
                order.frames(pfn).for_each(|pfn| ghost.allocated(core, pfn, for_use));
                let seen = ghost.seen(core);
                let given = order.frames(pfn).filter(|_| for_use != FrameUse::Returned);
                let broken = given.into_iter().find_map(|pfn| semantics::allocated(seen, pfn, &site()));
                self.report(cpu.core, broken);
            }
            Mm::FrameFreed { pfn: first, order } => {
                order.frames(first).for_each(|pfn| self.freed(&mut ghost, core, pfn, site()));
            }
            Mm::FrameBroken { pfn } => ghost.broken(core, pfn),
            // Its memory is broken: whoever uses it from now on uses what is nobody's.
            Mm::FrameRetired { pfn } => self.freed(&mut ghost, core, pfn, site()),
            Mm::PageCleared { pfn } => ghost.cleared(core, pfn),
            Mm::PageCleaned { pfn } => ghost.cleaned(core, pfn),
            Mm::PageCopied { from, to } => ghost.copied(core, from, to),
            Mm::PageCached { pfn, page } => ghost.cached(core, pfn, page),
            Mm::PageDropped { pfn, page } => {
                let lost = dirty_lost::dropped(ghost.seen(core), cpu.kernel, pfn, page, &site());
                self.report(cpu.core, lost);
            }
            Mm::PteChanged { mm, va, old, new, order, sharing } => {
                let is_huge = order > Order::PTE;
                let part = |entry, nth| if is_huge { part_of_huge(entry, nth) } else { entry };
                for nth in 0..order.pages() {
                    let site = site();
                    let (va, old, new) = (va.plus_pages(nth), part(old, nth), part(new, nth));
                    // The only huge pages without a page that is counted are the huge zero pages.
                    if is_huge && new.has(Entry::SPECIAL) {
                        ghost.holds_zeroes(core, new.pfn());
                    }
                    if is_pte_present(new) && new.has(Entry::DIRTY) {
                        ghost.dirtied(core, new.pfn(), || site.clone());
                    }
                    if is_pte_present(new) && new.pfn() != old.pfn() {
                        self.report(
                            cpu.core,
                            lost_write::mapped(ghost.seen(core), mm, va.vpn(), new.pfn(), &site),
                        );
                        self.report(cpu.core, stale_pin::mapped(ghost.seen(core), mm, va, new.pfn(), &site));
                    }
                    if let Some(slot) = SwpEntry::of_pte(new) {
                        ghost.slot_named(core, mm, slot.0, cpu.kernel.swap_cache_page(slot));
                    }
                    if let Some(entry) = MigrationEntry::of_pte(new) {
                        ghost.share_with_child(core, mm, entry.pfn);
                    }
                    if let Some(entry) = MigrationEntry::of_pte(old).filter(|_| is_pte_present(new)) {
                        ghost.readable_as(core, mm, entry.pfn, new.pfn());
                    }
                    ghost.pte_changed(core, (mm, va), (old, new), sharing.of_part(nth), site);
                }
            }
            Mm::PageLockWanted { pfn } => {
                let by = (cpu.id, cpu.task());
                self.report(cpu.core, lock::wanted(ghost.seen(core), pfn, by, &site()));
            }
            Mm::PageLocked { pfn } => ghost.page_locked(pfn, Some((cpu.id, cpu.task())), &site()),
            Mm::PageUnlocked { pfn } => {
                let by = (cpu.id, cpu.task());
                self.report(cpu.core, lock::unlocked(ghost.seen(core), pfn, by, &site()));
                ghost.page_locked(pfn, None, &site());
            }
            Mm::GupReturned { start, nr_pages, told, ref handed } => {
                self.report(cpu.core, return_value::returned((start, nr_pages), told, handed, &site()));
            }
            Mm::PageWritten { pfn } => ghost.file_written(core, pfn, false, &site()),
            // Not there, but whoever asks is told so.
            Mm::WrittenBack { pfn } | Mm::WriteFailed { pfn } => ghost.written_back(core, pfn),
            Mm::SyncBegun { file, ref pages, id } => ghost.sync_begun(core, id, file, pages.clone()),
            Mm::SyncDone { id, kept } => {
                if kept {
                    self.report(cpu.core, semantics::synced(ghost.seen(core), cpu, id, &site()));
                }
                ghost.sync_done(id);
            }
            Mm::PageMerged { mm, va, from, to } => {
                self.report(
                    cpu.core,
                    lost_write::merged(ghost.seen(core), cpu.kernel, (mm, va), from, to, &site()),
                );
                ghost.readable_as(core, mm, from, to);
            }
            Mm::TableShared { table, with, root } => ghost.table_shared(core, table, with, root),
            Mm::TableGivenUp { table, root } => ghost.table_given_up(core, table, root),
            Mm::PageMigrated { from, to } => ghost.migrated(core, from, to),
            Mm::SwappedOut { pfn, slot } => ghost.swapped_out(core, pfn, slot),
            Mm::SwappedIn { slot, pfn } => ghost.swapped_in(core, slot, pfn),
            Mm::FlushBegun { id, mm, ref range } => ghost.flush_begun(core, id, mm, range.clone()),
            Mm::FlushDone { id } => ghost.flush_done(core, id),
            Mm::WritesForgotten { mm } => ghost.writes_noted(core, mm, false),
            Mm::WritesNoted { mm } => ghost.writes_noted(core, mm, true),
            Mm::MmCreated { mm, root, parent } => ghost.mm_created(core, mm, root, parent),
            Mm::ForkDone { parent, child } => ghost.fork_done(core, parent, child),
            Mm::Pinned { id, mm, va, pfn, references, longterm, .. } => {
                self.report(cpu.core, semantics::pinned(cpu.kernel, (mm, va), pfn, &site()));
                ghost.pinned(core, (id, references, longterm), (mm, va), pfn, site());
                self.report(cpu.core, stale_pin::taken(ghost.seen(core), id));
            }
            Mm::Unpinned { id } => {
                let twice = pin_misuse::put(ghost.seen(core), id, &site());
                ghost.unpinned(core, id, site());
                self.report(cpu.core, twice);
            }
            Mm::PinTouched { id, mm, pfn, word, value, write } => {
                let seen = ghost.seen(core);
                let Some(pin) = seen.pin(id) else {
                    self.report(cpu.core, pin_misuse::touched(seen, id, write, &site()));
                    return;
                };
                let uaf = frame_use_after_free::touched(seen, pin, write);
                let shared = if write {
                    let broken = cow_broken::wrote(seen, mm, pin.va, pfn, &pin.taken);
                    ghost.wrote(core, mm, pfn, word);
                    ghost.file_written(core, pfn, true, &site());
                    broken
                } else if seen.may_read(pin.mm, pfn, word) {
                    // The taker of the reference gave the page away.
                    None
                } else {
                    leak::read(seen, mm, pin.va, pfn, word, value, &pin.taken)
                };
                self.report(cpu.core, shared);
                self.report(cpu.core, uaf);
            }
            Mm::KernelBug { what } => self.report(cpu.core, Some(kernel_bug::said(what, &site()))),
            Mm::FlagsLost { pfn, lost } => {
                self.report(cpu.core, Some(flag_lost::stored_over(ghost.seen(core), pfn, lost, &site())));
            }
            Mm::ObjectFreed { first } => ghost.object_freed(first, site()),
            // The first two are judged above.
            Mm::RefChanged { .. }
            | Mm::MapcountChanged { .. }
            | Mm::AllocationFailed { .. }
            | Mm::PinMoved { .. }
            | Mm::GuestMapped { .. }
            | Mm::GuestUnmapped { .. }
            | Mm::MmReplaced { .. }
            | Mm::PageUncached { .. }
            | Mm::BlockWritten { .. }
            | Mm::FileResized { .. }
            | Mm::MmExited { .. } => {}
        }
    }
}
