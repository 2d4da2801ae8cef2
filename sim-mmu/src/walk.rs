//! The page walk (SDM 4.5): one memory access a level, A and D by locked read-modify-write (SDM 4.8).

use sim_core::{IrqGuard, Op, OpKind, Shared};

use crate::addr::{Level, VirtAddr};
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
        let mut table = root;
        let mut rights = Rights::ALL;
        let mut under_way = None;
        for level in Level::WALK {
            let cell = self.mmu.phys.entry(table, self.mmu.geometry.index(va, level));
            let entry = loop {
                let entry = self.walk_load(cell).await;
                under_way.get_or_insert_with(|| self.irq_save());
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
                if entry.has(flags) || self.set_flags(cell, entry, flags).await {
                    rights = narrowed;
                    break entry.with(flags);
                }
            };
            if level == Level::Pte {
                return Ok((Translation::found(root, va.vpn(), rights, entry), under_way));
            }
            table = entry.pfn();
        }
        unreachable!("the walk ends at the PTE")
    }

    /// Sets A or D if the entry is still what the walker read; else the walker reads it again.
    fn set_flags(self, cell: Shared<Entry>, expected: Entry, flags: u64) -> impl Future<Output = bool> {
        let op = Op::new(OpKind::Rmw, cell.loc());
        self.step(op, move |cpu| {
            let old = cpu.core.memory.get(op.loc);
            let same = old == expected.0;
            let new = if same { old | flags } else { old };
            cpu.perform_rmw(&op, old, new);
            if same {
                self.report(Event::SetFlags { old: Entry(old), new: Entry(new) });
            }
            same
        })
    }
}
