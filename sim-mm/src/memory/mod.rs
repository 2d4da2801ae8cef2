//! `mm/memory.c`: faults, copying at fork, zapping, and the tables themselves.

mod anonymous;
mod copy;
mod fault;
mod numa;
mod shared;
mod tables;
mod vm_fault;
mod wp;
mod zap;

pub(crate) use copy::copy_page_range;
pub use fault::handle_mm_fault;
pub(crate) use numa::{can_change_pte_writable, saves_write};
pub(crate) use tables::{find_pmd, find_pud, free_pgtables, p4d_offset, pmd_alloc, pte_alloc, pud_alloc};
pub use vm_fault::{FaultFlags, MmFault, VmFault, VmFaultError};
pub(crate) use zap::{Markers, unmap_mapping_range, unmap_page_range, unmap_vmas, zap_page_range};
