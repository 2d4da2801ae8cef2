//! `frame-use-after-free`: user code through a translation, or a device or pipe through a reference,
//! touches a frame that is free, or that was freed and has another owner since the translation was
//! cached or the reference handed out.
//!
//! Not checked: accesses of the kernel by its own map of memory, other than copies for a reader of a
//! pipe; page walks (see `page-table-use-after-free`).

use sim_mm::MmId;
use sim_mmu::{Translation, VirtAddr};

use super::ghost::{FrameState, Ghost, PinState, Site};
use super::{Finding, Lost, Violation};

/// An access that retired through a translation.
pub(super) fn retired(
    ghost: &Ghost,
    mm: MmId,
    va: VirtAddr,
    through: &Translation,
    site: &Site,
) -> Option<Finding> {
    let frame = ghost.frame(through.pfn)?;
    let freed_since = frame.freed.as_ref().filter(|freed| freed.step > through.filled_at);
    let lost = match frame.state {
        FrameState::Free => Lost::Free,
        FrameState::Table { .. } => Lost::Table,
        FrameState::Data | FrameState::Reserved if freed_since.is_some() => Lost::NewOwner,
        FrameState::Data | FrameState::Reserved => return None,
    };
    let installed = ghost.page(mm, va.vpn()).and_then(|page| page.changed.clone());
    Some(Finding {
        violation: Violation::LostFrameUsed { mm, va, filled_at: through.filled_at, pfn: through.pfn, lost },
        site: installed.unwrap_or_else(|| site.clone()),
        other: frame.freed.clone(),
    })
}

/// A touch through a reference.
pub(super) fn touched(ghost: &Ghost, pin: &PinState, write: bool) -> Option<Finding> {
    let frame = ghost.frame(pin.pfn);
    let freed = frame.and_then(|frame| frame.freed.clone());
    let lost = match frame {
        None => Lost::NoFrame,
        Some(frame) if frame.state == FrameState::Free => Lost::Free,
        Some(frame) if matches!(frame.state, FrameState::Table { .. }) => Lost::Table,
        Some(_) if freed.as_ref().is_some_and(|freed| freed.step > pin.taken.step) => Lost::NewOwner,
        Some(_) if pin.stranger => Lost::NeverThere,
        Some(_) => return None,
    };
    Some(Finding {
        violation: Violation::LostPinTouched { mm: pin.mm, va: pin.va, pfn: pin.pfn, write, lost },
        site: pin.taken.clone(),
        other: freed,
    })
}
