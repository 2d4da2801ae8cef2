//! Which kernel runs: its safeguards and its designs.

use crate::platform::{CowReuse, GupProtect};
use crate::registry::Catalogue;
use crate::registry::safeguard::{Safeguard, SafeguardSet};
use crate::release::Release;
use crate::safeguards::{COW_REUSE_COUNTS, GUP_IRQ_OFF};

/// Which kernel runs: its safeguards, and the designs that changed over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// The release that it started from.
    pub version: Release,
    /// Its safeguards.
    pub safeguards: SafeguardSet,
    /// By which rule COW reuses a page.
    pub cow_reuse: CowReuse,
    /// What lockless GUP disables.
    pub gup_protect: GupProtect,
    /// Whether `rcu_read_lock()` holds up the grace periods that free page tables: since v4.20.
    pub rcu_consolidated: bool,
}

impl KernelConfig {
    /// The kernel of a release, less some safeguards, plus others, with designs chosen by name.
    pub fn new(
        catalogue: Catalogue,
        version: Release,
        without: &[Safeguard],
        with: &[Safeguard],
        cow_reuse: Option<CowReuse>,
        gup_protect: Option<GupProtect>,
    ) -> KernelConfig {
        let mut safeguards: SafeguardSet = catalogue.safeguards().filter(|facts| facts.is_in(version)).collect();
        without.iter().for_each(|&safeguard| safeguards.remove(safeguard));
        with.iter().for_each(|&safeguard| safeguards.insert(safeguard));
        let by_version = if version >= Release::v(5, 19) { CowReuse::Exclusive } else { CowReuse::Refcount };
        let counts = safeguards.has(COW_REUSE_COUNTS);
        let irq_off = safeguards.has(GUP_IRQ_OFF);
        KernelConfig {
            version,
            safeguards,
            cow_reuse: cow_reuse.unwrap_or(if counts { by_version } else { CowReuse::Mapcount }),
            gup_protect: gup_protect.unwrap_or(if irq_off { GupProtect::Irq } else { GupProtect::None }),
            rcu_consolidated: version >= Release::v(4, 20),
        }
    }

    /// Whether a safeguard is in force: of designs, whether the one that was resolved has it.
    pub fn is_in_force(&self, safeguard: Safeguard) -> bool {
        if safeguard == GUP_IRQ_OFF {
            self.gup_protect == GupProtect::Irq
        } else if safeguard == COW_REUSE_COUNTS {
            self.cow_reuse != CowReuse::Mapcount
        } else {
            self.safeguards.has(safeguard)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CATALOGUE;

    #[test]
    fn a_release_has_what_came_before_it_and_left_after_it() {
        let rule = |v: &str| KernelConfig::new(CATALOGUE, v.parse().expect("a release"), &[], &[], None, None);
        assert_eq!(rule("v5.0").cow_reuse, CowReuse::Mapcount);
        assert_eq!(rule("v5.9").cow_reuse, CowReuse::Refcount);
        assert_eq!(rule("latest").cow_reuse, CowReuse::Exclusive);
    }
}
