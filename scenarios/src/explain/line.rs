//! A line of a story.

use sim_core::{CpuId, Role, Routine};
use sim_mm::MmId;

use super::fact::Fact;
use crate::oracle::telling;

/// One line of the story.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The step of the run.
    pub(super) step: u64,
    pub(super) cpu: CpuId,
    /// The address space of the task that does what the line says.
    pub(super) space: Option<MmId>,
    /// The active routines, outermost first.
    pub(super) stack: Vec<Routine>,
    pub(super) fact: Fact,
    /// The remark: what is established at this line.
    pub(super) remark: Option<String>,
    /// Whether it goes wrong at this line.
    pub(super) bad: bool,
}

impl Line {
    pub(super) fn new(step: u64, cpu: CpuId, stack: &[Routine], fact: Fact) -> Line {
        Line { step, cpu, space: None, stack: stack.to_vec(), fact, remark: None, bad: false }
    }

    /// The routines to show. One is the outermost: the system call or the interrupt. The other is the innermost routine that
    /// is more than a helper.
    pub(super) fn outline(&self) -> Vec<String> {
        let mut shown: Vec<Routine> = self.stack.first().copied().into_iter().collect();
        shown.extend(telling(&self.stack).filter(|routine| shown.first() != Some(routine)));
        let name = |routine: &Routine| match routine.role {
            Role::Interrupt => "<IRQ>".to_owned(),
            Role::SystemCall | Role::Body | Role::Lockless | Role::Helper => format!("{routine}()"),
        };
        shown.iter().map(name).collect()
    }
}
