//! A data access: translate, then touch memory.

use sim_core::{Op, OpKind};

use crate::addr::{Level, PhysAddr, VirtAddr};
use crate::control::Cr0;
use crate::cpu::Cpu;
use crate::entry::Entry;
use crate::event::Event;
use crate::fault::Fault;
use crate::paging::{Access, AccessKind, Privilege};
use crate::phys::UNWRITTEN;
use crate::timing::Spent;
use crate::tlb::{Lookup, Policy, Seek, Translation};

/// What an access does to its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataOp {
    /// Reads it.
    Read,
    /// Writes this value.
    Write(u64),
    /// Writes what is there already, as `lock addl $0` does: a write to all rules, and to no reader.
    AddZero,
    /// Fetches it as an instruction.
    Fetch,
}

impl DataOp {
    /// As the rights rules see it.
    pub const fn kind(self) -> AccessKind {
        match self {
            DataOp::Read => AccessKind::Read,
            DataOp::Write(_) | DataOp::AddZero => AccessKind::Write,
            DataOp::Fetch => AccessKind::Fetch,
        }
    }
}

/// An access that completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Where.
    pub pa: PhysAddr,
    /// The value that was read or written.
    pub value: u64,
}

impl<'m> Cpu<'m> {
    /// One access of user code to the 8-byte word at `va`; answers the value read or written.
    ///
    /// # Errors
    /// The exception that the access raises.
    pub async fn access(self, va: VirtAddr, data: DataOp) -> Result<u64, Fault> {
        Ok(self.access_as(Privilege::User, va, data).await?.value)
    }

    /// One access to the 8-byte word at `va`.
    ///
    /// The translation is looked up when the access is announced; it retires only if the TLB still
    /// holds that translation, else it starts over. So an invalidation that has completed is never
    /// overtaken by an access that began before it (SDM 4.10.5).
    ///
    /// # Errors
    /// #GP, if the address is not canonical; #PF, if the walk or a cached translation denies the access.
    pub async fn access_as(self, privilege: Privilege, va: VirtAddr, data: DataOp) -> Result<Completed, Fault> {
        let access = Access { kind: data.kind(), privilege };
        loop {
            let seek = self.seek(va);
            if !seek.controls.cr0.has(Cr0::PG) {
                return Ok(self.touch_untranslated(va, data).await);
            }
            // SDM 4.5.3: before anything is looked up.
            if !self.mmu.geometry.is_canonical(va, seek.controls.root_level()) {
                return Err(Fault::GeneralProtection);
            }
            let found = match self.look_up(&seek, access) {
                Lookup::Hit(translation) => Ok(Some((translation, None))),
                Lookup::Deny(fault) => Err(fault),
                Lookup::Miss => self.walk(&seek, access).await,
            };
            let found = found.map_err(|fault| {
                self.invalidate_by_fault(&seek);
                self.spend_on(Spent::Exception);
                self.report(Event::Faulted(fault));
                Fault::Page(fault)
            })?;
            let Some((through, _under_way)) = found else { continue };
            if let Some(value) = self.touch(seek, access, through, data).await {
                return Ok(Completed { pa: PhysAddr(through.frame(va).base().0 | va.offset()), value });
            }
        }
    }

    fn touch(
        self,
        seek: Seek,
        access: Access,
        through: Translation,
        data: DataOp,
    ) -> impl Future<Output = Option<u64>> {
        let kind = if access.writes() { OpKind::Write } else { OpKind::Read };
        let word = (seek.va.offset() / 8) as u32;
        let op = Op::new(kind, self.mmu.phys.word(through.frame(seek.va), word));
        self.step(op, move |_| {
            if !self.still_holds(&seek, &through) {
                return None;
            }
            let value = self.perform(&op, data);
            self.report(Event::Retired { va: seek.va, access, through, word, value });
            Some(value)
        })
    }

    /// Whether a translation that was found may be used now: it is still there, and so are the registers
    /// under which it was looked up.
    fn still_holds(self, seek: &Seek, through: &Translation) -> bool {
        let there = match self.mmu.policy {
            Policy::Coherent => self.mapped_now(seek).is_some_and(|(level, leaf, rights)| {
                (self.mmu.geometry.order(level), leaf.pfn(), rights, leaf.has(Entry::DIRTY))
                    == (through.order, through.leaf.pfn(), through.rights, through.dirty)
            }),
            _ => self.caches().borrow().holds(through),
        };
        there && self.seek(seek.va) == *seek
    }

    /// Without paging a linear address is a physical one (SDM 4.1.1).
    fn touch_untranslated(self, va: VirtAddr, data: DataOp) -> impl Future<Output = Completed> {
        let kind = if data.kind() == AccessKind::Write { OpKind::Write } else { OpKind::Read };
        let pa = PhysAddr(va.0);
        let op = Op::new(kind, self.mmu.phys.word(pa.pfn(), (va.offset() / 8) as u32));
        self.step(op, move |_| Completed { pa, value: self.perform(&op, data) })
    }

    fn perform(self, op: &Op, data: DataOp) -> u64 {
        match data {
            DataOp::Read | DataOp::Fetch => self.perform_load(op),
            // Nothing takes what is written outside memory.
            DataOp::Write(value) if self.mmu.phys.is_bus(op.loc) => {
                self.perform_rmw(op, UNWRITTEN, UNWRITTEN);
                value
            }
            DataOp::Write(value) => {
                self.perform_store(op, value);
                value
            }
            DataOp::AddZero => {
                let value = self.core.memory.get(op.loc);
                self.perform_rmw(op, value, value);
                value
            }
        }
    }

    /// The level at which the structures map the address now, by a look that nobody sees.
    pub fn page_level_now(self, va: VirtAddr) -> Option<Level> {
        self.mapped_now(&self.seek(va)).map(|(level, ..)| level)
    }
}
