//! `stale-tlb`: an access retires through a translation that no entry has justified since the last
//! flush of that page was promised complete.
//!
//! A change without a flush promises nothing, so old and new are both right until a flush that began
//! after the change completes. Not checked: rights of upper-level entries, A and D.

use sim_mm::MmId;
use sim_mmu::{Access, Translation, VirtAddr};

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// An access that retired through a translation.
pub(super) fn retired(
    ghost: Seen<'_>,
    mm: MmId,
    va: VirtAddr,
    access: Access,
    through: &Translation,
    site: &Site,
) -> Option<Finding> {
    if ghost.justifies(mm, va.vpn(), through.pfn, access.writes()) {
        return None;
    }
    Some(Finding {
        violation: Violation::StaleTranslation {
            mm,
            va,
            write: access.writes(),
            pfn: through.pfn,
            filled_at: through.filled_at,
        },
        site: ghost.changed(mm, va.vpn()).unwrap_or(site).clone(),
        other: None,
    })
}
