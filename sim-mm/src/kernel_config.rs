//! Which kernel runs: its safeguards and its designs.

use crate::registry::Catalogue;
use crate::registry::safeguard::{Safeguard, SafeguardSet};
use crate::registry::setting::{Choices, Settings};
use crate::release::Release;

/// Which kernel runs: its safeguards, and the designs that changed over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// The release that it started from.
    pub version: Release,
    /// Its safeguards, as they were switched on and off.
    pub safeguards: SafeguardSet,
    /// Its designs.
    pub designs: Settings,
    /// The safeguards that are in force: a design that was chosen by name brings its own, or lacks it.
    in_force: SafeguardSet,
}

impl KernelConfig {
    /// The kernel of a release.
    pub fn of_release(catalogue: Catalogue, version: Release) -> KernelConfig {
        KernelConfig::new(catalogue, version, &[], &[], &Choices::default())
    }

    /// The kernel of a release, less some safeguards, plus others, with designs chosen by name.
    pub fn new(
        catalogue: Catalogue,
        version: Release,
        without: &[Safeguard],
        with: &[Safeguard],
        choices: &Choices,
    ) -> KernelConfig {
        let mut safeguards: SafeguardSet = catalogue.safeguards().filter(|facts| facts.is_in(version)).collect();
        without.iter().for_each(|&safeguard| safeguards.remove(safeguard));
        with.iter().for_each(|&safeguard| safeguards.insert(safeguard));
        let designs = Settings::of_release(catalogue.designs(), version, &safeguards, choices);
        KernelConfig::made_of(catalogue, version, safeguards, designs)
    }

    /// The kernel with a safeguard on, and with the design that comes with it.
    #[must_use]
    pub fn with(self, catalogue: Catalogue, safeguard: Safeguard) -> KernelConfig {
        let mut safeguards = self.safeguards;
        safeguards.insert(safeguard);
        let designs = self.designs.brought_by(catalogue.designs(), safeguard, self.version, &safeguards);
        KernelConfig::made_of(catalogue, self.version, safeguards, designs)
    }

    fn made_of(
        catalogue: Catalogue,
        version: Release,
        safeguards: SafeguardSet,
        designs: Settings,
    ) -> KernelConfig {
        let mut in_force = safeguards;
        for setting in catalogue.designs() {
            match &setting.implied {
                Some(implied) if implied.by.contains(&designs.place(setting)) => {
                    in_force.insert(implied.safeguard)
                }
                Some(implied) => in_force.remove(implied.safeguard),
                None => {}
            }
        }
        KernelConfig { version, safeguards, designs, in_force }
    }

    /// Whether a safeguard is in force: of designs, whether the one that was resolved has it.
    pub fn is_in_force(&self, safeguard: Safeguard) -> bool {
        self.in_force.has(safeguard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safeguards::COW_REUSE_COUNTS;
    use crate::{CATALOGUE, CowReuse, RcuFlavor};

    fn release(version: &str) -> Release {
        version.parse().expect("a release")
    }

    #[test]
    fn a_release_has_what_came_before_it_and_left_after_it() {
        let kernel = |version: &str| KernelConfig::of_release(CATALOGUE, release(version));
        let rule = |version: &str| kernel(version).designs.get::<CowReuse>();
        assert_eq!(rule("v5.0"), CowReuse::Mapcount);
        assert_eq!(rule("v5.9"), CowReuse::Refcount);
        assert_eq!(rule("latest"), CowReuse::Exclusive);
        let flavor = |version: &str| kernel(version).designs.get::<RcuFlavor>();
        assert_eq!((flavor("v4.19"), flavor("v4.20")), (RcuFlavor::Split, RcuFlavor::Consolidated));
    }

    #[test]
    fn a_design_and_its_safeguard_go_together_unless_the_design_is_named() {
        let kernel = |version: &str, without: &[Safeguard], with: &[Safeguard], choices: Choices| {
            let kernel = KernelConfig::new(CATALOGUE, release(version), without, with, &choices);
            (kernel.designs.get::<CowReuse>(), kernel.is_in_force(COW_REUSE_COUNTS))
        };
        let (counts, none) = ([COW_REUSE_COUNTS], Choices::default());
        assert_eq!(kernel("v5.0", &[], &counts, none), (CowReuse::Refcount, true));
        assert_eq!(kernel("latest", &counts, &[], none), (CowReuse::Mapcount, false));
        assert_eq!(kernel("latest", &[], &[], none.with(CowReuse::Mapcount)), (CowReuse::Mapcount, false));
        assert_eq!(kernel("v5.0", &[], &[], none.with(CowReuse::Exclusive)), (CowReuse::Exclusive, true));
        let old = KernelConfig::of_release(CATALOGUE, release("v5.0")).with(CATALOGUE, COW_REUSE_COUNTS);
        assert_eq!(old.designs.get::<CowReuse>(), CowReuse::Refcount);
    }
}
