//! A site: the CPU, the step and the routines at which something happened.

use sim_core::{CpuId, Role, Routine};

/// Where something happened. Without the event log, the stack is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The CPU.
    pub cpu: CpuId,
    /// The step of the run.
    pub step: u64,
    /// The active routines, outermost first.
    pub stack: Vec<Routine>,
}

impl Site {
    /// The innermost routine that tells what was going on.
    pub fn routine(&self) -> Option<&'static str> {
        telling(&self.stack).map(|routine| routine.name)
    }
}

/// Of some active routines, the innermost one that is more than a helper.
pub(crate) fn telling(stack: &[Routine]) -> Option<Routine> {
    stack.iter().rev().find(|routine| routine.role != Role::Helper).or(stack.last()).copied()
}
