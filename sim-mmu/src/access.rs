//! A data access: translate, then touch memory.

use sim_core::{Op, OpKind};

use crate::addr::VirtAddr;
use crate::cpu::Cpu;
use crate::event::Event;
use crate::fault::PageFault;
use crate::rights::{Access, AccessKind};
use crate::tlb::{Lookup, Translation};

/// What a data access does to its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataOp {
    /// Reads it.
    Read,
    /// Writes this value.
    Write(u64),
}

impl<'m> Cpu<'m> {
    /// One access of user code to the 8-byte word at `va`; answers the value read or written.
    ///
    /// The translation is looked up when the access is announced; it retires only if the TLB still
    /// holds that translation, else it starts over. So an invalidation that has completed is never
    /// overtaken by an access that began before it (SDM 4.10.5).
    ///
    /// # Errors
    /// The page fault, if the walk or a cached translation denies the access.
    pub async fn access(self, va: VirtAddr, data: DataOp) -> Result<u64, PageFault> {
        let access = match data {
            DataOp::Read => Access { kind: AccessKind::Read, user: true },
            DataOp::Write(_) => Access { kind: AccessKind::Write, user: true },
        };
        loop {
            let found = match self.look_up(va, access) {
                Lookup::Hit(translation) => Ok((translation, None)),
                Lookup::Deny(fault) => Err(fault),
                Lookup::Miss => {
                    self.walk(va, access).await.map(|(found, under_way)| (self.fill(found), under_way))
                }
            };
            let (through, _under_way) = found.inspect_err(|fault| {
                // A fault invalidates what is cached for its address (SDM 4.10.4.1).
                let root = self.cr3();
                let of_page = |e: &Translation| e.root == root && e.vpn == va.vpn();
                self.mmu.tlbs[self.id.index()].borrow_mut().drop_where(of_page);
                self.spend(self.mmu.costs.fault);
                self.report(Event::Faulted(*fault));
            })?;
            if let Some(value) = self.touch(va, access, through, data).await {
                return Ok(value);
            }
        }
    }

    fn touch(
        self,
        va: VirtAddr,
        access: Access,
        through: Translation,
        data: DataOp,
    ) -> impl Future<Output = Option<u64>> {
        let kind = if access.writes() { OpKind::Write } else { OpKind::Read };
        let op = Op::new(kind, self.mmu.phys.word(through.pfn, (va.offset() / 8) as u32));
        self.step(op, move |_| self.retire(op, va, access, through, data))
    }
}
