//! The oracles: what must never happen, judged from the state of the simulated machine.
//!
//! Oracles are ghost state, kept beside the machine's and invisible to the simulated kernel. They
//! know nothing of scenarios and safeguards: they see frames, entries, references and accesses.
//! Each file says what its oracle checks, and what it does not.

mod cow_broken;
mod footprint;
mod frame_use_after_free;
mod ghost;
mod kernel_bug;
mod leak;
mod mapcount;
mod object_use_after_free;
mod page_table_use_after_free;
mod progress;
mod refcount;
mod stale_tlb;
mod watch;

pub(crate) use ghost::telling;
pub use ghost::{Ghost, Site};
pub use progress::{deadlock, livelock};
pub use watch::{Logged, Watch, What};

use std::fmt;

use sim_mm::MmId;
use sim_mmu::{Pfn, VirtAddr};

/// Which oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OracleId {
    /// A CPU, a walker, a device or a pin holder touches a frame that is free or has another owner.
    FrameUseAfterFree,
    /// A walk reads a frame that is not now a table of that level and address space.
    PageTableUseAfterFree,
    /// An access retires through a translation that nothing has justified since the last flush.
    StaleTlb,
    /// A write becomes visible through private memory that was not shared.
    CowBroken,
    /// Bytes written after sharing ended are read by the other side.
    Leak,
    /// An object (a mapping, an address space) is used after its end.
    ObjectUseAfterFree,
    /// A `BUG_ON()` or `WARN_ON()` of the kernel fires.
    KernelBug,
    /// A reference count differs from the number of holders.
    Refcount,
    /// A mapcount differs from the number of mappings.
    Mapcount,
    /// Nothing can happen, and not everyone is at his end.
    Deadlock,
    /// No end within the bound on steps.
    Livelock,
    /// A check that the scenario states about its own values failed.
    Check,
}

impl OracleId {
    /// Every oracle that there is.
    pub const ALL: [OracleId; 12] = [
        OracleId::FrameUseAfterFree,
        OracleId::PageTableUseAfterFree,
        OracleId::StaleTlb,
        OracleId::CowBroken,
        OracleId::Leak,
        OracleId::ObjectUseAfterFree,
        OracleId::KernelBug,
        OracleId::Refcount,
        OracleId::Mapcount,
        OracleId::Deadlock,
        OracleId::Livelock,
        OracleId::Check,
    ];

    /// Its name in scenarios, records and output.
    pub fn name(self) -> &'static str {
        match self {
            OracleId::FrameUseAfterFree => "frame-use-after-free",
            OracleId::PageTableUseAfterFree => "page-table-use-after-free",
            OracleId::StaleTlb => "stale-tlb",
            OracleId::CowBroken => "cow-broken",
            OracleId::Leak => "leak",
            OracleId::ObjectUseAfterFree => "object-use-after-free",
            OracleId::KernelBug => "kernel-bug",
            OracleId::Refcount => "refcount",
            OracleId::Mapcount => "mapcount",
            OracleId::Deadlock => "deadlock",
            OracleId::Livelock => "livelock",
            OracleId::Check => "check",
        }
    }

    /// The oracle of a name.
    pub fn by_name(name: &str) -> Option<OracleId> {
        OracleId::ALL.into_iter().find(|id| id.name() == name)
    }
}

impl fmt::Display for OracleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which oracle found it.
    pub oracle: OracleId,
    /// Where it happened, or where what was wrong came from: the pin, the entry.
    pub site: Site,
    /// What on the other side made it wrong: the free, the change, the write.
    pub other: Option<Site>,
    /// What is wrong, in a sentence with the values.
    pub message: String,
    /// The frame that it is about.
    pub frame: Option<Pfn>,
    /// The page of an address space that it is about.
    pub page: Option<(MmId, VirtAddr)>,
}

impl Finding {
    /// What a mail would have as its subject: `leak in gup_pte_range / do_anonymous_page`.
    pub fn title(&self) -> String {
        let mut title = self.oracle.to_string();
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
        matches!(self.oracle, OracleId::Check | OracleId::Deadlock | OracleId::Livelock)
            || self.message.starts_with("at rest")
    }

    /// Whether another run found the same: the same title and, of a check, the same value.
    pub fn is_like(&self, other: &Finding) -> bool {
        let value = |finding: &Finding| finding.message.split('`').nth(1).map(str::to_owned);
        self.title() == other.title() && (self.oracle != OracleId::Check || value(self) == value(other))
    }

    /// Whether a routine takes part: on either side, at any depth.
    pub fn involves(&self, routine: &str) -> bool {
        let in_stack = |site: &Site| site.stack.iter().any(|active| active.name == routine);
        in_stack(&self.site) || self.other.as_ref().is_some_and(in_stack)
    }
}
