//! A program under way on a machine.

use std::cell::RefCell;

use sim_core::{CpuId, Executor, Outcome, TaskId};
use sim_mm::bare::reload_cr3;
use sim_mm::{Cpu, Kernel, Page, lru_add_drain, mark_page_accessed, start_task_in, sys_memfd_create};

use super::machine::{MEMFD_PAGES, Machine};
use super::operation::{Actor, operation};
use super::program::{Setting, Step};
use super::trace::Returned;

/// The largest number of steps of the machine for an operation. No operation needs so many.
const STEP_BOUND: u64 = 100_000_000;

/// All programs run on one CPU.
const CPU: CpuId = CpuId(0);

/// A program under way.
pub struct Replay<'m> {
    machine: &'m Machine,
    executor: Executor<'m, Kernel>,
    setting: Setting,
}

/// The result of a step.
pub enum Done {
    /// The operation ran to its end.
    Returned(Returned),
    /// The operation is not modelled, or not with these arguments, or the kernel came to something that is not modelled.
    NotModelled,
    /// The operation did not come to its end.
    Stuck(String),
}

impl<'m> Replay<'m> {
    /// Takes the machine back to its start, and makes process 0 with nothing mapped.
    pub fn begin(machine: &'m Machine, setting: Setting) -> Replay<'m> {
        let kernel = &machine.kernel;
        kernel.rewind();
        machine.processes.borrow_mut().clear();
        machine.cold.borrow_mut().clear();
        machine.open.iter().for_each(|open| open.set(false));
        let mut replay = Replay { machine, executor: Executor::new(kernel.core(), kernel), setting };
        let code = async {
            if let Ok(mm) = kernel.new_process(CPU).await {
                kernel.set_task_mm(TaskId(0), Some(mm));
                machine.processes.borrow_mut().insert(0, mm);
            }
            for memfd in &machine.memfds {
                // A machine on which nothing runs has room for them.
                let _ = sys_memfd_create(Cpu::new(kernel, CPU), memfd, MEMFD_PAGES, None).await;
            }
        };
        replay.executor.spawn(CPU, TaskId(0), Box::pin(code));
        replay.executor.run(STEP_BOUND);
        replay.executor.clear();
        replay
    }

    /// Does to the kernel what the recorder's look at the pages did: it read byte 0 of each page through `/proc/PID/mem`.
    pub fn was_looked_at(&mut self, pages: Vec<Page>) {
        let kernel = &self.machine.kernel;
        let code = async move {
            let cpu = Cpu::new(kernel, CPU);
            for page in pages {
                mark_page_accessed(cpu, page).await;
            }
        };
        self.executor.spawn(CPU, TaskId(0), Box::pin(code));
        self.executor.run(kernel.core().steps() + STEP_BOUND);
        self.executor.clear();
    }

    /// Runs a step.
    pub fn step(&mut self, step: &Step) -> Done {
        let kernel = &self.machine.kernel;
        let Some(mm) = self.machine.processes.borrow().get(&step.process).copied() else {
            return Done::Stuck(format!("there is no process {}", step.process));
        };
        let task = TaskId(step.process);
        let actor =
            Actor { machine: self.machine, cpu: Cpu::new(kernel, CPU), task, mm, window: self.setting.window };
        let Some(code) = operation(actor, &step.op, &step.args) else { return Done::NotModelled };
        let (minor, major) = (kernel.min_flt.get(), kernel.maj_flt.get());
        kernel.not_modelled.set(None);
        let is_remote = actor.is_remote(&step.op);
        let is_quick = matches!(step.op.as_str(), "fork" | "exit");
        let returned = std::rc::Rc::new(RefCell::new(None));
        let answer = returned.clone();
        let whole = async move {
            start_task_in(actor.cpu, actor.machine.kernel.mm(mm)).await;
            // Between two steps the recorder ran on this CPU, and its translations replaced those of the process.
            let _ = reload_cr3(actor.cpu, None, false).await;
            // The last of those that shared the pages of the recorder finds that it has them alone. A fork and an exit do not touch them.
            if !is_remote && !is_quick && actor.machine.unshares(task.0) {
                lru_add_drain(actor.cpu).await;
            }
            let value = code.await;
            answer.replace(Some(value));
        };
        self.executor.spawn(CPU, task, Box::pin(whole));
        let outcome = self.executor.run(kernel.core().steps() + STEP_BOUND);
        self.executor.clear();
        match (outcome, returned.take()) {
            (Outcome::Completed, Some(returned)) => match kernel.check(|page| self.machine.held_elsewhere(page)) {
                Ok(()) if kernel.not_modelled.get().is_some() => Done::NotModelled,
                Ok(()) => {
                    // If another process accesses the memory, that is no fault of the process that owns it.
                    let own = |faults: u64| if is_remote { 0 } else { faults };
                    let minflt = own(kernel.min_flt.get() - minor);
                    let majflt = own(kernel.maj_flt.get() - major);
                    Done::Returned(Returned { minflt, majflt, ..returned })
                }
                Err(wrong) => Done::Stuck(format!("its books do not add up afterwards: {wrong}")),
            },
            (Outcome::Deadlock(blocked), _) => {
                let what = blocked.first().map(|blocked| kernel.core().memory.describe(blocked.op.loc));
                Done::Stuck(format!("it waits for {} for ever", what.unwrap_or_default()))
            }
            _ => Done::Stuck(format!("it is not done after {STEP_BOUND} steps")),
        }
    }
}
