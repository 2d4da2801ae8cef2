//! `page-table-use-after-free`: a page walk, in hardware or in software, reads or writes an entry in a
//! frame that is not now a table of that level under that root. A speculative walk counts as well: what it reads in a
//! freed frame it may cache, and use.
//!
//! Not checked: whether a table that is still allocated is still linked. A lockless walker may be in
//! one that is not; that is what the delay before freeing is for.

use sim_mmu::{Level, Pfn, Walker};

use super::ghost::{FrameState, Seen};
use super::{Finding, Found, Site, Violation};

/// An entry was read or written.
pub(super) fn accessed(
    ghost: Seen<'_>,
    root: Pfn,
    level: Level,
    table: Pfn,
    by: Walker,
    site: &Site,
) -> Option<Finding> {
    let life = ghost.life(table);
    let found = match life {
        None => Found::NoFrame,
        Some(life) => match life.state {
            // The tables of the kernel hang under every root.
            FrameState::Table { level: is, root: of } if is == level && (of == root || ghost.is_kernels(of)) => {
                return None;
            }
            FrameState::Reserved if table == root => return None,
            FrameState::Reserved => Found::ZeroPage,
            FrameState::Free => Found::Free,
            FrameState::Data | FrameState::Driver => Found::Data,
            FrameState::Table { level, root: of } => Found::Table { level, of_another: of != root },
        },
    };
    Some(Finding {
        violation: Violation::NoSuchTable { by, routine: site.routine(), table, level, found },
        site: site.clone(),
        other: life.and_then(|life| life.freed.clone()),
    })
}
