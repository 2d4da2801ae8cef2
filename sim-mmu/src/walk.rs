//! The page walk (SDM 4.5): one memory access a level, A and D by locked read-modify-write (SDM 4.8).

use sim_core::{IrqGuard, Op, OpKind, Shared};

use crate::addr::{Level, Pfn, VirtAddr};
use crate::cpu::Cpu;
use crate::entry::Entry;
use crate::event::{Event, Walker};
use crate::fault::PageFault;
use crate::rights::{Access, Rights};
use crate::tlb::Translation;

impl<'m> Cpu<'m> {
    /// Walks the structures under CR3 for one access.
    ///
    /// From its first read on the instruction is under way: no interrupt is taken until it retires or
    /// faults, for as long as the guard that comes with the translation lives.
    ///
    /// # Errors
    /// The page fault: not present at any level, a reserved bit, or rights over all levels.
    pub(crate) async fn walk(
        self,
        va: VirtAddr,
        access: Access,
    ) -> Result<(Translation, Option<IrqGuard<'m>>), PageFault> {
        let root = self.cr3();
        let mut under_way = None;
        loop {
            if let Some(found) = self.walk_once(root, va, access, &mut under_way).await? {
                return Ok((found, under_way));
            }
        }
    }

    /// The broadcasts that this CPU's TLB has answered.
    fn broadcasts(self) -> u64 {
        self.mmu.tlbs[self.id.index()].borrow().broadcasts
    }

    /// One walk; `None` if a broadcast invalidation overtook it. TLBSYNC waits for walks that are under
    /// way, so what such a walk has read may not be used, nor what it points at be touched.
    async fn walk_once(
        self,
        root: Pfn,
        va: VirtAddr,
        access: Access,
        under_way: &mut Option<IrqGuard<'m>>,
    ) -> Result<Option<Translation>, PageFault> {
        let mut begun = None;
        let mut table = root;
        let mut rights = Rights::ALL;
        for level in Level::WALK {
            let cell = self.mmu.phys.entry(table, self.mmu.geometry.index(va, level));
            let entry = loop {
                let entry = self.walk_load(cell).await;
                under_way.get_or_insert_with(|| self.irq_save());
                let now = self.broadcasts();
                if *begun.get_or_insert(now) != now {
                    return Ok(None);
                }
                self.report(Event::TableAccess { root, level, table, by: Walker::Hardware });
                // SDM 4.7: P is judged before the reserved bits of the same entry.
                if !entry.is_present() {
                    return Err(PageFault::new(va, access, false, false));
                }
                if entry.has(Entry::PAGE_SIZE) && level != Level::Pte || !self.mmu.phys.contains(entry.pfn()) {
                    return Err(PageFault::new(va, access, true, true));
                }
                let narrowed = rights.through(entry);
                // SDM 4.6: rights are judged on the whole walk, and a fault sets no D.
                if level == Level::Pte && !narrowed.permit(access) {
                    return Err(PageFault::new(va, access, true, false));
                }
                let mut flags = Entry::ACCESSED;
                if level == Level::Pte && access.writes() {
                    flags |= Entry::DIRTY;
                }
                if entry.has(flags) {
                    rights = narrowed;
                    break entry;
                }
                match self.set_flags(cell, entry, flags, now).await {
                    None => return Ok(None),
                    Some(true) => {
                        rights = narrowed;
                        break entry.with(flags);
                    }
                    Some(false) => {}
                }
            };
            if level == Level::Pte {
                return Ok(Some(Translation::found(root, va.vpn(), rights, entry)));
            }
            table = entry.pfn();
        }
        unreachable!("the walk ends at the PTE")
    }

    /// Sets A or D if the entry is still what the walker read; else the walker reads it again. `None` if
    /// a broadcast came since `begun`.
    fn set_flags(
        self,
        cell: Shared<Entry>,
        expected: Entry,
        flags: u64,
        begun: u64,
    ) -> impl Future<Output = Option<bool>> {
        let op = Op::new(OpKind::Rmw, cell.loc());
        self.step(op, move |cpu| {
            let old = cpu.core.memory.get(op.loc);
            if self.broadcasts() != begun {
                cpu.perform_rmw(&op, old, old);
                return None;
            }
            let same = old == expected.0;
            let new = if same { old | flags } else { old };
            cpu.perform_rmw(&op, old, new);
            if same {
                self.report(Event::SetFlags { old: Entry(old), new: Entry(new) });
            }
            Some(same)
        })
    }
}
