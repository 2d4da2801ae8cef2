//! Changes of PTEs, each told of in the step that makes it: `set_pte_at()`, `ptep_get_and_clear()`, `ptep_set_wrprotect()`.

use std::future::Future;

use sim_core::{OpKind, Step};
use sim_mmu::{Entry, VirtAddr};

use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::pgtable::{EntryPtr, Pte, Ptep};
use crate::pgtable_3level::{EntryAccess, native_ptep_get_and_clear, native_set_pte};
use crate::safeguards::{PTEP_GET_AND_CLEAR, PTEP_SET_WRPROTECT};

impl<'m> Cpu<'m> {
    /// `set_pte_at()`: a plain store.
    #[track_caller]
    pub fn set_pte_at(
        self,
        mm: &'m MmStruct,
        va: VirtAddr,
        ptep: Ptep,
        new: Entry,
    ) -> impl Future<Output = ()> + use<'m> {
        if self.splits_entries() {
            return EntryAccess::Halves(native_set_pte(self, mm, va, ptep, new));
        }
        let op = self.entry_op(ptep, OpKind::Write, std::panic::Location::caller());
        EntryAccess::Whole(self.step(op, move |hw| {
            let old = Entry(hw.core.memory.get(op.loc));
            self.before_change();
            hw.perform_store(&op, new.0);
            self.table_access(ptep);
            self.note_change(mm, va, ptep, old, new);
        }))
    }

    /// A locked change of a PTE; answers what was there. So the hardware's A and D are never lost.
    #[track_caller]
    pub(crate) fn update_pte<U: Fn(Entry) -> Entry + Unpin>(
        self,
        mm: &'m MmStruct,
        va: VirtAddr,
        ptep: Ptep,
        update: U,
    ) -> impl Future<Output = Pte> + use<'m, U> {
        self.change_pte(mm, va, ptep, None, update)
    }

    /// A change of a PTE: a locked one of what is there, or a store that goes by what was `seen` before. Answers what it
    /// took for the old value.
    #[track_caller]
    fn change_pte<U: Fn(Entry) -> Entry + Unpin>(
        self,
        mm: &'m MmStruct,
        va: VirtAddr,
        ptep: Ptep,
        seen: Option<Pte>,
        update: U,
    ) -> Step<'m, impl FnMut(sim_core::Cpu<'m>) -> Pte + Unpin + use<'m, U>> {
        let kind = if seen.is_some() { OpKind::Write } else { OpKind::Rmw };
        let op = self.entry_op(ptep, kind, std::panic::Location::caller());
        self.step(op, move |hw| {
            let old = Entry(hw.core.memory.get(op.loc));
            let new = update(seen.map_or(old, |seen| seen.entry));
            self.before_change();
            match seen {
                None => hw.perform_rmw(&op, old.0, new.0),
                Some(_) => hw.perform_store(&op, new.0),
            }
            self.table_access(ptep);
            if new != old {
                self.note_change(mm, va, ptep, old, new);
            }
            seen.unwrap_or(ptep.value(old))
        })
    }
}

/// `ptep_get_and_clear()` of an entry that was `seen` under its lock; answers what was there.
#[track_caller]
pub(crate) fn ptep_get_and_clear<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    va: VirtAddr,
    ptep: Ptep,
    seen: Pte,
) -> impl Future<Output = Pte> + use<'m> {
    let stored = (!cpu.has(PTEP_GET_AND_CLEAR)).then_some(seen);
    if cpu.splits_entries() && stored.is_none() {
        return EntryAccess::Halves(native_ptep_get_and_clear(cpu, mm, va, ptep));
    }
    EntryAccess::Whole(cpu.change_pte(mm, va, ptep, stored, |_| Entry::NONE))
}

/// `ptep_set_wrprotect()` of an entry that was `seen` under its lock.
#[track_caller]
pub(crate) fn ptep_set_wrprotect<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    va: VirtAddr,
    ptep: Ptep,
    seen: Pte,
) -> impl Future<Output = Pte> + use<'m> {
    let stored = (!cpu.has(PTEP_SET_WRPROTECT)).then_some(seen);
    cpu.change_pte(mm, va, ptep, stored, |entry| entry.without(Entry::RW))
}
