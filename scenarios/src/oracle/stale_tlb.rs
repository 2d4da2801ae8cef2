//! `stale-tlb`: an access retires through a translation that no entry has justified since the last
//! flush of that page was promised complete.
//!
//! A change without a flush promises nothing, so old and new are both right until a flush that began
//! after the change completes. Not checked: rights of upper-level entries, A and D.

use sim_mm::MmId;
use sim_mmu::{Access, Translation, VirtAddr};

use super::ghost::{Ghost, Site};
use super::{Finding, Violation};

/// An access that retired through a translation.
pub(super) fn retired(
    ghost: &Ghost,
    mm: MmId,
    va: VirtAddr,
    access: Access,
    through: &Translation,
    site: &Site,
) -> Option<Finding> {
    let page = ghost.page(mm, va.vpn());
    let justified = page.is_some_and(|page| {
        page.values.iter().any(|value| value.pfn == through.pfn && (value.write || !access.writes()))
    });
    if justified {
        return None;
    }
    let changed = page.and_then(|page| page.changed.clone());
    Some(Finding {
        violation: Violation::StaleTranslation {
            mm,
            va,
            write: access.writes(),
            pfn: through.pfn,
            filled_at: through.filled_at,
        },
        site: changed.unwrap_or_else(|| site.clone()),
        other: None,
    })
}
