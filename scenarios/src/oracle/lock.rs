//! `lock`: the lock of a page is taken by a task that has it already, or given back by one that has it not.
//!
//! A task that waits for its own lock waits for ever, whatever the others do. So this is found in the step before, and says more than that
//! nothing goes on.
//!
//! Not checked: spin locks and semaphores, because the simulated code holds them by guards that give them back exactly once, and a second
//! acquisition ends in a `deadlock`; the order in which several locks are taken, because an order that is wrong in one schedule ends in a
//! `deadlock` in another, and a search finds that one.

use sim_core::{CpuId, TaskId};
use sim_mmu::Pfn;

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// Who has a lock: a task, or what runs on a CPU without one.
pub(super) type Holder = (CpuId, Option<TaskId>);

/// A task is about to wait for the lock of a page.
pub(super) fn wanted(ghost: Seen<'_>, pfn: Pfn, by: Holder, site: &Site) -> Option<Finding> {
    let (holder, taken) = ghost.page_lock(pfn)?;
    let itself = *holder == by;
    itself.then(|| Finding {
        violation: Violation::LockedTwice { pfn },
        site: site.clone(),
        other: Some(taken.clone()),
    })
}

/// A task unlocks a page.
pub(super) fn unlocked(ghost: Seen<'_>, pfn: Pfn, by: Holder, site: &Site) -> Option<Finding> {
    let has_it = ghost.page_lock(pfn).is_some_and(|(holder, _)| *holder == by);
    (!has_it).then(|| Finding { violation: Violation::NotLocked { pfn }, site: site.clone(), other: None })
}
