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
}

impl<'m> Script<'m> {
    /// The operations of a thread.
    pub(super) fn thread(stage: &'m Stage, index: usize, cpu: CpuId, statements: &'m [Statement]) -> Script<'m> {
        Script { task: Task::of_thread(stage, index, cpu), statements }
    }

    /// The operations that set a process up.
    pub(super) fn setup(stage: &'m Stage, process: usize, statements: &'m [Statement]) -> Script<'m> {
        Script { task: Task::of_setup(stage, process), statements }
    }

    /// Makes the process, then runs its set-up.
    pub(super) async fn run_setup(self) {
        self.task.make_process().await;
        if self.task.mm().is_ok() {
            self.perform().await;
        }
    }

    /// Runs the thread. If its process is not forked yet, the thread waits for that first.
    pub(super) async fn run(self) {
        if self.task.wait_for_process().await {
            self.task.wait_for_its_turn().await;
            self.perform().await;
        }
        self.task.end_its_turn().await;
        schedule_idle(self.task.cpu).await;
        self.task.sleep_until_killed().await;
    }

    async fn perform(self) {
        for (index, statement) in self.statements.iter().enumerate() {
            if self.task.dies_by_signal().await {
                return;
            }
            let result = statement.run(self.task).await;
            self.task.set_result(index, result);
        }
    }
}
