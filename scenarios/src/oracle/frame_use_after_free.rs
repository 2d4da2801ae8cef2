//! `frame-use-after-free`: a frame is touched that is free, or that was freed and has another owner now. User code
//! touches it through a translation that was cached before. A device or a pipe touches it through a reference that was
//! handed out before.
//!
//! Not checked: accesses of the kernel by its own map of memory, except copies for a reader of a pipe; page walks (see
//! `page-table-use-after-free`).

use sim_mm::MmId;
use sim_mmu::{Translation, VirtAddr};

use super::ghost::{FrameState, PinState, Seen};
use super::{Finding, Lost, Site, Violation};

/// An access that retired through a translation.
pub(super) fn retired(
    ghost: Seen<'_>,
    mm: MmId,
    va: VirtAddr,
    through: &Translation,
    site: &Site,
) -> Option<Finding> {
    let life = ghost.life(through.pfn)?;
    let freed_since = life.freed.as_ref().filter(|freed| freed.step > through.filled_at);
    let lost = match life.state {
        FrameState::Free => Lost::Free,
        FrameState::Table { .. } => Lost::Table,
        FrameState::Data | FrameState::Driver | FrameState::Reserved | FrameState::Zeroes
            if freed_since.is_some() =>
        {
            Lost::NewOwner
        }
        FrameState::Data | FrameState::Driver | FrameState::Reserved | FrameState::Zeroes => return None,
    };
    Some(Finding {
        violation: Violation::LostFrameUsed { mm, va, filled_at: through.filled_at, pfn: through.pfn, lost },
        site: ghost.changed(mm, va.vpn()).unwrap_or(site).clone(),
        other: life.freed.clone(),
    })
}

/// A touch through a reference.
pub(super) fn touched(ghost: Seen<'_>, pin: &PinState, write: bool) -> Option<Finding> {
    let life = ghost.life(pin.pfn);
    let lost = match life {
        None => Lost::NoFrame,
        Some(life) if life.state == FrameState::Free => Lost::Free,
        Some(life) if matches!(life.state, FrameState::Table { .. }) => Lost::Table,
        Some(life) if life.frees != pin.frees => Lost::NewOwner,
        Some(_) if pin.stranger => Lost::NeverThere,
        Some(_) => return None,
    };
    Some(Finding {
        violation: Violation::LostPinTouched { mm: pin.mm, va: pin.va, pfn: pin.pfn, write, lost },
        site: pin.taken.clone(),
        other: life.and_then(|life| life.freed.clone()),
    })
}
