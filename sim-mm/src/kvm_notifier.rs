//! `virt/kvm/kvm_main.c`: the entries of the secondary MMU of a virtual machine go before those of the process.
//!
//! An entry of it (`spte`) says the same as an entry of the process, and holds no reference to the page. So an entry of the process changes only
//! between a start and an end of an invalidation: the start drops what the secondary MMU has, and until the end nothing new comes.

use std::ops::Range;

use sim_mmu::{Pfn, VirtAddr, Vpn};

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::MmStruct;

/// `kvm_mmu_notifier_invalidate_range_start()`: the guest has none of these pages when this returns, and gets none before the end.
pub(crate) async fn kvm_mmu_notifier_invalidate_range_start(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    (start, end): (VirtAddr, VirtAddr),
) {
    let words = mm.kvm.words;
    let _mmu_lock = cpu.lock(words.mmu_lock()).await;
    // Before the entries go: a fault that sets one afterwards sees the count under the lock.
    cpu.rmw(words.mmu_invalidate_in_progress(), |count: u64| count + 1).await;
    zap_sptes(cpu, mm, start.vpn()..end.page_align().vpn()).await;
}

/// `kvm_mmu_notifier_invalidate_range_end()`.
pub(crate) async fn kvm_mmu_notifier_invalidate_range_end(cpu: Cpu<'_>, mm: &MmStruct) {
    let words = mm.kvm.words;
    let _mmu_lock = cpu.lock(words.mmu_lock()).await;
    // A fault that began before, and finds none under way, finds that one has ended.
    cpu.rmw(words.mmu_invalidate_seq(), |seq: u64| seq + 1).await;
    cpu.rmw(words.mmu_invalidate_in_progress(), |count: u64| count - 1).await;
}

/// `kvm_mmu_notifier_release()`: the address space ends.
pub(crate) async fn kvm_mmu_notifier_release(cpu: Cpu<'_>, mm: &MmStruct) {
    let _mmu_lock = cpu.lock(mm.kvm.words.mmu_lock()).await;
    zap_sptes(cpu, mm, Vpn(0)..Vpn(u64::MAX)).await;
}

/// `kvm_unmap_gfn_range()`, and `kvm_flush_remote_tlbs()`: no virtual CPU has a translation of a page without an entry.
async fn zap_sptes(cpu: Cpu<'_>, mm: &MmStruct, range: Range<Vpn>) {
    cpu.update(&mm.kvm.sptes, |sptes| {
        let gone: Vec<(Vpn, Pfn)> = sptes.range(range.clone()).map(|(vpn, spte)| (*vpn, spte.pfn)).collect();
        for (vpn, pfn) in gone {
            sptes.remove(&vpn);
            cpu.note(Event::GuestUnmapped { mm: mm.id, va: vpn.base(), pfn });
        }
    })
    .await;
}
