//! Another protection for a huge page: `change_huge_pmd()`.

use sim_core::Held;
use sim_mmu::VirtAddr;

use super::zero::is_huge_zero_pmd;
use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::pgtable::{Pmd, Pmdp};
use crate::pgtable_generic::pmdp_modify_start;
use crate::safeguards::NUMA_KEEPS_PMD;

/// `__pmd_trans_huge_lock()`: the lock of a PMD entry, if it maps a huge page; and what it is.
pub(crate) async fn pmd_trans_huge_lock<'m>(cpu: Cpu<'m>, pmdp: Pmdp) -> Option<(Held<'m>, Pmd)> {
    let ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
    let pmd = cpu.read_once(pmdp).await;
    pmd.trans_huge().then_some((ptl, pmd))
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

/// `change_huge_pmd()`: `change` answers what the entry shall be, if anything is to be changed.
///
/// The entry is not empty in between: who looks at it without the lock, like `MADV_DONTNEED`, must not take the page for gone.
pub(crate) async fn change_huge_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    pmdp: Pmdp,
    addr: VirtAddr,
    is_numa: bool,
    change: impl AsyncFn(Pmd) -> sim_mmu::Entry,
) -> HugeChange {
    let _routine = cpu.enter("change_huge_pmd");
    let Some((_ptl, pmd)) = pmd_trans_huge_lock(cpu, pmdp).await else { return HugeChange::NotHuge };
    if is_numa && (is_huge_zero_pmd(cpu, pmd) || pmd.protnone()) {
        return HugeChange::Untouched;
    }
    let old = pmdp_modify_start(cpu, mm, addr, pmdp, !cpu.has(NUMA_KEEPS_PMD)).await;
    let new = change(old).await;
    cpu.set_pmd_at(mm, addr, pmdp, new).await;
    HugeChange::Changed
}
