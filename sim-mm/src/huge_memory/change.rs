//! Another protection for a huge page: `change_huge_pmd()`.

use sim_core::Held;
use sim_mmu::VirtAddr;

use super::zero::is_huge_zero_pmd;
use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::pgtable::{Pmd, Pmdp};
use crate::pgtable_generic::pmdp_modify_start;
use crate::safeguards::NUMA_KEEPS_PMD;
use crate::swapops::MigrationEntry;

/// `__pmd_trans_huge_lock()`: the lock of a PMD entry, if it maps a huge page or says that one is being moved; and what it is.
pub(crate) async fn pmd_trans_huge_lock<'m>(cpu: Cpu<'m>, pmdp: Pmdp) -> Option<(Held<'m>, Pmd)> {
    let ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
    let pmd = cpu.read_once(pmdp).await;
    pmd.is_huge().then_some((ptl, pmd))
}

/// What came of changing the entry of a huge page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HugeChange {
    /// It maps no huge page any more.
    NotHuge,
    /// It stays as it is.
    Untouched,
    /// It has changed, so translations must go.
    Changed,
}

/// `change_huge_pmd()`: `change` answers what the entry shall be, if anything is to be changed, and `change_moved` what the entry of a page
/// that is being moved shall say.
///
/// The entry is not empty in between: who looks at it without the lock, like `MADV_DONTNEED`, must not take the page for gone.
pub(crate) async fn change_huge_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    pmdp: Pmdp,
    addr: VirtAddr,
    is_numa: bool,
    change: impl AsyncFn(Pmd) -> sim_mmu::Entry,
    change_moved: impl AsyncFn(MigrationEntry) -> MigrationEntry,
) -> HugeChange {
    let _routine = cpu.enter("change_huge_pmd");
    let Some((_ptl, pmd)) = pmd_trans_huge_lock(cpu, pmdp).await else { return HugeChange::NotHuge };
    if let Some(entry) = pmd.migration() {
        let new = change_moved(entry).await.to_pte();
        if new != pmd.entry {
            cpu.set_pmd_at(mm, addr, pmdp, new).await;
        }
        return HugeChange::Changed;
    }
    if is_numa && (is_huge_zero_pmd(cpu, pmd) || pmd.protnone()) {
        return HugeChange::Untouched;
    }
    let old = pmdp_modify_start(cpu, mm, addr, pmdp, !cpu.has(NUMA_KEEPS_PMD)).await;
    let new = change(old).await;
    cpu.set_pmd_at(mm, addr, pmdp, new).await;
    HugeChange::Changed
}
