//! `deadlock`: nothing can happen, and not every task is at its end. `livelock`: a run takes more
//! steps than any run of its kind should.
//!
//! Both are judged on the whole run. A livelock is a bound that was reached, not a proof of a cycle.

use sim_core::{Blocked, CpuId, Routine};

use super::ghost::Site;
use super::{Finding, OracleId};

/// These tasks wait for ever. `stack` tells the routines of a CPU, `describe` what a task waits for.
pub fn deadlock(
    blocked: &[Blocked],
    step: u64,
    stack: impl Fn(CpuId) -> Vec<Routine>,
    describe: impl Fn(&Blocked) -> String,
) -> Finding {
    let waits: Vec<String> = blocked.iter().map(describe).collect();
    let cpu = blocked.first().map_or(CpuId(0), |blocked| blocked.cpu);
    Finding {
        oracle: OracleId::Deadlock,
        site: Site { cpu, step, stack: stack(cpu) },
        other: blocked.get(1).map(|other| Site { cpu: other.cpu, step, stack: stack(other.cpu) }),
        message: format!("nothing can happen any more: {}", waits.join("; ")),
        frame: None,
        page: None,
    }
}

/// No end within `bound` steps.
pub fn livelock(bound: u64) -> Finding {
    Finding {
        oracle: OracleId::Livelock,
        site: Site { cpu: CpuId(0), step: bound, stack: Vec::new() },
        other: None,
        message: format!("the run is not at its end after {bound} steps"),
        frame: None,
        page: None,
    }
}
