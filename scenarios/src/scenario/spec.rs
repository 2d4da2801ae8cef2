//! Machines and kernels as scenarios name them, and changes on top.

use sim_gup::CATALOGUE;
use sim_mm::{Choices, KernelConfig, Release, Safeguard};

/// The most CPUs of a machine.
pub(super) const MAX_CPUS: i128 = 16;

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineSpec {
    /// Number of CPUs, 1 to 16.
    pub cpus: usize,
    /// Entries a table, a power of two from 2 to 512.
    pub entries_per_table: u32,
    /// Frames of memory, 8 to 65536.
    pub frames: u64,
    /// Bits of a page's reference count, 3 to 32.
    pub refcount_bits: u32,
    /// The knobs of the platform that were chosen; the others are as kernels of the release usually find them.
    pub platform: Choices,
}

impl Default for MachineSpec {
    fn default() -> Self {
        MachineSpec {
            cpus: 2,
            entries_per_table: 512,
            frames: 64,
            refcount_bits: 32,
            platform: Choices::default(),
        }
    }
}

/// What a case changes of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineChange {
    /// See [`MachineSpec::frames`].
    pub frames: Option<u64>,
    /// See [`MachineSpec::entries_per_table`].
    pub entries_per_table: Option<u32>,
    /// See [`MachineSpec::refcount_bits`].
    pub refcount_bits: Option<u32>,
    /// Knobs of the platform that change.
    pub platform: Choices,
}

/// A kernel, as a scenario or a case names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelSpec {
    /// The release to start from; `v5.0`, the era of the `gup.c` that is modelled, if none is named.
    pub version: Option<Release>,
    /// Safeguards switched off.
    pub without: Vec<Safeguard>,
    /// Safeguards switched on.
    pub with: Vec<Safeguard>,
    /// Designs that are chosen by name.
    pub design: Choices,
}

impl KernelSpec {
    /// The kernel with a change on top: its choices win, its lists add.
    #[must_use]
    pub fn changed(&self, change: &KernelSpec) -> KernelSpec {
        let joined = |a: &[Safeguard], b: &[Safeguard], other: &[Safeguard]| {
            let mut list: Vec<Safeguard> = a.iter().filter(|s| !other.contains(s)).chain(b).copied().collect();
            list.sort_unstable();
            list.dedup();
            list
        };
        KernelSpec {
            version: change.version.or(self.version),
            without: joined(&self.without, &change.without, &change.with),
            with: joined(&self.with, &change.with, &change.without),
            design: self.design.changed(&change.design),
        }
    }

    /// The kernel that it names.
    pub fn resolve(&self) -> KernelConfig {
        let version = self.version.unwrap_or(Release::v(5, 0));
        KernelConfig::new(CATALOGUE, version, &self.without, &self.with, &self.design)
    }
}

impl MachineSpec {
    /// The machine with a change on top.
    #[must_use]
    pub fn changed(&self, change: &MachineChange) -> MachineSpec {
        MachineSpec {
            cpus: self.cpus,
            entries_per_table: change.entries_per_table.unwrap_or(self.entries_per_table),
            frames: change.frames.unwrap_or(self.frames),
            refcount_bits: change.refcount_bits.unwrap_or(self.refcount_bits),
            platform: self.platform.changed(&change.platform),
        }
    }
}
