//! `arch/x86/kvm/mmu/`: the entries by which a guest uses the pages of its process.
//!
//! A fault of the guest looks for a page of the process without the lock of the secondary MMU. What it has found is void if an invalidation was under
//! way or has ended meanwhile.

use sim_mmu::{VirtAddr, Vpn};

use crate::check;
use crate::event::Event;
use crate::fork::sleep_until_zero;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page_flags::PageFlags;
use crate::safeguards::KVM_MMU_RETRY;

/// The moment at which a fault of a guest began to look for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultBegun {
    seq: u64,
    step: u64,
}

/// What a fault of a guest found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestPage {
    /// The page, to which the caller has a reference.
    pub page: Page,
    /// Whether the process may write to it.
    pub writable: bool,
}

/// `mmu_seq = kvm->mmu_invalidate_seq` of a fault: read before the page is looked for. It waits for invalidations that are under way,
/// where C tries again and again.
pub async fn kvm_fault_begins(cpu: Cpu<'_>, mm: &MmStruct) -> FaultBegun {
    let words = mm.kvm.words;
    sleep_until_zero(cpu, words.mmu_invalidate_in_progress().loc()).await;
    let step = cpu.core.steps();
    FaultBegun { seq: cpu.load(words.mmu_invalidate_seq()).await, step }
}

/// `kvm_tdp_mmu_map()`: the guest has the page from now on, unless an invalidation has come in between. Then the page may be the process's no more,
/// and the guest faults again.
pub async fn kvm_tdp_mmu_map(cpu: Cpu<'_>, mm: &MmStruct, vpn: Vpn, found: GuestPage, begun: FaultBegun) {
    let words = mm.kvm.words;
    let _mmu_lock = cpu.lock(words.mmu_lock()).await;
    // mmu_invalidate_retry(): the count of those under way first. The end of an invalidation counts it as ended before that.
    let in_progress = cpu.load(words.mmu_invalidate_in_progress()).await > 0;
    let has_ended = cpu.load(words.mmu_invalidate_seq()).await != begun.seq;
    if check!(cpu, KVM_MMU_RETRY, in_progress || has_ended) {
        return;
    }
    let GuestPage { page: Page(pfn), writable } = found;
    let root = cpu.this_cpu_read(mm.pgd());
    cpu.update(&mm.kvm.sptes, |sptes| {
        let spte = cpu.nested_translation(root, vpn, pfn, writable, begun.step);
        sptes.insert(vpn, spte);
        cpu.note(Event::GuestMapped { mm: mm.id, spte });
    })
    .await;
    // kvm_set_page_dirty(): what the guest writes sets no bit in an entry of the process. This is the rule since v6.13, and holds here in every
    // release; before, the page became dirty when the entry of the guest went. A page of a file that may be written has its tag already.
    if writable {
        cpu.rmw(cpu.kernel.page_flags(found.page), |flags| flags | PageFlags::DIRTY).await;
    }
}

/// The guest reads the first word of a page, or writes to it. Answers what the word holds then; nothing if the secondary MMU does not allow it.
pub async fn kvm_guest_access<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    va: VirtAddr,
    write: Option<u64>,
) -> Option<u64> {
    let vpn = va.vpn();
    loop {
        let spte = cpu.read(&mm.kvm.sptes, |sptes| sptes.get(&vpn).copied()).await;
        let spte = spte.filter(|spte| spte.rights.write || write.is_none())?;
        let holds = move || mm.kvm.sptes.look(cpu.core).get(&vpn) == Some(&spte);
        if let Some(value) = cpu.guest_access(va, spte, write, holds).await {
            return Some(value);
        }
    }
}
