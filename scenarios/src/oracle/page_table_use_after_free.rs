//! `page-table-use-after-free`: a page walk, in hardware or in software, reads or writes an entry in a
//! frame that is not now a table of that level under that root.
//!
//! Not checked: whether a table that is still allocated is still linked. A lockless walker may be in
//! one that is not; that is what the delay before freeing is for.

use sim_mmu::{Level, Pfn, Walker};

use super::ghost::{FrameState, Ghost, Site};
use super::{Finding, OracleId};

/// An entry was read or written.
pub(super) fn accessed(
    ghost: &Ghost,
    root: Pfn,
    level: Level,
    table: Pfn,
    by: Walker,
    site: &Site,
) -> Option<Finding> {
    let wrong = match ghost.frame(table) {
        None => "does not exist".to_owned(),
        Some(frame) => match frame.state {
            FrameState::Table { level: is, root: of } if is == level && of == root => return None,
            FrameState::Reserved if table == root => return None,
            FrameState::Reserved => "is the zero page".to_owned(),
            FrameState::Free => "is free".to_owned(),
            FrameState::Data => "holds user data".to_owned(),
            FrameState::Table { level: is, root: of } => {
                format!("is a table of {} entries {}", is.name(), if of == root { "" } else { "of another mm" })
            }
        },
    };
    let walker = match by {
        Walker::Hardware => "the page walker",
        Walker::Software => site.routine().unwrap_or("a software walk"),
    };
    Some(Finding {
        oracle: OracleId::PageTableUseAfterFree,
        site: site.clone(),
        other: ghost.frame(table).and_then(|frame| frame.freed.clone()),
        message: format!("{walker} took {table} for a table of {} entries, but it {wrong}", level.name())
            .trim_end()
            .to_owned(),
        frame: Some(table),
        page: None,
    })
}
