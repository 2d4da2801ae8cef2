//! `struct vm_fault` of a huge page of a pool.

use sim_mmu::VirtAddr;

use crate::fs::Inode;
use crate::huge_pte::HugePtep;
use crate::hugetlb_types::HugePageSize;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::vm_fault::FaultFlags;

/// What a fault is about.
#[derive(Clone, Copy)]
pub(super) struct HugeFault<'m> {
    pub(super) mm: &'m MmStruct,
    pub(super) vma: Vma,
    /// The first address of the huge page.
    pub(super) address: VirtAddr,
    pub(super) flags: FaultFlags,
    pub(super) ptep: HugePtep,
    pub(super) size: HugePageSize,
    /// The file of the mapping, and which page of it the first one is.
    pub(super) file: Inode,
    pub(super) index: u64,
}

impl HugeFault<'_> {
    pub(super) fn is_write(&self) -> bool {
        self.flags.contains(FaultFlags::WRITE)
    }

    /// How many pages the huge page has.
    pub(super) fn pages(&self, cpu: Cpu<'_>) -> u64 {
        self.size.pages(cpu.mmu.geometry)
    }
}
