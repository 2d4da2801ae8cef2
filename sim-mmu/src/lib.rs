//! The hardware under the simulated kernel: physical memory, page walk, TLB, local APIC.
//!
//! An access goes through the translation caches of its CPU, and through a page walk that reads each
//! paging-structure entry as a memory access of its own. The TLB is *adversarial*: it may keep a
//! translation from the walk that made it until an invalidation drops it, and whether an access uses
//! a cached translation or walks anew is a choice. Section numbers are those of the Intel SDM,
//! volume 3, chapter 4 (chapter 5 in editions from 2024 on).

mod access;
mod addr;
mod apic;
mod cpu;
mod cycles;
mod entry;
mod event;
mod fault;
mod geometry;
mod invalidate;
mod mmu;
mod phys;
mod rights;
mod tlb;
mod walk;

pub use access::DataOp;
pub use addr::{Level, Pfn, PhysAddr, VirtAddr, Vpn};
pub use cpu::Cpu;
pub use cycles::CostTable;
pub use entry::Entry;
pub use event::{Event, Observer, Walker};
pub use fault::PageFault;
pub use geometry::Geometry;
pub use mmu::Mmu;
pub use phys::{PhysMem, UNWRITTEN};
pub use rights::{Access, AccessKind, Rights};
pub use tlb::Translation;
