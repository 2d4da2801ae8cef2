//! `kernel/signal.c`: how threads of a process are told to die.

use sim_core::{Gate, Loc, Op, OpKind, Shared, TaskId};

use crate::kernel::{Cpu, Kernel};
use crate::signal_types::TaskSignal;

impl Kernel {
    /// The words of a task.
    pub(crate) fn task_signal(&self, task: TaskId) -> TaskSignal {
        self.task_signals.at(usize::from(task.0))
    }

    /// `task->signal`: the words of a task's process; `None` if none of its threads ever calls `exec()`.
    pub(crate) fn thread_group(&self, task: TaskId) -> Option<TaskSignal> {
        let word = self.core().memory.get(self.task_signal(task).signal().loc());
        word.checked_sub(1).map(|leader| self.task_signal(TaskId(leader as u8)))
    }

    /// Makes tasks that do not run yet the threads of one process, in which `exec()` may be called.
    pub fn make_thread_group(&self, tasks: &[TaskId]) {
        let Some(leader) = tasks.first() else { return };
        let memory = &self.core().memory;
        for task in tasks {
            memory.set(self.task_signal(*task).signal().loc(), u64::from(leader.0) + 1);
        }
        memory.set(self.task_signal(*leader).nr_threads().loc(), tasks.len() as u64);
    }

    /// The tasks of a process, beside one of them.
    fn other_threads(&self, task: TaskId) -> impl Iterator<Item = TaskId> {
        let signal = |of: TaskId| self.core().memory.get(self.task_signal(of).signal().loc());
        let tasks = (0..self.config.tasks).map(|other| TaskId(other as u8));
        tasks.filter(move |other| *other != task && signal(*other) != 0 && signal(*other) == signal(task))
    }

    /// Whether anybody could ever tell the task to die. Who is alone in its process is killed by nobody.
    fn can_be_killed(&self, task: TaskId) -> bool {
        self.thread_group(task).is_some() && self.other_threads(task).next().is_some()
    }
}

/// `get_signal()`: whether the task has to die, as it asks itself whenever it returns to user mode.
pub async fn get_signal(cpu: Cpu<'_>, task: TaskId) -> bool {
    cpu.kernel.can_be_killed(task) && cpu.load(cpu.kernel.task_signal(task).pending()).await
}

/// Whether anybody could ever tell the task that runs here to die.
pub fn can_be_killed(cpu: Cpu<'_>) -> bool {
    cpu.task().is_some_and(|task| cpu.kernel.can_be_killed(task))
}

/// `fatal_signal_pending(current)`: the same, asked by kernel code that could go on for long.
pub async fn fatal_signal_pending(cpu: Cpu<'_>) -> bool {
    match cpu.task() {
        Some(task) => get_signal(cpu, task).await,
        None => false,
    }
}

/// What a thread does that has nothing more to do: it sleeps until it has to die. Whether it sleeps for that, which it does only if
/// there are threads that could kill it.
pub async fn sleep_until_killed(cpu: Cpu<'_>, task: TaskId) -> bool {
    if !cpu.kernel.can_be_killed(task) {
        return false;
    }
    let pending = cpu.kernel.task_signal(task).pending().loc();
    cpu.step(Op::new(OpKind::Wait, pending).behind(Gate::NonZero(pending)).sleeping(), |_| ()).await;
    true
}

impl Kernel {
    /// Whether a task that waits for this word sleeps as one that has nothing more to do: it may do so for ever.
    pub fn has_nothing_to_do(&self, task: TaskId, waits_for: Loc) -> bool {
        waits_for == self.task_signal(task).pending().loc()
    }
}

/// `zap_other_threads()`: all threads of a process but one have to die. Answers how many they are. The caller holds `siglock`.
pub(crate) async fn zap_other_threads(cpu: Cpu<'_>, task: TaskId) -> u64 {
    let Some(group) = cpu.kernel.thread_group(task) else { return 0 };
    for other in cpu.kernel.other_threads(task) {
        // sigaddset(SIGKILL), signal_wake_up(). Who has ended already does not look.
        cpu.store(cpu.kernel.task_signal(other).pending(), true).await;
        cpu.store(Shared::<bool>::at(cpu.kernel.task_waken(other)), true).await;
    }
    cpu.this_cpu_read(group.nr_threads()) - 1
}
