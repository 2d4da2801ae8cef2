//! The oracles: what must never happen, judged from the state of the simulated machine.
//!
//! The oracles have a memory of their own, the ghost. It is kept beside the machine, and the simulated kernel
//! cannot see it. Oracles know nothing of scenarios and safeguards. They see frames, entries, references and
//! accesses. The head of each file says what its oracle checks, and what it does not.

mod bad_page_map;
mod check;
mod cow_broken;
mod dirty_lost;
mod flag_lost;
mod frame_use_after_free;
mod ghost;
mod id;
mod incoherent;
mod kept;
mod kernel_bug;
mod leak;
mod lock;
mod lost_write;
mod mapcount;
mod multi_hit;
mod object_use_after_free;
mod page_table_use_after_free;
mod pin_misuse;
mod places;
mod progress;
mod readers;
mod refcount;
mod return_value;
mod semantics;
mod sentence;
mod site;
mod sleep_in_atomic;
mod stale_pin;
mod stale_tlb;
mod violation;
mod watch;
mod watched;

pub use check::check_failed;
pub use ghost::Ghost;
pub use id::OracleId;
pub use progress::{deadlock, livelock};
pub use sentence::Names;
pub(crate) use sentence::returned_value;
pub use site::Site;
pub(crate) use site::telling;
pub use violation::{Found, Lost, Violation, Wait};
pub use watch::{Logged, Watch, What};
pub use watched::Watched;

use sim_mm::MmId;
use sim_mmu::{Pfn, VirtAddr};

/// A violation, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub violation: Violation,
    /// Where it happened, or where what was wrong came from: the pin, the entry.
    pub site: Site,
    /// Where the other side made it wrong: the free, the change, the write.
    pub other: Option<Site>,
}

impl Finding {
    /// Which oracle found it.
    pub fn oracle(&self) -> OracleId {
        self.violation.oracle()
    }

    /// The frame that it is about.
    pub fn frame(&self) -> Option<Pfn> {
        self.violation.frame()
    }

    /// The page of an address space that it is about.
    pub fn page(&self) -> Option<(MmId, VirtAddr)> {
        self.violation.page()
    }

    /// The title, as the subject of a mail would have it: `leak in gup_pte_range / do_anonymous_page`.
    pub fn title(&self) -> String {
        let mut title = self.oracle().to_string();
        if let Some(routine) = self.site.routine() {
            title.push_str(&format!(" in {routine}"));
        }
        if let Some(other) = self.other.as_ref().and_then(Site::routine) {
            title.push_str(&format!(" / {other}"));
        }
        title
    }

    /// Whether it is about how a run ended, rather than about the step that ended it.
    pub fn is_at_rest(&self) -> bool {
        self.violation.is_at_rest()
    }

    /// Whether another run found the same: the same title and, for a check, the same value.
    pub fn is_like(&self, other: &Finding) -> bool {
        self.title() == other.title() && self.violation.subject() == other.violation.subject()
    }

    /// Whether a routine takes part: on either side, at any depth.
    pub fn involves(&self, routine: &str) -> bool {
        let in_stack = |site: &Site| site.stack.iter().any(|active| active.name == routine);
        in_stack(&self.site) || self.other.as_ref().is_some_and(in_stack)
    }
}
