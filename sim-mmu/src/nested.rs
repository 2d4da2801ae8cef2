//! Accesses of a guest: through an entry of a second paging structure, which a hypervisor keeps (EPT, SDM Vol. 3C, chapter 30).
//!
//! Whoever drops an entry of it sends the virtual CPUs out of the guest before he goes on, and a processor that comes back into the guest has no
//! translation of the entry. So a guest uses what the structure holds at the moment of the access, and nothing is cached here. A processor
//! has no store of the guest under way when it leaves the guest, so the stores of a guest pass by the store buffer.

use sim_core::{Bytes, Op, OpKind};

use crate::addr::{Pfn, VirtAddr, Vpn};
use crate::entry::Entry;
use crate::event::Event;
use crate::mmu::Cpu;
use crate::paging::{Access, Rights};
use crate::tlb::Translation;

impl<'m> Cpu<'m> {
    /// What an entry of the second structure says: a page of the process whose root this is lies in that frame. `since` is the step at which
    /// the hypervisor began to ask for it.
    pub fn nested_translation(self, root: Pfn, vpn: Vpn, pfn: Pfn, write: bool, since: u64) -> Translation {
        let writable = if write { Entry::RW } else { 0 };
        Translation {
            id: self.next_translation(),
            root,
            pcid: self.controls().pcid(self.cr3()),
            global: false,
            order: 0,
            page_order: 0,
            vpn,
            pfn,
            rights: Rights { write, ..Rights::ALL },
            dirty: write,
            leaf: Entry::new(pfn, Entry::PRESENT | Entry::USER | writable),
            since,
            filled_at: self.core.steps(),
        }
    }

    /// A guest reads the first word of a page, or writes to it, if `holds` says that the second structure still has the translation. Answers
    /// what the word holds then.
    #[track_caller]
    pub fn guest_access(
        self,
        va: VirtAddr,
        through: Translation,
        write: Option<u64>,
        holds: impl Fn() -> bool + Unpin + 'm,
    ) -> impl Future<Output = Option<u64>> {
        let kind = if write.is_some() { OpKind::Rmw } else { OpKind::Walk };
        let op = Op::new(kind, self.mmu.phys.word(through.pfn, 0));
        self.step(op, move |hw| {
            if !holds() {
                return None;
            }
            let old = hw.core.memory.get(op.loc);
            let value = write.unwrap_or(old);
            hw.perform_rmw(&op, old, value);
            let access = if write.is_some() { Access::USER_WRITE } else { Access::USER_READ };
            self.report_with(|| Event::Retired {
                va,
                access,
                through,
                nested: true,
                word: 0,
                bytes: Bytes::ALL,
                value,
            });
            Some(value)
        })
    }
}
