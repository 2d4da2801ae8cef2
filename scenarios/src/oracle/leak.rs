//! `leak`: somebody reads bytes that another address space wrote. The two never shared the bytes, or they no
//! longer shared them.
//!
//! Each word of memory remembers who may read what it holds: its writer, and the processes that were forked from
//! the writer later. A copy takes these readers along. Everybody may read zeroes.
//!
//! What an address space gives away is published. For example, `vmsplice()` gives a page to a pipe, and the
//! reader of the pipe may read what the giver may read there. So a read through a reference is judged as a read
//! by the taker of the reference, whoever reads: another process or a device. This holds for what was there when
//! the page was given. It also holds for what the giver writes later, because `vmsplice()` promises no copy. It
//! does not hold for what others write. A page that the giver no longer shares with its parent, or that has a new
//! owner, still leaks through a pipe.
//!
//! So there are four ways in which two processes share on purpose. *Fork* shares what the parent could read until
//! the fork was complete, and what the parent's other threads write meanwhile. *Pipes* share as described above.
//! *Pins* share with a device, which works for the taker of the pin. *Shared memory* shares everything: what is
//! written to a page of a shared object is everybody's.
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
