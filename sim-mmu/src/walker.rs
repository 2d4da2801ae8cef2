//! The page walker of a CPU. It makes the walk (SDM 4.5) as memory accesses, one for each level, and sets A and D by
//! locked read-modify-write (SDM 4.8).

use sim_core::{IrqGuard, Op, OpKind, Shared};

use crate::addr::{Level, VirtAddr};
use crate::entry::Entry;
use crate::event::{Event, Walker};
use crate::fault::PageFault;
use crate::mmu::Cpu;
use crate::paging::{Access, Next, Rights, Walk};
use crate::timing::Spent;
use crate::tlb::{Partial, Policy, Seek, Through};

impl<'m> Cpu<'m> {
    /// Walks the structures under CR3 for one access.
    ///
    /// From the first read of the walk on, the instruction is under way. The CPU takes no interrupt until the access
    /// retires or faults: the guard that comes with the translation lives until then. The answer is `None` if an
    /// interrupt before the first read left other registers behind. Then the access begins anew.
    ///
    /// A broadcast invalidation may overtake a walk. TLBSYNC waits for walks that are under way. So such a walk may not
    /// use what it has read, nor touch what that points at. It starts over.
    ///
    /// # Errors
    /// The page fault: not present at any level, a reserved bit, or rights over all levels.
    pub(crate) async fn walk(
        self,
        va: VirtAddr,
        access: Access,
    ) -> Result<Option<(Through, Option<IrqGuard<'m>>)>, PageFault> {
        self.spend_on(Spent::TlbMiss);
        let seek = &self.seek(va);
        let mut under_way = None;
        let mut start = self.begin_walk(seek);
        if let Some(partial) = start {
            self.report(Event::Began(partial));
        }
        'walk: loop {
            let mut begun = None;
            let start = start.take();
            let root = start.map_or(seek.cr3.root(), |partial| partial.root);
            let mut since = start.map(|partial| partial.since);
            let mut walk = self.walk_from(seek, start.as_ref(), Some(access));
            loop {
                let (level, table) = (walk.level(), walk.table());
                let cell = self.mmu.phys.entry(table, walk.index());
                let mut entry = self.walk_load(cell).await;
                self.spend_on_walk(level, cell.loc());
                if under_way.is_none() {
                    // The number of register loads does not tell: another task may have run meanwhile, and this one is back.
                    if (self.controls(), self.cr3()) != (seek.controls, seek.cr3) {
                        return Ok(None);
                    }
                    under_way = Some(self.irq_save());
                }
                let since = *since.get_or_insert_with(|| self.core.steps());
                // The entry with which the walk begins may have been invalidated before the first read.
                if begun.is_none() && start.is_some_and(|start| !self.caches().borrow().holds_partial(&start)) {
                    continue 'walk;
                }
                let now = self.broadcasts();
                if *begun.get_or_insert(now) != now {
                    continue 'walk;
                }
                self.report(Event::TableAccess { root, level, table, by: Walker::Hardware });
                let mut next = walk.judge(entry);
                if !self.mmu.sets_flags && matches!(next, Next::Mark(_)) {
                    return Err(PageFault::unmarked(&seek.controls, va, access, entry));
                }
                if let Next::Mark(flags) = next {
                    match self.set_flags(cell, level, entry, flags, now).await {
                        Marked::Overtaken => continue 'walk,
                        // The entry is read again.
                        Marked::Changed => continue,
                        Marked::Done => {
                            entry = entry.with(flags);
                            next = walk.judge(entry);
                        }
                    }
                }
                match next {
                    Next::Descend => self.fill_partial(seek, root, level, &walk, entry, since),
                    Next::Mapped(rights) => {
                        let found = self.fill(seek, root, level, rights, entry, since);
                        if self.mmu.policy == Policy::Profile {
                            self.caches().borrow_mut().insert_walked(found, access.fetches());
                        }
                        return Ok(Some((found.through(va), under_way)));
                    }
                    Next::Fault(fault) => return Err(fault),
                    Next::Mark(_) | Next::Nothing => {
                        unreachable!("A and D are set, and the walk is for an access")
                    }
                }
            }
        }
    }

    /// A walk that begins at a cached entry, or at the root if there is none.
    pub(crate) fn walk_from<'s>(
        self,
        seek: &'s Seek,
        start: Option<&Partial>,
        access: Option<Access>,
    ) -> Walk<'s> {
        let below = start.and_then(|partial| Some((partial.level.next()?, partial.table, partial.rights)));
        let (level, table, rights) = below.unwrap_or((seek.controls.root_level(), seek.cr3.root(), Rights::ALL));
        Walk::from(&seek.controls, self.mmu.geometry, level, table, rights, seek.va, access)
    }

    /// The broadcasts that this CPU's caches have answered.
    fn broadcasts(self) -> u64 {
        self.caches().borrow().broadcasts
    }

    /// Sets A or D if the entry is still what the walker read. Otherwise the walker reads it again.
    fn set_flags(
        self,
        cell: Shared<Entry>,
        level: Level,
        expected: Entry,
        flags: u64,
        begun: u64,
    ) -> impl Future<Output = Marked> {
        let op = Op::new(OpKind::Rmw, cell.loc());
        self.step(op, move |cpu| {
            let old = cpu.core.memory.get(op.loc);
            let overtaken = self.broadcasts() != begun;
            let same = old == expected.0;
            let new = if same && !overtaken { old | flags } else { old };
            cpu.perform_rmw(&op, old, new);
            if overtaken {
                return Marked::Overtaken;
            }
            if !same {
                return Marked::Changed;
            }
            self.report(Event::SetFlags { level, old: Entry(old), new: Entry(new) });
            Marked::Done
        })
    }
}

/// How an update of A or D ended.
enum Marked {
    Done,
    /// The entry is no longer what the walk read.
    Changed,
    /// A broadcast came since the walk began.
    Overtaken,
}
