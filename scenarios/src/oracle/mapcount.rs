//! `mapcount`: a page's mapcount differs from the number of entries that map it.
//!
//! When a frame is freed: nothing maps it. At rest: the count against the entries. Between an entry's
//! change and its count's, the two may differ.

use sim_mm::{Kernel, Page};
use sim_mmu::Pfn;

use super::ghost::{FrameState, Ghost, Site};
use super::{Finding, Violation};

/// A frame goes to the free list.
pub(super) fn freed(ghost: &Ghost, pfn: Pfn, site: &Site) -> Option<Finding> {
    let frame = ghost.frame(pfn)?;
    let &(mm, vpn) = frame.mappings.first()?;
    Some(Finding {
        violation: Violation::FreedUnderMapping { pfn, mm, va: vpn.base() },
        site: site.clone(),
        other: frame.mapped_by.iter().find(|(by, _)| *by == mm).map(|(_, site)| site.clone()),
    })
}

/// A run has ended.
pub(super) fn at_rest(ghost: &Ghost, kernel: &Kernel, site: &Site) -> Option<Finding> {
    ghost.frames.iter().enumerate().find_map(|(i, frame)| {
        let pfn = Pfn(i as u64);
        let count = kernel.core().memory.get(kernel.mapcount(Page(pfn)).loc());
        let mappings = frame.mappings.len() as u64;
        (frame.state == FrameState::Data && count != mappings).then(|| Finding {
            violation: Violation::MapcountAtRest { pfn, count, mappings },
            site: frame.mapped_by.last().map_or_else(|| site.clone(), |(_, site)| site.clone()),
            other: None,
        })
    })
}
