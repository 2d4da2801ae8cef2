//! `leak`: somebody reads bytes that another address space wrote after the two ceased to share them,
//! or that were never shared.
//!
//! Each word of memory remembers who may read what it holds: its writer, and whoever was forked from
//! the writer later. Copies carry that along; zeroes are everybody's.
//!
//! What an address space gives away is published: whoever is handed it may read what the giver may read there. So a
//! read through a reference is judged as one by its taker, too, whoever does it: another process that reads a pipe, a
//! device. That is true of what was there when the page was given, and of what the giver writes later, since
//! `vmsplice()` promises no copy. It is not true of what others write: a page that the giver no longer shares with its
//! parent, or that has a new owner, still leaks through a pipe.
//!
//! The ways in which two processes share on purpose are therefore: `fork` (what the parent could read until it was
//! complete, what its other threads write meanwhile), pipes (here), pins, whose device works for their taker, and shared
//! memory: what is written to a page of a file is everybody's.
//!
//! Not checked: what a device writes on its own account; what a process does with a value that it has read.

use sim_mm::MmId;
use sim_mmu::{Pfn, VirtAddr};

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// A read by, or for, an address space.
pub(super) fn read(
    ghost: Seen<'_>,
    mm: MmId,
    va: VirtAddr,
    pfn: Pfn,
    word: u32,
    value: u64,
    site: &Site,
) -> Option<Finding> {
    if ghost.may_read(mm, pfn, word) {
        return None;
    }
    let owner = ghost.mapped_by(pfn).iter().rev().find(|(by, _)| *by != mm);
    Some(Finding {
        violation: Violation::ForeignRead { mm, va, pfn, value, owner: owner.map(|(by, _)| *by) },
        site: site.clone(),
        other: owner.map(|(_, site)| site.clone()),
    })
}
