//! What the oracles must know of a machine before anything runs on it.

use sim_mm::MemMap;

/// What a watch must know of its machine.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Which frames there are.
    pub mem_map: MemMap,
    /// How many of them are taken before anything runs: the first ones.
    pub reserved: u64,
    /// How many address spaces there can be.
    pub mms: usize,
    /// Whether there is a disk for files.
    pub disk: bool,
    /// How many slots the swap area has.
    pub slots: u64,
    /// Whether the kernel can be asked to note which pages are written.
    pub notes_writes: bool,
}
