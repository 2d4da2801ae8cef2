//! `virt/kvm/kvm_main.c`: a process runs a guest, whose pages come from the process.
//!
//! A fault of the guest looks for a page of the process without the lock of the secondary MMU. What it has found is void if an invalidation was under
//! way or has ended meanwhile.

use sim_core::{BoxFuture, Routine};
use sim_mmu::{VirtAddr, Vpn};

use crate::check;
use crate::errno::Errno;
use crate::event::Event;
use crate::fork::sleep_until_zero;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page_tags::set_page_dirty;
use crate::safeguards::KVM_MMU_RETRY;
use crate::vma::mmap_write_lock;

/// `kvm_create_vm()`: the process runs a guest from now on, whose memory is that of the process.
///
/// # Errors
/// `EBUSY` if it runs one already.
pub fn kvm_create_vm(cpu: Cpu<'_>) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("kvm_create_vm"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        // mmu_notifier_register(): nobody is in the midst of a change that he did not tell of, and would tell the end of.
        let _mmap_lock = mmap_write_lock(cpu, mm).await;
        let had_one = cpu.xchg(mm.notifier_subscriptions(), true).await;
        if had_one { Err(Errno::Ebusy) } else { Ok(()) }
    })
}

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

/// `kvm_tdp_mmu_map()`: the guest has the page from now on. False if an invalidation has come in between, for then the page may be the process's no
/// more.
pub async fn kvm_tdp_mmu_map(cpu: Cpu<'_>, mm: &MmStruct, vpn: Vpn, found: GuestPage, begun: FaultBegun) -> bool {
    let words = mm.kvm.words;
    let _mmu_lock = cpu.lock(words.mmu_lock()).await;
    // mmu_invalidate_retry(): the count of those under way first. The end of an invalidation counts it as ended before that.
    let in_progress = cpu.load(words.mmu_invalidate_in_progress()).await > 0;
    let has_ended = cpu.load(words.mmu_invalidate_seq()).await != begun.seq;
    if check!(cpu, KVM_MMU_RETRY, in_progress || has_ended) {
        return false;
    }
    let GuestPage { page: Page(pfn), writable } = found;
    let root = cpu.this_cpu_read(mm.pgd());
    cpu.update(&mm.kvm.sptes, |sptes| {
        let spte = cpu.nested_translation(root, vpn, pfn, writable, begun.step);
        sptes.insert(vpn, spte);
        cpu.note(Event::GuestMapped { mm: mm.id, spte });
    })
    .await;
    // kvm_release_faultin_page(): what the guest writes sets no bit in an entry of the process. Before v6.13 the page became dirty when the
    // entry of the guest went.
    if writable {
        set_page_dirty(cpu, found.page).await;
    }
    true
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
