//! `cow-broken`: a write becomes visible through private memory of another address space, or changes
//! the zero page.
//!
//! Judged at the write: the frame is mapped by somebody else then. While a fork is under way, what the
//! parent's threads write may still reach the child. Pages of a file, as shared memory has them, are nobody's own.

use sim_mm::MmId;
use sim_mmu::{Pfn, VirtAddr};

use super::ghost::{FrameState, Seen};
use super::{Finding, Site, Violation};

/// A write by, or for, an address space.
pub(super) fn wrote(ghost: Seen<'_>, mm: MmId, va: VirtAddr, pfn: Pfn, site: &Site) -> Option<Finding> {
    if ghost.life(pfn)?.state == FrameState::Reserved {
        let violation = Violation::ZeroPageWritten { mm, va, pfn };
        return Some(Finding { violation, site: site.clone(), other: None });
    }
    if ghost.is_of_file(pfn) {
        return None;
    }
    let &(other, at) =
        ghost.mappings(pfn).iter().find(|(other, _)| *other != mm && !ghost.is_forking(mm, *other))?;
    let mapped = ghost.mapped_by(pfn).iter().find(|(by, _)| *by == other).map(|(_, site)| site.clone());
    let violation = Violation::PrivatePageWritten { mm, va, pfn, other, at: at.base() };
    Some(Finding { violation, site: site.clone(), other: mapped })
}
