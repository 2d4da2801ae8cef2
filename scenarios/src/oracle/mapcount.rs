//! `mapcount`: a page's mapcount differs from the number of entries that map it.
//!
//! The oracle judges at two moments. When a frame is freed, no entry may map it. At rest, the count must be the
//! number of entries. Between the change of an entry and the change of its count, the two may differ.

use sim_mm::{Kernel, Page};
use sim_mmu::Pfn;

use super::ghost::{FrameState, Seen};
use super::{Finding, Site, Violation};

/// A frame goes to the free list.
pub(super) fn freed(ghost: Seen<'_>, pfn: Pfn, site: &Site) -> Option<Finding> {
    let &(mm, vpn) = ghost.mappings(pfn).first()?;
    Some(Finding {
        violation: Violation::FreedUnderMapping { pfn, mm, va: vpn.base() },
        site: site.clone(),
        other: ghost.mapped_by(pfn).iter().find(|(by, _)| *by == mm).map(|(_, site)| site.clone()),
    })
}

/// A run has ended.
pub(super) fn at_rest(ghost: Seen<'_>, kernel: &Kernel, site: &Site) -> Option<Finding> {
    ghost.known_frames().find_map(|pfn| {
        if ghost.life(pfn)?.state != FrameState::Data {
            return None;
        }
        let count = kernel.mapcount_now(Page(pfn));
        let mappings = kernel.count_entries(ghost.mappings(pfn));
        (count != mappings).then(|| Finding {
            violation: Violation::MapcountAtRest { pfn, count, mappings },
            site: ghost.mapped_by(pfn).last().map_or_else(|| site.clone(), |(_, site)| site.clone()),
            other: None,
        })
    })
}
