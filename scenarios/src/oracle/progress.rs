//! `deadlock`: nothing can happen, and some task is not at its end. `lost-wait`: the same, but one of the tasks waits for a
//! word whose page has moved. The simulator does not follow the page, so it cannot tell whether the task could go on.
//! `livelock`: a run takes more steps than any run of its kind should.
//!
//! Both are judged on the whole run. A livelock means that a bound was reached. It is no proof of a cycle.

use sim_core::{Blocked, CpuId, Routine};

use super::{Finding, Site, Violation, Wait};

/// These tasks wait for ever. If `is_lost`, one of them waits for a word whose page has moved, so it might go on. `stack`
/// tells the routines of a CPU, and `wait` tells which task waits for what.
pub fn deadlock(
    blocked: &[Blocked],
    is_lost: bool,
    step: u64,
    stack: impl Fn(CpuId) -> Vec<Routine>,
    wait: impl Fn(&Blocked) -> Wait,
) -> Finding {
    let cpu = blocked.first().map_or(CpuId(0), |blocked| blocked.cpu);
    let waits = blocked.iter().map(wait).collect();
    Finding {
        violation: if is_lost { Violation::LostWait { waits } } else { Violation::Deadlock { waits } },
        site: Site { cpu, step, stack: stack(cpu) },
        other: blocked.get(1).map(|other| Site { cpu: other.cpu, step, stack: stack(other.cpu) }),
    }
}

/// The run did not end within `bound` steps.
pub fn livelock(bound: u64) -> Finding {
    Finding {
        violation: Violation::Livelock { bound },
        site: Site { cpu: CpuId(0), step: bound, stack: Vec::new() },
        other: None,
    }
}
