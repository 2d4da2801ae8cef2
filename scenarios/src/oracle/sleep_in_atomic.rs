//! `sleep-in-atomic`: code may sleep where it must not: with interrupts off, with preemption off, as it is while a spin lock is held, or in a
//! read-side section of RCU.
//!
//! It is wrong whether the code has to wait this time or not. So it is found without the other task that would have to be waited for.
//!
//! Not checked: allocations, because memory is never waited for here; a task that user code puts to sleep.

use sim_core::Atomic;

use super::{Finding, Site, Violation};

/// Something that may sleep comes next.
pub(super) fn slept(why: Atomic, site: &Site) -> Finding {
    Finding { violation: Violation::SleptInAtomic { why }, site: site.clone(), other: None }
}
