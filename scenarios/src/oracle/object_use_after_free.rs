//! `object-use-after-free`: code uses a kernel object (a mapping, an address space) whose life has ended. The
//! object may be free, or its slot may hold another one by now.
//!
//! Not checked: objects that have no lifetime of their own here (pipes, the lists of mappings). A read of an
//! object that may be looked at while it is free (`SLAB_TYPESAFE_BY_RCU`) is no violation.

use sim_core::{Core, Loc};

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// The word was used, and its record is not in the life that the user meant.
pub(super) fn touched(ghost: Seen<'_>, core: &Core, loc: Loc, site: &Site) -> Finding {
    let first = core.memory.record_of(loc);
    Finding {
        violation: Violation::ObjectUsed { word: core.memory.describe(loc), first },
        site: site.clone(),
        other: ghost.freed_object(first).cloned(),
    }
}
