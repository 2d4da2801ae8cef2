//! `include/linux/mmap_lock.h`: the locks of an address space and of its mappings, as values that a holder passes on.

use sim_core::{Cpu, ReadHeld, Shared, WriteHeld};

/// What a fault holds: `mmap_lock`, or the lock of its mapping alone.
#[must_use]
pub enum MmapLock<'m> {
    /// `mmap_lock`, for reading.
    Read(ReadHeld<'m>),
    /// `mmap_lock`, for writing.
    Write(MmapWriteHeld<'m>),
    /// The lock of the mapping that the fault is in: `FAULT_FLAG_VMA_LOCK`.
    Vma(VmaReadHeld<'m>),
    /// Nothing: whoever works so relies on being the only one who knows the address space.
    Nobody,
}

impl<'m> From<ReadHeld<'m>> for MmapLock<'m> {
    fn from(held: ReadHeld<'m>) -> Self {
        MmapLock::Read(held)
    }
}

impl<'m> From<MmapWriteHeld<'m>> for MmapLock<'m> {
    fn from(held: MmapWriteHeld<'m>) -> Self {
        MmapLock::Write(held)
    }
}

/// `mmap_lock`, held for writing. Dropping it is `mmap_write_unlock()`.
///
/// With it every mapping is let go of that was locked for writing meanwhile: `vma_end_write_all()`. Faults that compare
/// sequence counts find them different from then on.
#[must_use]
pub struct MmapWriteHeld<'m> {
    cpu: Cpu<'m>,
    held: Option<WriteHeld<'m>>,
    mm_lock_seq: Shared<u64>,
}

impl<'m> MmapWriteHeld<'m> {
    pub(crate) fn new(cpu: Cpu<'m>, held: WriteHeld<'m>, mm_lock_seq: Shared<u64>) -> MmapWriteHeld<'m> {
        MmapWriteHeld { cpu, held: Some(held), mm_lock_seq }
    }

    /// `vma_end_write_all()`. Under a store buffer the count is there before the lock is: whoever releases drains first.
    fn vma_end_write_all(&self) {
        let seq = self.cpu.this_cpu_read(self.mm_lock_seq);
        // Without locks of mappings the count is zero, and stays so.
        if seq != 0 {
            self.cpu.this_cpu_write(self.mm_lock_seq, seq + 1);
        }
    }

    /// `mmap_write_downgrade()`: the lock is kept, for reading.
    pub fn downgrade(mut self) -> Option<ReadHeld<'m>> {
        self.vma_end_write_all();
        self.held.take().map(WriteHeld::downgrade)
    }
}

impl Drop for MmapWriteHeld<'_> {
    fn drop(&mut self) {
        if self.held.is_some() {
            self.vma_end_write_all();
        }
    }
}

/// The lock of a mapping, held by a fault. Dropping it is `vma_end_read()`.
#[must_use]
pub struct VmaReadHeld<'m> {
    cpu: Cpu<'m>,
    readers: Shared<u64>,
}

impl<'m> VmaReadHeld<'m> {
    pub(crate) fn new(cpu: Cpu<'m>, readers: Shared<u64>) -> VmaReadHeld<'m> {
        VmaReadHeld { cpu, readers }
    }
}

impl Drop for VmaReadHeld<'_> {
    fn drop(&mut self) {
        self.cpu.drain_all();
        let readers = self.cpu.this_cpu_read(self.readers);
        self.cpu.this_cpu_write(self.readers, readers - 1);
    }
}
