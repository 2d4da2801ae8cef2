//! `return-value`: a function of GUP tells its caller something else than it has done.
//!
//! The caller puts as many references as it is told of. So it must be told of each page that was given out, and of no other. The pages in the
//! array are those behind the addresses that it asked for, one after the other, and there is room for no more.
//!
//! Not checked: whether fewer pages could have been more; which error it is; what other system calls return, because that depends on what the
//! caller wanted, and a scenario says so by a check.

use sim_mmu::VirtAddr;

use super::{Finding, Site, Violation};

/// The function returns. It was asked for so many pages from `start` on.
pub(super) fn returned(
    (start, asked): (VirtAddr, u64),
    told: Option<u64>,
    handed: &[VirtAddr],
    site: &Site,
) -> Option<Finding> {
    let given = handed.len() as u64;
    let in_order = (0..).zip(handed).all(|(nth, va)| *va == start.page_base().plus_pages(nth));
    let right = told.unwrap_or(0) == given && given <= asked && in_order;
    (!right).then(|| Finding {
        violation: Violation::GupToldOtherwise { start, asked, told, given, in_order },
        site: site.clone(),
        other: None,
    })
}
