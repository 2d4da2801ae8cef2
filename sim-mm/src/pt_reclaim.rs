//! `mm/pt_reclaim.c`: page tables that `MADV_DONTNEED` leaves empty are freed (`CONFIG_PT_RECLAIM`). Since v6.14.
//!
//! Faults go on meanwhile. So whoever has found a table by an entry that he read earlier looks again whether it is linked when he has its lock
//! (`is_unlinked`), and looks at it without the lock only in a read-side section of RCU.

use sim_core::BoxFuture;
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use crate::check;
use crate::entries::entries;
use crate::kernel::Cpu;
use crate::mmu_gather::MmuGather;
use crate::pgtable::{Pmdp, Ptep};
use crate::safeguards::PT_RECLAIM_RECHECK;
use crate::settings::PtReclaim;

/// What becomes of a page table whose entries are unmapped: `can_reclaim_pt` and `direct_reclaim` of `zap_pte_range()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reclaim {
    /// It stays.
    Keep,
    /// It goes. Its lock has been held since the first entry was looked at, so that all entries are empty at the end.
    Direct,
    /// It goes, if somebody looks at all entries again: its lock was let go of on the way.
    Recheck,
    /// No entry leads to it any more. It is to be freed.
    Unlinked(Pfn),
}

impl Reclaim {
    /// `reclaim_pt_is_enabled()`: whether a table goes of which a range is unmapped: where that `is_asked` for, and only if the range is all that
    /// the table maps.
    pub(crate) fn of(cpu: Cpu<'_>, is_asked: bool, start: VirtAddr, end: VirtAddr) -> Reclaim {
        let is_whole = end.0 - start.0 >= cpu.mmu.geometry.span(Level::Pmd);
        let can_reclaim = is_asked && is_whole && cpu.setting::<PtReclaim>() == PtReclaim::Freed;
        if can_reclaim { Reclaim::Direct } else { Reclaim::Keep }
    }

    /// The lock of the table is let go of before all its entries are empty.
    pub(crate) fn let_go(&mut self) {
        if *self == Reclaim::Direct {
            *self = Reclaim::Recheck;
        }
    }
}

/// `try_get_and_clear_pmd()`: takes a table out of reach whose lock the caller holds, and whose entries are all empty. The lock of the upper table
/// comes before that lock elsewhere. So it is not waited for, and if somebody has it, then the table is looked at again.
pub(crate) fn try_get_and_clear_pmd(cpu: Cpu<'_>, pmdp: Pmdp) -> BoxFuture<'_, Reclaim> {
    Box::pin(async move {
        let Some(_pml) = cpu.try_lock(cpu.kernel.ptl(pmdp.table())).await else { return Reclaim::Recheck };
        let pmd = cpu.read_once(pmdp).await;
        cpu.set_table(pmdp, Entry::NONE).await;
        Reclaim::Unlinked(pmd.entry.pfn())
    })
}

/// The end of `zap_pte_range()`, with no lock held: frees the table, if it can.
pub(crate) fn reclaim_table<'a, 'm>(
    cpu: Cpu<'m>,
    tlb: &'a mut MmuGather<'m>,
    (pmdp, start): (Pmdp, VirtAddr),
    reclaim: Reclaim,
) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let unlinked = match reclaim {
            Reclaim::Keep | Reclaim::Direct => None,
            Reclaim::Recheck => try_to_free_pte(cpu, tlb, pmdp, start).await,
            Reclaim::Unlinked(table) => Some(table),
        };
        if let Some(table) = unlinked {
            // free_pte()
            tlb.remove_table(cpu, table, start).await;
        }
    })
}

/// The first half of `try_to_free_pte()`: takes the table out of reach under both locks, if all its entries are empty still.
async fn try_to_free_pte<'m>(cpu: Cpu<'m>, tlb: &MmuGather<'m>, pmdp: Pmdp, start: VirtAddr) -> Option<Pfn> {
    let _routine = cpu.enter("try_to_free_pte");
    let _pml = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
    let pmd = cpu.read_once(pmdp).await;
    if !pmd.leads_to_table() {
        return None;
    }
    let first = pmd.pte_offset(cpu.mmu.geometry, start);
    let _ptl = cpu.lock(cpu.kernel.ptl(first.table())).await;
    // A fault may have filled an entry since the lock was let go of.
    if check!(cpu, PT_RECLAIM_RECHECK, !is_empty(cpu, first, start).await) {
        return None;
    }
    cpu.set_table(pmdp, Entry::NONE).await;
    cpu.note_entries(tlb.mm, first.table(), start, |entry| (entry, Entry::NONE));
    Some(first.table())
}

/// Whether all entries of a table are empty: `first` is the first of them.
async fn is_empty(cpu: Cpu<'_>, first: Ptep, start: VirtAddr) -> bool {
    let end = VirtAddr(start.0 + cpu.mmu.geometry.span(Level::Pmd));
    for (ptep, ..) in entries(cpu.mmu.geometry, first, start, end) {
        if !cpu.read_once(ptep).await.none() {
            return false;
        }
    }
    true
}
