//! `multi-hit`: a TLB holds translations of two sizes for one address.
//!
//! Processors may answer an access by either of them, or stop with a machine check (erratum 383 of AMD's family 10h, SDM 4.10.2.3). So a
//! kernel that replaces a huge page by small entries for the same frames invalidates the huge translation first.
//! Not checked: translations that lead to different frames, for then one of them is old, and other oracles judge who uses it; pieces of a
//! large page, which are of one size in the TLB.

use sim_mmu::{Cpu, Translation};

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// A CPU has cached a translation.
pub(super) fn filled(
    ghost: Seen<'_>,
    cpu: Cpu<'_>,
    new: &Translation,
    site: impl FnOnce() -> Site,
) -> Option<Finding> {
    let rivals = |old: &Translation| {
        let (small, large) = if old.order < new.order { (old, new) } else { (new, old) };
        small.order != large.order
            && small.page_order != large.page_order
            && large.covers(small.vpn)
            && large.frame(small.vpn.base()) == small.pfn
            && (old.is_for(new.pcid) || new.is_for(old.pcid))
    };
    let old = cpu.find_cached(rivals)?;
    let (va, mm) = (old.vpn.max(new.vpn).base(), ghost.mm_of_root(new.root)?);
    let site = site();
    Some(Finding {
        violation: Violation::TwoSizes { mm, va, pfn: new.frame(va), pages: [1 << old.order, 1 << new.order] },
        site: ghost.changed(mm, va.vpn()).unwrap_or(&site).clone(),
        other: None,
    })
}
