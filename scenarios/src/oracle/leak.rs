//! `leak`: somebody reads bytes that another address space wrote after the two ceased to share them,
//! or that were never shared.
//!
//! Each word of memory remembers who may read what it holds: its writer, and whoever was forked from
//! the writer later. Copies carry that along; zeroes are everybody's. Not checked: what a device
//! writes on its own account.

use sim_mm::MmId;
use sim_mmu::{Pfn, VirtAddr};

use super::ghost::{Ghost, Site};
use super::{Finding, OracleId};

/// A read by, or for, an address space.
pub(super) fn read(
    ghost: &Ghost,
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
    let owner = ghost.frame(pfn).and_then(|frame| frame.mapped_by.iter().rev().find(|(by, _)| *by != mm));
    let whose = owner.map_or_else(|| "somebody else".to_owned(), |(by, _)| format!("mm{}", by.0));
    Some(Finding {
        oracle: OracleId::Leak,
        site: site.clone(),
        other: owner.map(|(_, site)| site.clone()),
        message: format!("mm{} read {value} from {pfn}, which {whose} wrote for itself alone", mm.0),
        frame: Some(pfn),
        page: Some((mm, va)),
    })
}
