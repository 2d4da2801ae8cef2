//! `page-table-use-after-free`: a page walk, in hardware or in software, reads or writes an entry in a frame that
//! is not, at that moment, a table of that level under that root. A speculative walk counts as well, because the
//! processor may cache and use what the walk read in a freed frame.
//!
//! Not checked: whether a table that is still allocated is still linked. A lockless walker may be in a table that
//! is not linked any more. The delay before freeing exists for that case. A table that several address spaces share is each one's until it has
//! counted itself out.

use sim_mmu::{Level, Pfn, Walker};

use super::ghost::{FrameState, Life, Seen};
use super::{Finding, Found, Site, Violation};

/// An entry that was read or written: by whom, and what the walk took its table for.
#[derive(Clone, Copy)]
pub(super) struct Walked {
    pub(super) root: Pfn,
    pub(super) level: Level,
    pub(super) table: Pfn,
    pub(super) by: Walker,
}

/// An entry was read or written.
#[inline]
pub(super) fn accessed(ghost: Seen<'_>, walked: Walked, site: impl FnOnce() -> Site) -> Option<Finding> {
    let Walked { root, level, table, .. } = walked;
    let life = ghost.life(table);
    match life {
        // Each step of each walk comes through here, and nearly all of them are this one.
        Some(Life { state, sharers, .. })
            if *state == (FrameState::Table { level, root }) && sharers.is_empty() =>
        {
            None
        }
        _ => judge(ghost, life, walked, site),
    }
}

#[inline(never)]
fn judge(
    ghost: Seen<'_>,
    life: Option<&Life>,
    Walked { root, level, table, by }: Walked,
    site: impl FnOnce() -> Site,
) -> Option<Finding> {
    let found = match life {
        None => Found::NoFrame,
        Some(life) => match life.state {
            // The tables of the kernel hang under every root.
            FrameState::Table { level: is, root: of }
                if is == level && life.sharers.is_empty() && ghost.is_kernels(of) =>
            {
                return None;
            }
            // Several address spaces may have it. Of hardware that walks through a table which its address space has given up, the flush is judged (`stale-tlb`):
            // it comes later, and until then those who have the table do not use it for anything else.
            FrameState::Table { level: is, .. }
                if is == level
                    && !life.sharers.is_empty()
                    && (life.sharers.contains(&root) || by != Walker::Software) =>
            {
                return None;
            }
            FrameState::Reserved if table == root => return None,
            FrameState::Reserved => Found::ZeroPage,
            FrameState::Free => Found::Free,
            FrameState::Data | FrameState::Driver | FrameState::Zeroes => Found::Data,
            FrameState::Table { level: is, root: of } => {
                Found::Table { level: is, of_another: of != root || !life.sharers.is_empty() }
            }
        },
    };
    let site = site();
    Some(Finding {
        violation: Violation::NoSuchTable { by, routine: site.routine(), table, level, found },
        site,
        other: life.and_then(|life| life.freed.clone()),
    })
}
