//! `include/linux/kvm_host.h`: a virtual machine, and its secondary MMU.

use std::collections::BTreeMap;

use sim_core::{MemoryBuilder, Object, Shared, SpinLock, record};
use sim_mmu::{Translation, Vpn};

record! {
    /// The words of `struct kvm`.
    pub(crate) struct KvmWords {
        /// `mmu_lock`: guards the rest.
        pub(crate) mmu_lock: SpinLock = "mmu_lock";
        /// `mmu_invalidate_seq`, `mmu_notifier_seq` in older releases: how many invalidations have ended.
        pub(crate) mmu_invalidate_seq: Shared<u64> = "mmu_invalidate_seq";
        /// `mmu_invalidate_in_progress`, `mmu_notifier_count` in older releases: how many are under way.
        pub(crate) mmu_invalidate_in_progress: Shared<u64> = "mmu_invalidate_in_progress";
    }
}

/// `struct kvm`. The memory of the guest is that of the process, at the same addresses.
#[derive(Debug)]
pub(crate) struct Kvm {
    pub(crate) words: KvmWords,
    /// The entries of the secondary MMU (`spte`), by the pages of the guest. They hold no references.
    pub(crate) sptes: Object<BTreeMap<Vpn, Translation>>,
}

impl Kvm {
    /// A virtual machine that does not run yet. `mm` names its address space.
    pub(crate) fn new(memory: &mut MemoryBuilder, mm: &str) -> Kvm {
        Kvm {
            words: memory.record(format!("{mm}.kvm")),
            sptes: Object::new(memory, format!("{mm}.kvm.sptes"), BTreeMap::new()),
        }
    }
}
