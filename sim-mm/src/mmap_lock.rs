//! `include/linux/mmap_lock.h`: the lock of an address space, as whoever holds it hands it on.

use sim_core::{ReadHeld, WriteHeld};

/// `mmap_lock`, held for reading or for writing, or not.
#[must_use]
pub enum MmapLock<'m> {
    /// For reading.
    Read(ReadHeld<'m>),
    /// For writing.
    Write(WriteHeld<'m>),
    /// Not at all: whoever works so relies on being the only one who knows the address space.
    Nobody,
}

impl<'m> From<ReadHeld<'m>> for MmapLock<'m> {
    fn from(held: ReadHeld<'m>) -> Self {
        MmapLock::Read(held)
    }
}
