//! A data access: translate, then touch memory.

use sim_core::{Bytes, Loc, Op, OpKind};

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
    /// Reads and writes it in one locked operation.
    Locked(Locked),
    /// Fetches it as an instruction.
    Fetch,
}

/// A locked operation. To all rules it is a write, whether it changes anything or not (SDM vol. 2, CMPXCHG).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// XCHG, which is locked with and without a prefix.
    Xchg(u64),
    /// LOCK CMPXCHG.
    Cmpxchg {
        /// The value that must be there.
        expected: u64,
        /// What it becomes then.
        new: u64,
    },
    /// LOCK XADD.
    Xadd(u64),
}

impl Locked {
    /// What becomes of a value. It may be wider than its bytes.
    const fn apply(self, old: u64) -> u64 {
        match self {
            Locked::Xchg(new) => new,
            Locked::Cmpxchg { expected, new } => {
                if old == expected {
                    new
                } else {
                    old
                }
            }
            Locked::Xadd(add) => old.wrapping_add(add),
        }
    }
}

impl DataOp {
    /// `lock addl $0`: it writes the value that is there already. All rules treat it as a write, and no reader sees a change.
    pub const ADD_ZERO: DataOp = DataOp::Locked(Locked::Xadd(0));

    const fn op_kind(self) -> OpKind {
        match self {
            DataOp::Read | DataOp::Fetch => OpKind::Read,
            DataOp::Write(_) => OpKind::Write,
            DataOp::Locked(_) => OpKind::Rmw,
        }
    }

    /// The kind of the access by which the rules of rights judge it.
    pub const fn kind(self) -> AccessKind {
        match self {
            DataOp::Read => AccessKind::Read,
            DataOp::Write(_) | DataOp::Locked(_) => AccessKind::Write,
            DataOp::Fetch => AccessKind::Fetch,
        }
    }
}

/// An access that completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The physical address that it touched.
    pub pa: PhysAddr,
    /// The value that it read. For a plain write, the value that it wrote.
    pub value: u64,
}

/// What an access did to its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Done {
    /// The value that it read. For a plain write, the value that it wrote.
    result: u64,
    /// The value that is there afterwards.
    holds: u64,
}

/// The bytes of a word that an access touches, and what it does to them.
#[derive(Clone, Copy, Debug)]
struct Data {
    bytes: Bytes,
    op: DataOp,
}

impl<'m> Cpu<'m> {
    /// One access of user code to the 8-byte word at `va`. It answers the value that it read, or for a plain write the value
    /// that it wrote.
    ///
    /// # Errors
    /// The exception that the access raises.
    pub async fn access(self, va: VirtAddr, data: DataOp) -> Result<u64, Fault> {
        Ok(self.access_bytes(Privilege::User, va, Bytes::ALL, data).await?.value)
    }

    /// One access to the 8-byte word at `va`.
    ///
    /// # Errors
    /// As [`access_bytes`](Cpu::access_bytes).
    pub fn access_as(
        self,
        privilege: Privilege,
        va: VirtAddr,
        data: DataOp,
    ) -> impl Future<Output = Result<Completed, Fault>> {
        self.access_bytes(privilege, va, Bytes::ALL, data)
    }

    /// One access to some bytes of the word at `va`.
    ///
    /// The translation is looked up when the access is announced. The access retires only if the TLB still
    /// holds that translation. Otherwise the access starts over. So no access uses a translation after the
    /// invalidation of it has completed, even if the access began earlier (SDM 4.10.5).
    ///
    /// # Errors
    /// #GP, if the address is not canonical; #PF, if the walk or a cached translation denies the access.
    pub async fn access_bytes(
        self,
        privilege: Privilege,
        va: VirtAddr,
        bytes: Bytes,
        op: DataOp,
    ) -> Result<Completed, Fault> {
        let access = Access { kind: op.kind(), privilege };
        let data = Data { bytes, op };
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
            if let Some(value) = self.touch(va, access, through, data).await {
                return Ok(Completed { pa: PhysAddr(through.frame.base().0 | va.offset()), value });
            }
        }
    }

    /// Touches the word if the translation is still there, and the registers are those of the look-up. Not if they were loaded
    /// meanwhile: another task may have run, and this one be back. If that sent the access back to its look-up, two tasks
    /// that take turns could keep each other from ever going on.
    #[inline]
    fn touch(
        self,
        va: VirtAddr,
        access: Access,
        through: Through,
        data: Data,
    ) -> impl Future<Output = Option<u64>> {
        let word = (va.offset() / 8) as u32;
        let op = self.op_on(self.mmu.phys.word(through.frame, word), data);
        let registers = (self.controls(), self.cr3());
        self.step(op, move |_| {
            let caches = self.caches().borrow();
            let through = match self.mmu.policy {
                Policy::Coherent => caches.walked.as_ref().filter(|walked| self.is_current(va, walked)),
                _ => caches.find(va.vpn(), through.id),
            };
            let through = through.filter(|_| (self.controls(), self.cr3()) == registers)?;
            let Done { result, holds: value } = self.perform(&op, data);
            let bytes = data.bytes;
            self.report_with(|| Event::Retired {
                va,
                access,
                through: *through,
                nested: false,
                word,
                bytes,
                value,
            });
            Some(result)
        })
    }

    /// Whether a walk would find the same translation now.
    fn is_current(self, va: VirtAddr, walked: &Translation) -> bool {
        self.mapped_now(&self.seek(va)).is_some_and(|(level, leaf, rights)| {
            (self.mmu.geometry.order(level), leaf.pfn(), rights, leaf.has(Entry::DIRTY))
                == (walked.order, walked.leaf.pfn(), walked.rights, walked.dirty)
        })
    }

    /// Without paging a linear address is a physical one (SDM 4.1.1).
    fn touch_untranslated(self, va: VirtAddr, data: Data) -> impl Future<Output = Completed> {
        let pa = PhysAddr(va.0);
        let op = self.op_on(self.mmu.phys.word(pa.pfn(), (va.offset() / 8) as u32), data);
        self.step(op, move |_| Completed { pa, value: self.perform(&op, data).result })
    }

    /// What an access announces. A load may have to wait for its CPU's own stores.
    #[inline]
    fn op_on(self, loc: Loc, data: Data) -> Op {
        let kind = data.op.op_kind();
        let op = Op::new(kind, loc);
        if kind == OpKind::Read { op.behind(self.load_gate(loc, data.bytes)) } else { op }
    }

    #[inline]
    fn perform(self, op: &Op, data: Data) -> Done {
        let Data { bytes, op: what } = data;
        let both = |value| Done { result: value, holds: value };
        match what {
            DataOp::Read | DataOp::Fetch => both(bytes.take(self.perform_load(op))),
            // A write outside memory changes nothing.
            DataOp::Write(value) if self.mmu.phys.is_bus(op.loc) => {
                self.perform_rmw(op, UNWRITTEN, UNWRITTEN);
                both(value)
            }
            DataOp::Write(value) => {
                if bytes == Bytes::ALL {
                    self.perform_store(op, value);
                } else {
                    self.perform_store_of(op, bytes, value);
                }
                both(value)
            }
            DataOp::Locked(locked) => {
                let old = self.core.memory.get(op.loc);
                let result = bytes.take(old);
                let new = if self.mmu.phys.is_bus(op.loc) { old } else { bytes.put(old, locked.apply(result)) };
                self.perform_rmw(op, old, new);
                Done { result, holds: bytes.take(new) }
            }
        }
    }
}
