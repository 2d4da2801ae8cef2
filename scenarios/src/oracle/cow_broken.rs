//! `cow-broken`: a write becomes visible through private memory of another address space, or it changes the zero
//! page, or a page of a file though the memory is private.
//!
//! The oracle judges each write at the moment at which it happens: another address space maps the frame then.
//! While a fork is under way, the parent's threads may still write what the child sees. A page of a file belongs to no process
//! alone, and whoever has a shared mapping of it may write to it. A write through a private mapping must never change it: the
//! oracle judges a write to a page that was behind its address, and never by a shared mapping.

use sim_mm::MmId;
use sim_mmu::{Pfn, VirtAddr};

use super::ghost::{FrameState, Seen};
use super::{Finding, Site, Violation};

/// A write by, or for, an address space.
pub(super) fn wrote(ghost: Seen<'_>, mm: MmId, va: VirtAddr, pfn: Pfn, site: &Site) -> Option<Finding> {
    if matches!(ghost.life(pfn)?.state, FrameState::Reserved | FrameState::Zeroes) {
        let violation = Violation::ZeroPageWritten { mm, va, pfn };
        return Some(Finding { violation, site: site.clone(), other: None });
    }
    if ghost.shared(pfn).is_some() {
        let violation = Violation::FilePageWritten { mm, va, pfn };
        let finding = Finding { violation, site: site.clone(), other: None };
        return ghost.is_only_lent(pfn, (mm, va.vpn())).then_some(finding);
    }
    let &(other, at) =
        ghost.mappings(pfn).iter().find(|(other, _)| *other != mm && !ghost.is_forking(mm, *other))?;
    let mapped = ghost.mapped_by(pfn).iter().find(|(by, _)| *by == other).map(|(_, site)| site.clone());
    let violation = Violation::PrivatePageWritten { mm, va, pfn, other, at: at.base() };
    Some(Finding { violation, site: site.clone(), other: mapped })
}
