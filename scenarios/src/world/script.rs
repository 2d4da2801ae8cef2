//! A thread's operations, as code that runs on a simulated CPU.

use sim_core::CpuId;
use sim_mm::schedule_idle;

use crate::operation::Statement;
use crate::stage::{Stage, Task};

/// Operations of one task, performed one after the other.
#[derive(Clone, Copy)]
pub(super) struct Script<'m> {
    pub(super) task: Task<'m>,
    statements: &'m [Statement],
    part: Part,
}

/// Where the operations stand in the scenario.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Setup,
    Thread,
}

impl<'m> Script<'m> {
    /// The operations of a thread.
    pub(super) fn thread(stage: &'m Stage, index: usize, cpu: CpuId, statements: &'m [Statement]) -> Script<'m> {
        Script { task: Task::of_thread(stage, index, cpu), statements, part: Part::Thread }
    }

    /// The operations that set a process up.
    pub(super) fn setup(stage: &'m Stage, process: usize, statements: &'m [Statement]) -> Script<'m> {
        Script { task: Task::of_setup(stage, process), statements, part: Part::Setup }
    }

    /// Runs the operations. Every step passes through this code, so it is one future for set-up and threads.
    pub(super) async fn run(self) {
        if self.begin().await {
            for (index, statement) in self.statements.iter().enumerate() {
                if self.task.can_be_killed() && self.task.dies_by_signal().await {
                    break;
                }
                let result = statement.run(self.task).await;
                self.task.set_result(index, result);
            }
        }
        self.end().await;
    }

    /// Makes the process that is to be set up. A thread whose process is yet to be forked waits for that. Whether there is a
    /// process then.
    async fn begin(&self) -> bool {
        match self.part {
            Part::Setup => {
                self.task.make_process().await;
                self.task.mm().is_ok()
            }
            Part::Thread => {
                let exists = self.task.wait_for_process().await;
                if exists {
                    self.task.wait_for_its_turn().await;
                }
                exists
            }
        }
    }

    async fn end(&self) {
        if self.part == Part::Thread {
            self.task.end_its_turn().await;
            schedule_idle(self.task.cpu).await;
            if self.task.can_be_killed() {
                self.task.sleep_until_killed().await;
            }
        }
    }
}
