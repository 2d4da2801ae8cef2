//! A data access: translate, then touch memory.

use sim_core::{Op, OpKind};

use crate::addr::{PhysAddr, VirtAddr};
use crate::entry::Entry;
use crate::event::Event;
use crate::fault::Fault;
use crate::mmu::Cpu;
use crate::paging::{Access, AccessKind, Privilege};
use crate::phys::UNWRITTEN;
use crate::timing::Spent;
use crate::tlb::{Lookup, Policy, Through, Translation};

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
            let found = match self.look_up(va, access) {
                Lookup::Untranslated => return Ok(self.touch_untranslated(va, data).await),
                Lookup::NotCanonical => return Err(Fault::GeneralProtection),
                Lookup::Hit(through) => Ok(Some((through, None))),
                Lookup::Deny(fault) => Err(fault),
                Lookup::Miss => self.walk(va, access).await,
            };
            let found = found.map_err(|fault| {
                self.invalidate_by_fault(&self.seek(va));
                self.spend_on(Spent::Exception);
                self.report(Event::Faulted(fault));
                Fault::Page(fault)
            })?;
            let Some((through, _under_way)) = found else { continue };
            let loads = self.register_loads();
            if let Some(value) = self.touch(va, loads, access, through, data).await {
                return Ok(Completed { pa: PhysAddr(through.frame.base().0 | va.offset()), value });
            }
        }
    }

    /// Touches the word if the translation is still there, and the registers are those of the look-up.
    #[inline]
    fn touch(
        self,
        va: VirtAddr,
        loads: u64,
        access: Access,
        through: Through,
        data: DataOp,
    ) -> impl Future<Output = Option<u64>> {
        let kind = if access.writes() { OpKind::Write } else { OpKind::Read };
        let word = (va.offset() / 8) as u32;
        let op = Op::new(kind, self.mmu.phys.word(through.frame, word));
        self.step(op, move |_| {
            let caches = self.caches().borrow();
            let through = match self.mmu.policy {
                Policy::Coherent => caches.walked.as_ref().filter(|walked| self.is_current(va, walked)),
                _ => caches.find(va.vpn(), through.id),
            };
            let through = through.filter(|_| self.register_loads() == loads)?;
            let value = self.perform(&op, data);
            self.report_with(|| Event::Retired { va, access, through: *through, word, value });
            Some(value)
        })
    }

    /// Whether a walk would come to the same now.
    fn is_current(self, va: VirtAddr, walked: &Translation) -> bool {
        self.mapped_now(&self.seek(va)).is_some_and(|(level, leaf, rights)| {
            (self.mmu.geometry.order(level), leaf.pfn(), rights, leaf.has(Entry::DIRTY))
                == (walked.order, walked.leaf.pfn(), walked.rights, walked.dirty)
        })
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
}
