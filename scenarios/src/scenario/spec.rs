//! Machines and kernels as scenarios name them, and changes of them.

use sim_gup::CATALOGUE;
use sim_mm::{Choices, Group, KernelConfig, Release, Safeguard};
use sim_mmu::Geometry;

/// The most CPUs of a machine.
pub(super) const MAX_CPUS: i128 = 16;

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineSpec {
    /// Number of CPUs, 1 to 16.
    pub cpus: usize,
    /// Entries a table, at each level a power of two from 2 to 512.
    pub geometry: Geometry,
    /// Frames of memory, 8 to 65536.
    pub frames: u64,
    /// Bits of a page's reference count, 3 to 32.
    pub refcount_bits: u32,
    /// The knobs of the platform that were chosen. The others are as kernels of the release usually find them.
    pub platform: Choices,
}

impl Default for MachineSpec {
    fn default() -> Self {
        MachineSpec {
            cpus: 2,
            geometry: Geometry::default(),
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
    /// See [`MachineSpec::geometry`].
    pub geometry: Option<Geometry>,
    /// See [`MachineSpec::refcount_bits`].
    pub refcount_bits: Option<u32>,
    /// Knobs of the platform that change.
    pub platform: Choices,
}

/// A kernel, as a scenario or a case names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelSpec {
    /// The release to start from. If none is named, it is `v5.0`, the release whose `gup.c` was modelled first.
    pub version: Option<Release>,
    /// Safeguards switched off.
    pub without: Vec<Safeguard>,
    /// Safeguards switched on.
    pub with: Vec<Safeguard>,
    /// Designs that are chosen by name.
    pub design: Choices,
}

impl KernelSpec {
    /// The kernel with a change. The choices of the change win, and its lists are added.
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

    /// A kernel with this as a change. If the change names another release, the result is the kernel of that release, and
    /// nothing stays of the old one. If a safeguard goes, a design that depends on it goes too.
    pub fn change(&self, kernel: KernelConfig) -> KernelConfig {
        if self.version.is_some() {
            return self.resolve();
        }
        let (with, without) = CATALOGUE.safeguards().partition::<Vec<Safeguard>, _>(|safeguard| {
            let had = kernel.safeguards.has(*safeguard) && !self.without.contains(safeguard);
            had || self.with.contains(safeguard)
        });
        let mut designs = Choices::default();
        for setting in CATALOGUE.settings_of(Group::Design) {
            let hangs_on = setting.implied.as_ref().map(|implied| implied.safeguard);
            if !hangs_on
                .is_some_and(|safeguard| self.with.contains(&safeguard) || self.without.contains(&safeguard))
            {
                designs.set(setting, kernel.designs.place(setting));
            }
        }
        KernelConfig::new(CATALOGUE, kernel.version, &without, &with, &designs.changed(&self.design))
    }

    /// The kernel that it names.
    pub fn resolve(&self) -> KernelConfig {
        let version = self.version.unwrap_or(Release::v(5, 0));
        KernelConfig::new(CATALOGUE, version, &self.without, &self.with, &self.design)
    }
}

impl MachineSpec {
    /// The machine without the knobs that are as kernels of a release usually find them. Kernels of another release may
    /// find them otherwise.
    #[must_use]
    pub fn without_the_usual_of(&self, version: Release) -> MachineSpec {
        let mut platform = Choices::default();
        let mut hanging = Vec::new();
        for setting in CATALOGUE.settings_of(Group::Platform) {
            let Some(place) = self.platform.name(setting).and_then(|name| setting.by_name(name)) else { continue };
            match setting.usual {
                None => platform.set(setting, place),
                Some(_) => hanging.push((setting, place)),
            }
        }
        let usual = CATALOGUE.platform(version, &platform);
        for (setting, place) in hanging.into_iter().filter(|(setting, place)| usual.place(*setting) != *place) {
            platform.set(setting, place);
        }
        MachineSpec { platform, ..*self }
    }

    /// The machine with a change.
    #[must_use]
    pub fn changed(&self, change: &MachineChange) -> MachineSpec {
        MachineSpec {
            cpus: self.cpus,
            geometry: change.geometry.unwrap_or(self.geometry),
            frames: change.frames.unwrap_or(self.frames),
            refcount_bits: change.refcount_bits.unwrap_or(self.refcount_bits),
            platform: self.platform.changed(&change.platform),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_mm::safeguards::COW_REUSE_COUNTS;
    use sim_mm::{CowReuse, Flush, TableFree};

    #[test]
    fn a_knob_goes_with_the_release_unless_it_was_asked_for() {
        let machine = |flush, table_free: TableFree| {
            let platform = Choices::default().with::<Flush>(flush).with(table_free);
            MachineSpec { platform, ..MachineSpec::default() }.without_the_usual_of(Release::v(5, 0)).platform
        };
        let left = Choices::default();
        assert_eq!(machine(Flush::Ipi, TableFree::AfterFlush), left.with(Flush::Ipi));
        assert_eq!(machine(Flush::NoIpi, TableFree::RcuSched), left.with(Flush::NoIpi));
        let asked = left.with(Flush::Ipi).with(TableFree::RcuSched);
        assert_eq!(machine(Flush::Ipi, TableFree::RcuSched), asked);
    }

    #[test]
    fn a_change_leaves_the_rest_of_a_kernel_as_it_is() {
        let kernel = KernelSpec { without: vec![COW_REUSE_COUNTS], ..KernelSpec::default() };
        let old = KernelSpec { version: Some(Release::v(5, 9)), ..kernel.clone() }.resolve();
        assert_eq!(KernelSpec::default().change(old), old);
        // The design that depends on the safeguard goes too.
        let with = KernelSpec { with: vec![COW_REUSE_COUNTS], ..KernelSpec::default() }.change(old);
        assert_eq!(with.designs.get::<CowReuse>(), CowReuse::Refcount);
        assert_eq!(kernel.change(with), old);
        let release = KernelSpec { version: Some(Release::v(5, 9)), ..KernelSpec::default() };
        assert_eq!(release.change(old), release.resolve());
    }
}
