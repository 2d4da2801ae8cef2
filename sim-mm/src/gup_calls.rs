//! What `mm/gup.c` does for system calls of this crate.
//!
//! GUP stands above the memory manager, and some of its system calls fault pages in by it: `mlock()`,
//! `MAP_POPULATE`. A machine is made with the functions that do so. On one without GUP they do nothing.

use sim_core::{BoxFuture, ReadHeld, WriteHeld};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};

/// `mmap_lock`, held for reading or for writing.
#[must_use]
pub enum MmapLock<'m> {
    /// For reading.
    Read(ReadHeld<'m>),
    /// For writing.
    Write(WriteHeld<'m>),
}

impl<'m> From<ReadHeld<'m>> for MmapLock<'m> {
    fn from(held: ReadHeld<'m>) -> Self {
        MmapLock::Read(held)
    }
}

/// `__mm_populate()`: takes `mmap_lock` itself. With the flag, errors are ignored and the next mapping is gone on with.
pub(crate) type MmPopulate =
    for<'m> fn(Cpu<'m>, &'m MmStruct, VirtAddr, VirtAddr, bool) -> BoxFuture<'m, Result<(), Errno>>;

/// `populate_vma_page_range()`: a part of one mapping, with `mmap_lock` held all the time.
pub(crate) type PopulateVmaPageRange = for<'m> fn(
    Cpu<'m>,
    &'m MmStruct,
    MmapLock<'m>,
    Vma,
    VirtAddr,
    VirtAddr,
) -> BoxFuture<'m, (Result<u64, Errno>, Option<MmapLock<'m>>)>;

/// `faultin_page_range()` until all of the range is there: `MADV_POPULATE_READ`, or with the flag
/// `MADV_POPULATE_WRITE`.
pub(crate) type MadvisePopulate =
    for<'m> fn(Cpu<'m>, &'m MmStruct, VirtAddr, VirtAddr, bool) -> BoxFuture<'m, Result<(), Errno>>;

/// The functions of `mm/gup.c` that the memory manager calls.
#[derive(Clone, Copy)]
pub struct GupCalls {
    /// For `mlock()` and `mmap()`.
    pub mm_populate: MmPopulate,
    /// For `mprotect()` of locked memory.
    pub populate_vma_page_range: PopulateVmaPageRange,
    /// For `madvise()`.
    pub madvise_populate: MadvisePopulate,
}

impl GupCalls {
    /// A machine without GUP: nothing is faulted in ahead of its first use.
    pub const NONE: GupCalls = GupCalls {
        mm_populate: |_, _, _, _, _| Box::pin(async { Ok(()) }),
        populate_vma_page_range: |_, _, held, _, _, _| Box::pin(async { (Ok(0), Some(held)) }),
        madvise_populate: |_, _, _, _, _| Box::pin(async { Ok(()) }),
    };
}

impl std::fmt::Debug for GupCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GupCalls")
    }
}
