//! `pin-misuse`: the caller of GUP puts a reference a second time, or uses a page through a reference that was
//! put.
//!
//! This is wrong even if the page still belongs to the caller by luck. Other oracles judge what became of the
//! page. Not checked: a reference that is never put.

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// A reference is put.
pub(super) fn put(ghost: Seen<'_>, id: u64, site: &Site) -> Option<Finding> {
    let (pin, put) = ghost.gone_pin(id)?;
    let violation = Violation::PinPutTwice { mm: pin.mm, va: pin.va, pfn: pin.pfn };
    Some(Finding { violation, site: site.clone(), other: Some(put.clone()) })
}

/// A page is touched through a reference.
pub(super) fn touched(ghost: Seen<'_>, id: u64, write: bool, site: &Site) -> Option<Finding> {
    let (pin, put) = ghost.gone_pin(id)?;
    let violation = Violation::PinUsedAfterPut { mm: pin.mm, va: pin.va, pfn: pin.pfn, write };
    Some(Finding { violation, site: site.clone(), other: Some(put.clone()) })
}
