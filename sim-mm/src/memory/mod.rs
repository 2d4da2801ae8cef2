//! `mm/memory.c`: faults, copying at fork, zapping, and the tables themselves.

mod copy;
mod fault;
mod tables;
mod zap;

pub(crate) use copy::copy_page_range;
pub use fault::{FaultFlags, MmFault, VmFault, VmFaultError, handle_mm_fault};
pub(crate) use tables::free_pgtables;
pub(crate) use zap::{unmap_vmas, zap_page_range};
