//! `include/linux/sched/signal.h`: what a task, and what all threads of a process together, say beside their memory.

use sim_core::{RwSem, Shared, SpinLock, record};

record! {
    /// The words of a task. Those of the first thread of a process are `struct signal_struct` as well, which all its threads have
    /// in common.
    pub(crate) struct TaskSignal {
        /// Which task has the words of its process, as one more than its number. Zero says that no thread of the process can be
        /// killed, because none ever calls `exec()`.
        pub(crate) signal: Shared<u64> = "signal";
        /// `pending`: the task has to die: `SIGKILL`.
        pub(crate) pending: Shared<bool> = "pending";
        /// `vfork_done`: the parent sleeps until this task has left the address space that it shares with the parent.
        pub(crate) vfork_done: Shared<bool> = "vfork_done";
        /// `siglock`, with the fields below.
        pub(crate) siglock: SpinLock = "siglock";
        /// `nr_threads`: the threads that have not ended.
        pub(crate) nr_threads: Shared<u64> = "nr_threads";
        /// `notify_count`: the threads that have to end before the one that calls `exec()` goes on.
        pub(crate) notify_count: Shared<u64> = "notify_count";
        /// `group_exec_task`: whether one of the threads is calling `exec()`, and the others have to die.
        pub(crate) group_exec_task: Shared<bool> = "group_exec_task";
        /// `exec_update_lock`, since v5.7. Before that it is `cred_guard_mutex`, which is held for longer.
        pub(crate) exec_update_lock: RwSem = "exec_update_lock";
    }
}
