//! `bad-page-map`: the mappings, the page tables and the entries of an address space contradict each other.
//!
//! At rest each live root is walked. An entry that maps a page where no mapping is, or that allows a write which its
//! mapping does not, is what the kernel calls a bad page map when it meets one. An entry of a mapping of a file must map the
//! page that the file has at that place, or a copy if the mapping is private. No file has, and no entry maps, a page behind the end of the
//! file. From an anonymous page one comes by its `anon_vma` to every mapping that maps it, and by its index to the entry. A page that says that it is locked in memory is mapped by a
//! locked mapping, and the kernel counts as many pages as say so. A page of a file on the disk that says that it is dirty has the tag by which
//! writeback finds it. Two entries must not lead to one table. Mappings must be in order, and
//! must not overlap.

use sim_mm::{Kernel, Miscount, Reach};

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// A run has ended. Afterwards `reach` has what the address spaces lead to.
pub(super) fn at_rest(ghost: Seen<'_>, kernel: &Kernel, reach: &mut Reach, site: &Site) -> Option<Finding> {
    let what = reach.walk(kernel).err()?;
    let changed = match what {
        Miscount::Stray { mm, va }
        | Miscount::OtherPage { mm, va, .. }
        | Miscount::Unlinked { mm, va, .. }
        | Miscount::OtherIndex { mm, va, .. }
        | Miscount::MappedBehindEnd { mm, va, .. } => ghost.changed(mm, va.vpn()).cloned(),
        _ => None,
    };
    Some(Finding {
        violation: Violation::BadPageMap { what },
        site: changed.unwrap_or_else(|| site.clone()),
        other: None,
    })
}
