//! `deadlock`: nothing can happen, and some task is not at its end. `livelock`: a run takes more steps than any
//! run of its kind should.
//!
//! Both are judged on the whole run. A livelock means that a bound was reached. It is no proof of a cycle.

use sim_core::{Blocked, CpuId, Routine};

use super::{Finding, Site, Violation, Wait};

/// These tasks wait for ever. `stack` tells the routines of a CPU, `wait` who waits for what.
pub fn deadlock(
    blocked: &[Blocked],
    step: u64,
    stack: impl Fn(CpuId) -> Vec<Routine>,
    wait: impl Fn(&Blocked) -> Wait,
) -> Finding {
    let cpu = blocked.first().map_or(CpuId(0), |blocked| blocked.cpu);
    Finding {
        violation: Violation::Deadlock { waits: blocked.iter().map(wait).collect() },
        site: Site { cpu, step, stack: stack(cpu) },
        other: blocked.get(1).map(|other| Site { cpu: other.cpu, step, stack: stack(other.cpu) }),
    }
}

/// No end within `bound` steps.
pub fn livelock(bound: u64) -> Finding {
    Finding {
        violation: Violation::Livelock { bound },
        site: Site { cpu: CpuId(0), step: bound, stack: Vec::new() },
        other: None,
    }
}
