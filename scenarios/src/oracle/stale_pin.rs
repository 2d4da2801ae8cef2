//! `stale-pin`: a page is pinned (`FOLL_PIN`), and the address space maps a copy of it where it was pinned. So the device and the process
//! part, though a pin promises that they see the same page.
//!
//! The kernel copies a page for who writes to it next. Of a page that is pinned the copy has to go to the other side. It is wrong in the step
//! in which the copy is mapped while the pin is held, and also in the step in which a page is pinned of which a copy is mapped there by then.
//!
//! Not checked: plain references (`FOLL_GET`), which promise nothing; pages of files, of which a private mapping may have a copy; a place that
//! user code has unmapped, moved or given up since, because there the process itself parted from the page.

use sim_mm::MmId;
use sim_mmu::{Pfn, VirtAddr};

use super::ghost::{PinState, Seen};
use super::{Finding, Site, Violation};

/// An entry is about to map another frame.
pub(super) fn mapped(ghost: Seen<'_>, mm: MmId, va: VirtAddr, now: Pfn, site: &Site) -> Option<Finding> {
    let pinned = ghost.copied_from(now).filter(|pfn| ghost.shared(*pfn).is_none())?;
    let here = |pin: &&PinState| pin.mm == mm && pin.va.vpn() == va.vpn() && pin.references > 1;
    let pin = ghost.pins_on(pinned).find(here)?;
    Some(finding(pin, now, Some(site)))
}

/// A page is pinned.
pub(super) fn taken(ghost: Seen<'_>, id: u64) -> Option<Finding> {
    let pin = ghost.pin(id).filter(|pin| pin.references > 1 && ghost.shared(pin.pfn).is_none())?;
    let now = ghost.mapped_now(pin.mm, pin.va.vpn()).filter(|now| *now != pin.pfn)?;
    let is_copy = ghost.copied_from(now) == Some(pin.pfn);
    is_copy.then(|| finding(pin, now, ghost.changed(pin.mm, pin.va.vpn())))
}

fn finding(pin: &PinState, now: Pfn, changed: Option<&Site>) -> Finding {
    let violation = Violation::StalePin { mm: pin.mm, va: pin.va, pfn: pin.pfn, now };
    Finding { violation, site: pin.taken.clone(), other: changed.cloned() }
}
