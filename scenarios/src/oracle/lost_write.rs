//! `lost-write`: user code wrote to a page after the kernel had copied it, and the copy takes the page's place.
//!
//! The kernel copies a page and then maps the copy where the page was: for COW, for a migration. Whoever still has a writable
//! translation of the page writes to the old frame in between, and nobody will ever read that. So a copy must not be mapped at
//! a place through which its original was written since it was copied. And where a copy is mapped, nobody may write to its
//! original.
//!
//! It does not judge: what a device or the kernel writes; a store that was under way in a store buffer when the page was
//! copied; copies that are mapped elsewhere, for example in a child.

use sim_mm::MmId;
use sim_mmu::{Pfn, Vpn};

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// User code wrote by a page to a frame of which there are copies.
pub(super) fn wrote(ghost: Seen<'_>, mm: MmId, vpn: Vpn, site: &Site) -> Option<Finding> {
    let copy = ghost.mapped_now(mm, vpn)?;
    let (pfn, written) = ghost.written_after_copy(mm, vpn, copy)?;
    let other = ghost.changed(mm, vpn).unwrap_or(site).clone();
    Some(finding(mm, vpn, (pfn, copy), written, other))
}

/// An entry is about to map another frame.
pub(super) fn mapped(ghost: Seen<'_>, mm: MmId, vpn: Vpn, copy: Pfn, site: &Site) -> Option<Finding> {
    let (pfn, written) = ghost.written_after_copy(mm, vpn, copy)?;
    Some(finding(mm, vpn, (pfn, copy), written, site.clone()))
}

fn finding(mm: MmId, vpn: Vpn, (pfn, copy): (Pfn, Pfn), written: &Site, mapped: Site) -> Finding {
    let violation = Violation::WriteLost { mm, va: vpn.base(), pfn, copy };
    Finding { violation, site: written.clone(), other: Some(mapped) }
}
