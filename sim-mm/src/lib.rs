//! The kernel's memory management, file by file after `mm/*.c`.
//!
//! A routine reads beside its C original: the same name, the same order of shared accesses. Which
//! release it follows is v5.0 with the later designs as options ([`KernelConfig`]); what is not
//! modelled is left out, not stubbed: anonymous private memory in base pages is all there is.

pub mod arch;
pub mod bare;
mod check;
mod cpu;
mod entries;
mod errno;
mod event;
mod fork;
mod kernel;
mod kernel_config;
mod madvise;
mod mem_map;
mod memory;
mod mm_types;
mod mmap;
mod mmu_gather;
mod mmzone;
mod page;
mod page_alloc;
mod page_flags;
mod pgtable;
mod registry;
mod release;
mod rmap;
mod safeguard_use;
pub mod safeguards;
mod settings;
mod smp;
mod smp_types;
mod vm_flags;
mod vma;

pub use check::{Mapping, Miscount, Reach};
pub use entries::{Entries, entries};
pub use errno::Errno;
pub use event::{Event, FrameUse, RefChange};
pub use fork::{exit_mm, start_task_in, sys_fork};
pub use kernel::{Cpu, Kernel, MachineConfig, Observer};
pub use kernel_config::KernelConfig;
pub use madvise::madvise_dontneed;
pub use memory::{FaultFlags, MmFault, VmFault, VmFaultError, handle_mm_fault};
pub use mm_types::{MmId, MmStruct, Page, Vma};
pub use mmap::{find_vma, sys_mmap, sys_munmap};
pub use page::{compound_head, get_page, page_cache_get_speculative, put_page, set_page_referenced};
pub use page_flags::PageFlags;
pub use pgtable::{P4d, P4dp, Pgd, Pgdp, Pmd, Pmdp, Pte, Ptep, Pud, Pudp, TablePtr, pgd_offset};
pub use registry::Catalogue;
pub use registry::safeguard::{Arch, Facts, Safeguard, SafeguardSet, Shape};
pub use registry::setting::{Choices, Group, Implied, Knob, Setting, SettingFacts, Settings, ValueFacts};
pub use release::{NotARelease, Release};
pub use safeguard_use::SafeguardUse;
pub use safeguards::SAFEGUARDS;
pub use settings::{
    CowReuse, DebugVm, Flush, FlushBatch, HwAd, LazyTlb, MemoryOrder, Preempt, PteRead, RcuFlavor, SETTINGS,
    SpeculativeWalk, TableFree, never_built,
};
pub use vm_flags::VmFlags;
pub use vma::VmaSnapshot;

/// What sim-mm itself has of safeguards and settings.
pub const CATALOGUE: Catalogue = Catalogue::new(&[SAFEGUARDS], &[SETTINGS]);
