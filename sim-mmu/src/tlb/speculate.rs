//! Walks that a processor makes for no access (SDM 4.10.2.3, 4.10.3.1).
//!
//! Under the adversarial policy, the caches hold what is *possibly* cached. So a speculative walk need not be
//! scheduled. Before anything changes, everything that such a walk could find is added to the caches. Only a walk
//! that would leave a trace, that is an A bit, is a choice.

use crate::addr::VirtAddr;
use crate::event::Event;
use crate::mmu::Cpu;
use crate::paging::Next;
use crate::tlb::{Partial, Policy, Seek};

impl Cpu<'_> {
    /// To be called before a paging structure changes: every CPU may have walked what is there until now. It does
    /// nothing unless [`Mmu::speculate_for`](crate::Mmu::speculate_for) named addresses.
    pub fn before_change(self) {
        if !self.mmu.speculated.borrow().is_empty() {
            for id in sim_core::CpuId::all(self.mmu.cpus.len()) {
                self.core.touch(self.mmu.caches.offset(u32::from(id.0)), true);
                Cpu::new(self.mmu, id).before_own_change();
            }
        }
    }

    /// To be called before the caches or the registers of this CPU change, for the same reason.
    pub(crate) fn before_own_change(self) {
        for va in self.mmu.speculated.borrow().iter() {
            self.speculate(*va);
        }
    }

    /// Makes all speculative walks for `va` that may take place: from the root, and from each entry that is
    /// possibly in the paging-structure caches. It is called before each change of memory or of registers. These
    /// walks set no D.
    pub fn speculate(self, va: VirtAddr) {
        let Policy::Adversarial { .. } = self.mmu.policy else { return };
        let seek = self.seek(va);
        if !seek.is_paged(self.mmu.geometry) {
            return;
        }
        let starts: Vec<Option<Partial>> = {
            let caches = self.caches().borrow();
            let usable = caches.partials.iter().filter(|partial| seek.may_begin_with(partial));
            usable.copied().map(Some).chain([None]).collect()
        };
        for start in starts {
            self.speculate_from(&seek, start);
        }
    }

    fn speculate_from(self, seek: &Seek, start: Option<Partial>) {
        let mut walk = self.walk_from(seek, start.as_ref(), None);
        let since = start.map_or_else(|| self.core.steps(), |partial| partial.since);
        let root = start.map_or(seek.cr3.root(), |partial| partial.root);
        loop {
            let (level, table, index) = (walk.level(), walk.table(), walk.index());
            let entry = self.mmu.entry_now(table, index);
            self.report(Event::Speculated { root, level, table });
            match walk.judge(entry) {
                Next::Descend => self.fill_partial(seek, root, level, &walk, entry, since),
                Next::Mark(_) if !self.mmu.sets_flags => return,
                Next::Mark(flags) => {
                    if self.core.choose_value("speculative walk", 2) == 0 {
                        return;
                    }
                    self.core.memory.set(self.mmu.phys.word(table, index), entry.0 | flags);
                }
                Next::Mapped(rights) => {
                    self.fill(seek, root, level, rights, entry, since);
                    return;
                }
                Next::Fault(_) | Next::Nothing => return,
            }
        }
    }
}
