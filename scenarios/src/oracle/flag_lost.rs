//! `flag-lost`: a flag of a page that somebody set by a locked operation is gone, and nobody cleared it.
//!
//! A store that is no locked operation writes back what its CPU has loaded before. The kernel does so only with a page that
//! no other CPU knows. If the store finds flags in memory that were not there at the load, another CPU knew the page.
//!
//! Not checked: under a store buffer, a flag that is set between the store and its drain.

use sim_mm::PageFlags;
use sim_mmu::Pfn;

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// Flags were stored over.
pub(super) fn stored_over(ghost: Seen<'_>, pfn: Pfn, lost: PageFlags, site: &Site) -> Finding {
    let mapped = ghost.mapped_by(pfn).last().map(|(_, site)| site.clone());
    Finding { violation: Violation::FlagLost { pfn, lost }, site: site.clone(), other: mapped }
}
