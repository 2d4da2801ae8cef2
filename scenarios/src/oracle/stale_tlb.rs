//! `stale-tlb`: an access retires through a translation that a complete flush should have dropped.
//!
//! A change without a flush promises nothing. So the old entry and the new one are both right until a flush
//! completes that began after the change. From then on the old one is wrong. A guest may go on while an entry of its process names the
//! same page and allows nothing for a moment, for nobody takes the page away then. Not checked: the rights of upper-level entries, A and D.

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
    (through, nested): (&Translation, bool),
    site: &Site,
) -> Option<Finding> {
    if ghost.justifies(mm, va.vpn(), through.pfn, access.writes(), nested) {
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
