//! `check`: what a scenario states about its own values does not hold at the end of a run.

use sim_core::CpuId;

use super::{Finding, Site, Violation};

/// A check of the scenario failed, in a run of so many steps.
pub fn check_failed(violation: Violation, step: u64) -> Finding {
    Finding { violation, site: Site { cpu: CpuId(0), step, stack: Vec::new() }, other: None }
}
