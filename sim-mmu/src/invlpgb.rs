//! What an INVLPGB names, and an INVLPGB that no TLBSYNC has waited for yet.

use std::ops::Range;

use sim_core::CpuId;

use crate::addr::Vpn;
use crate::control::Pcid;

/// What an INVLPGB names (AMD APM volume 3, INVLPGB): rAX, ECX and EDX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invlpgb {
    /// The pages; `None` for every address.
    pub pages: Option<Range<Vpn>>,
    /// The PCID; `None` for every one.
    pub pcid: Option<Pcid>,
    /// Whether it drops global translations too.
    pub include_global: bool,
    /// Whether it drops translations only. Then the caches of upper-level entries may keep what they have.
    pub final_only: bool,
}

/// An INVLPGB that is under way until the CPU that executed it executes TLBSYNC.
#[derive(Clone, Debug)]
pub(crate) struct Broadcast {
    pub(crate) by: CpuId,
    pub(crate) what: Invlpgb,
    /// The step at which it was executed. It need not drop what was read later.
    pub(crate) at: u64,
}
