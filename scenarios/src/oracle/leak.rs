//! `leak`: somebody reads bytes that another address space wrote after the two ceased to share them,
//! or that were never shared.
//!
//! Each word of memory remembers who may read what it holds: its writer, and whoever was forked from
//! the writer later. Copies carry that along; zeroes are everybody's. Not checked: what a device
//! writes on its own account.

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
