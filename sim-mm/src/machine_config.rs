//! What a machine is made with: its hardware, its kernel, and the room that they have.

use sim_mmu::Geometry;

use crate::arch::init::{BootCpu, setup_pcid};
use crate::kernel_config::KernelConfig;
use crate::registry::setting::{Group, Knob, Settings};
use crate::safeguard_use::SafeguardUse;
use crate::settings::{self, MemoryMap, Migration, MovableZone, Nodes, Swap, Thp};

/// What a machine with a kernel is made with.
#[derive(Clone, Copy, Debug)]
pub struct MachineConfig {
    /// Number of CPUs.
    pub cpus: usize,
    /// The shape of page tables.
    pub geometry: Geometry,
    /// Frames of memory.
    pub frames: u64,
    /// Bits of a page's reference count.
    pub refcount_bits: u32,
    /// Address spaces that can exist over a run, ended ones included.
    pub mms: usize,
    /// Mappings that can exist at a time.
    pub vmas: usize,
    /// Files of shared memory that can exist at a time.
    pub files: usize,
    /// Tasks that can exist.
    pub tasks: usize,
    /// The knobs of the platform.
    pub platform: Settings,
    /// The kernel.
    pub kernel: KernelConfig,
}

impl MachineConfig {
    /// The value of a setting: of the platform, or of the kernel.
    #[inline]
    pub fn setting<K: Knob>(&self) -> K {
        match K::SETTING.group() {
            Group::Platform => self.platform.get(),
            Group::Design => self.kernel.designs.get(),
        }
    }

    /// Whether there is a swap area.
    #[inline]
    pub(crate) fn has_swap(&self) -> bool {
        self.setting::<Swap>() != Swap::Off
    }

    /// Whether anybody goes from a page to the entries that map it: reclaim, migration, who splits huge pages, or `memory_failure()`.
    #[inline]
    pub(crate) fn walks_rmap(&self) -> bool {
        self.has_swap()
            || self.setting::<settings::Disk>() != settings::Disk::None
            || self.setting::<Migration>() == Migration::On
            || self.setting::<Thp>() == Thp::Always
            || self.setting::<settings::MemoryFailure>() == settings::MemoryFailure::On
    }

    /// How many of the frames are above 4 GiB.
    pub(crate) fn high_frames(&self) -> u64 {
        match (self.setting::<MemoryMap>(), self.setting::<Nodes>(), self.setting::<MovableZone>()) {
            (MemoryMap::Low, Nodes::One, MovableZone::Off) => 0,
            (MemoryMap::Split, ..) | (_, Nodes::Two, _) | (.., MovableZone::On) => self.frames / 2,
        }
    }

    /// Whether this kernel turns PCIDs on.
    pub(crate) fn setup_pcid(&self, noted: &SafeguardUse) -> bool {
        setup_pcid(BootCpu { safeguards: &self.kernel.safeguards, noted }, self.setting(), self.setting())
    }
}
