//! `frame-use-after-free`: user code through a translation, or a device or pipe through a reference,
//! touches a frame that is free, or that was freed and has another owner since the translation was
//! cached or the reference handed out.
//!
//! Not checked: accesses of the kernel by its own map of memory, other than copies for a reader of a
//! pipe; page walks (see `page-table-use-after-free`).

use sim_mm::MmId;
use sim_mmu::{Translation, VirtAddr};

use super::ghost::{FrameState, Ghost, PinState, Site};
use super::{Finding, OracleId};

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
    let wrong = match frame.state {
        FrameState::Free => "is free",
        FrameState::Table { .. } => "is a page table",
        FrameState::Data | FrameState::Reserved if freed_since.is_some() => "was freed and has a new owner",
        FrameState::Data | FrameState::Reserved => return None,
    };
    let installed = ghost.page(mm, va.vpn()).and_then(|page| page.changed.clone());
    Some(Finding {
        oracle: OracleId::FrameUseAfterFree,
        site: installed.unwrap_or_else(|| site.clone()),
        other: frame.freed.clone(),
        message: format!(
            "user code at {va} used a translation cached at step {} to {}, which {wrong}",
            through.filled_at, through.pfn
        ),
        frame: Some(through.pfn),
        page: Some((mm, va)),
    })
}

/// A touch through a reference.
pub(super) fn touched(ghost: &Ghost, pin: &PinState, write: bool) -> Option<Finding> {
    let frame = ghost.frame(pin.pfn);
    let freed = frame.and_then(|frame| frame.freed.clone());
    let wrong = match frame {
        None => "does not exist",
        Some(frame) if frame.state == FrameState::Free => "is free",
        Some(frame) if matches!(frame.state, FrameState::Table { .. }) => "is a page table",
        Some(_) if freed.as_ref().is_some_and(|freed| freed.step > pin.taken.step) => {
            "was freed under the reference and has a new owner"
        }
        Some(_) if pin.stranger => "was never behind that address since it was last allocated",
        Some(_) => return None,
    };
    Some(Finding {
        oracle: OracleId::FrameUseAfterFree,
        site: pin.taken.clone(),
        other: freed,
        message: format!(
            "{} through a pin of {} touched {}, which {wrong}",
            if write { "a write" } else { "a read" },
            pin.va,
            pin.pfn
        ),
        frame: Some(pin.pfn),
        page: Some((pin.mm, pin.va)),
    })
}
