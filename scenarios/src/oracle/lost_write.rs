//! `lost-write`: user code wrote to a page after the kernel had copied it, and the copy takes the page's place.
//!
//! The kernel copies a page and then maps the copy where the page was: for COW, for a migration. Whoever still has a writable
//! translation of the page writes to the old frame in between, and nobody will ever read that. So a copy must not be mapped at
//! a place through which its original was written since it was copied. And where a copy is mapped, nobody may write to its
//! original.
//!
//! ksmd maps another page without a copy, because the two hold the same. So they must hold the same when it does, whoever has written.
//!
//! Of copies it does not judge: what a device or the kernel writes; a store that was under way in a store buffer when the page was
//! copied; copies that are mapped elsewhere, for example in a child.

use sim_mm::{Kernel, MmId};
use sim_mmu::{Pfn, VirtAddr, Vpn};

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

/// ksmd maps the page `to` in place of `from`.
pub(super) fn merged(
    ghost: Seen<'_>,
    kernel: &Kernel,
    (mm, va): (MmId, VirtAddr),
    from: Pfn,
    to: Pfn,
    site: &Site,
) -> Option<Finding> {
    let (memory, phys) = (&kernel.core().memory, &kernel.mmu.phys);
    let same = |word: u32| memory.get(phys.word(from, word)) == memory.get(phys.word(to, word));
    if (0..phys.words_per_frame()).all(same) {
        return None;
    }
    let other = ghost.changed(mm, va.vpn()).cloned();
    Some(Finding { violation: Violation::MergedOther { mm, va, pfn: from, kpage: to }, site: site.clone(), other })
}

fn finding(mm: MmId, vpn: Vpn, (pfn, copy): (Pfn, Pfn), written: &Site, mapped: Site) -> Finding {
    let violation = Violation::WriteLost { mm, va: vpn.base(), pfn, copy };
    Finding { violation, site: written.clone(), other: Some(mapped) }
}
