//! `mm/mmu_notifier.c`: whoever has translations of an address space of his own is told before an entry changes.
//!
//! Such a *secondary MMU* has no references to the pages that it uses. So whoever takes a page away from an address, or write-protects it, calls
//! `mmu_notifier_invalidate_range_start()` before the first change and `mmu_notifier_invalidate_range_end()` after the last. The start names the
//! whole range, because what the entries hold is not known yet. If nobody subscribed, both do nothing.
//!
//! Here that is the MMU of a virtual machine. It is told of nothing but these invalidations, so its accesses make no page young
//! (`clear_flush_young`).

use sim_mmu::VirtAddr;

use crate::kernel::Cpu;
use crate::kvm_notifier::{
    kvm_mmu_notifier_invalidate_range_end, kvm_mmu_notifier_invalidate_range_start, kvm_mmu_notifier_release,
};
use crate::mm_types::MmStruct;

/// `struct mmu_notifier_range`, from the start of an invalidation to its end.
#[must_use = "a secondary MMU maps nothing until the end"]
pub(crate) struct MmuNotifierRange {
    /// Whether anybody was told of it.
    is_told: bool,
}

impl MmuNotifierRange {
    /// An invalidation of nothing.
    pub(crate) const NONE: Self = MmuNotifierRange { is_told: false };

    /// Whether nobody was told of it.
    pub(crate) fn is_none(&self) -> bool {
        !self.is_told
    }
}

/// `mm_has_notifiers()`: whether a secondary MMU is told.
pub fn mm_has_notifiers(cpu: Cpu<'_>, mm: &MmStruct) -> bool {
    cpu.this_cpu_read(mm.notifier_subscriptions())
}

/// `mmu_notifier_invalidate_range_start()`: no secondary MMU uses these pages when this returns.
pub(crate) async fn mmu_notifier_invalidate_range_start<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (start, end): (VirtAddr, VirtAddr),
) -> MmuNotifierRange {
    if !mm_has_notifiers(cpu, mm) {
        return MmuNotifierRange::NONE;
    }
    Box::pin(kvm_mmu_notifier_invalidate_range_start(cpu, mm, (start, end))).await;
    MmuNotifierRange { is_told: true }
}

/// `mmu_notifier_invalidate_range_end()`: the entries are what they are to be, and a secondary MMU may use them.
pub(crate) async fn mmu_notifier_invalidate_range_end<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    range: MmuNotifierRange,
) {
    if range.is_told {
        Box::pin(kvm_mmu_notifier_invalidate_range_end(cpu, mm)).await;
    }
}

/// `mmu_notifier_release()`, when an address space ends: no secondary MMU uses any of it.
pub(crate) async fn mmu_notifier_release<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) {
    if mm_has_notifiers(cpu, mm) {
        Box::pin(kvm_mmu_notifier_release(cpu, mm)).await;
        // hlist_del_init_rcu()
        cpu.store(mm.notifier_subscriptions(), false).await;
    }
}
