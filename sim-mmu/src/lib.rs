//! The hardware under the simulated kernel: physical memory, page walk, TLB, local APIC.
//!
//! An access goes through the translation caches of its CPU. On a miss it goes through a page walk, which reads
//! each paging-structure entry as a memory access of its own. A [`Policy`] says what the caches keep. The
//! *adversarial* policy may keep all that the architecture allows, and an access chooses which of it to use.
//! Section numbers are those of the Intel SDM, volume 3, chapter 4 (chapter 5 in editions from 2024 on).

mod access;
mod addr;
mod apic;
mod broadcast;
mod control;
mod cpu;
mod entry;
mod event;
mod fault;
mod geometry;
mod invalidate;
mod invlpgb;
mod mmu;
mod nested;
mod paging;
mod phys;
mod registers;
mod timing;
mod tlb;
mod walker;

pub use access::{Completed, DataOp, Locked};
pub use addr::{Level, Pfn, PhysAddr, VirtAddr, Vpn};
pub use control::{Controls, Cr0, Cr3, Cr4, Efer, KeyRights, Pcid, Refused, Vendor};
pub use entry::Entry;
pub use event::{Event, Walker};
pub use fault::{Fault, PageFault};
pub use geometry::Geometry;
pub use invalidate::Invpcid;
pub use invlpgb::Invlpgb;
pub use mmu::{Cpu, Hardware, Mmu, Observer};
pub use paging::{
    Access, AccessKind, Denial, Next, Privilege, Rights, TableMemory, Walk, reserved_bits, translate,
};
pub use phys::{PhysMem, UNWRITTEN};
pub use timing::{
    Account, BadShape, Broadcasts, CostTable, DataCache, DataCaches, Latencies, Profile, Replacement, SecondLevel,
    Shape, Sizes, Spent, StructureCaches, Tlb, TlbArray,
};
pub use tlb::{Partial, Policy, Translation};
