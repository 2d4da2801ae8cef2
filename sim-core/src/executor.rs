//! CPUs as stacks of contexts, and the loop that runs them one transition at a time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll, Waker};

use crate::choice::Transition;
use crate::core::{Core, MemoryModel};
use crate::cpu::{Cpu, CpuId, Mode, TaskId, Vector};
use crate::event::Event;
use crate::op::Op;

/// Simulated code, boxed at the border between the executor and what it runs.
pub type BoxFuture<'m> = Pin<Box<dyn Future<Output = ()> + 'm>>;

/// What the machine above provides: the interrupt vector table, and the code between two tasks.
pub trait Platform<'m> {
    /// The handler of an interrupt that `cpu` takes.
    fn interrupt(&'m self, cpu: Cpu<'m>, vector: Vector) -> BoxFuture<'m>;

    /// What `cpu` runs before it goes on with task `next`, if anything.
    fn switch_to(&'m self, cpu: Cpu<'m>, next: TaskId) -> Option<BoxFuture<'m>>;

    /// The interrupt in which RCU callbacks run.
    fn rcu_vector(&self) -> Vector;
}

/// A task that waits when nothing can happen any more.
#[derive(Clone, Copy, Debug)]
pub struct Blocked {
    /// Where it would run.
    pub cpu: CpuId,
    /// Which.
    pub task: TaskId,
    /// What it waits to do.
    pub op: Op,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// Every task ran to its end, and nothing is pending.
    Completed,
    /// Nothing can happen, and these tasks are not at their end.
    Deadlock(Vec<Blocked>),
    /// The bound on steps was reached.
    StepBound,
    /// Somebody asked for the end: [`Core::request_stop`].
    Stopped,
}

/// What a context leaves behind while another runs above or instead of it.
struct Saved {
    op: Option<Op>,
    mode: Mode,
    routines: Vec<&'static str>,
}

/// An interrupt handler, and what it interrupted.
struct Handler<'m> {
    future: BoxFuture<'m>,
    below: Saved,
}

enum TaskState {
    /// Not yet polled.
    Fresh,
    /// Its announcement is in the CPU, or in what the handlers above saved.
    Running,
    /// Another task runs in its place.
    Parked(Saved),
    Done,
}

struct Task<'m> {
    id: TaskId,
    future: Option<BoxFuture<'m>>,
    state: TaskState,
}

/// One CPU: the tasks at the bottom, the handlers above the one that runs.
#[derive(Default)]
struct Lane<'m> {
    tasks: Vec<Task<'m>>,
    running: Option<usize>,
    handlers: Vec<Handler<'m>>,
}

/// The CPUs of a set, in order.
#[inline]
fn bits(mut set: u64) -> impl Iterator<Item = CpuId> {
    std::iter::from_fn(move || {
        let cpu = CpuId(set.trailing_zeros() as u8);
        (set != 0).then(|| {
            set &= set - 1;
            cpu
        })
    })
}

/// Runs the contexts of one machine.
pub struct Executor<'m, P> {
    core: &'m Core,
    platform: &'m P,
    lanes: Vec<Lane<'m>>,
    enabled: Vec<Transition>,
    last: CpuId,
    /// CPUs with more than one task.
    sharing: u64,
    unfinished: usize,
}

impl<'m, P: Platform<'m>> Executor<'m, P> {
    /// An executor without tasks.
    pub fn new(core: &'m Core, platform: &'m P) -> Self {
        Executor {
            core,
            platform,
            lanes: core.cpus.iter().map(|_| Lane::default()).collect(),
            enabled: Vec::with_capacity(16),
            last: CpuId(0),
            sharing: 0,
            unfinished: 0,
        }
    }

    /// Drops every context. To be called before [`Core::rewind`], since guards write when they drop.
    pub fn clear(&mut self) {
        for lane in &mut self.lanes {
            while lane.handlers.pop().is_some() {}
            lane.tasks.clear();
            lane.running = None;
        }
        self.last = CpuId(0);
        self.sharing = 0;
        self.unfinished = 0;
    }

    /// Adds a task to a CPU. The first task of a CPU is the one that runs there at the start.
    pub fn spawn(&mut self, cpu: CpuId, id: TaskId, code: BoxFuture<'m>) {
        let tasks = &mut self.lanes[cpu.index()].tasks;
        tasks.push(Task { id, future: Some(code), state: TaskState::Fresh });
        if tasks.len() > 1 {
            self.sharing |= 1 << cpu.0;
        }
        self.unfinished += 1;
    }

    fn cpu(&self, id: CpuId) -> Cpu<'m> {
        Cpu { core: self.core, id }
    }

    /// Runs until nothing can happen, a stop is asked for, or `bound` steps are taken.
    pub fn run(&mut self, bound: u64) -> Outcome {
        for i in 0..self.lanes.len() {
            if self.lanes[i].running.is_none() && !self.lanes[i].tasks.is_empty() {
                self.begin_task(CpuId(i as u8), 0);
            }
        }
        loop {
            if self.core.stop_requested() {
                return Outcome::Stopped;
            }
            if self.core.rcu.is_active() {
                self.note_quiescence();
            }
            let stays = self.collect();
            let transition = match self.enabled.len() {
                0 if self.unfinished == 0 => return Outcome::Completed,
                0 => return Outcome::Deadlock(self.blocked()),
                1 => self.enabled[0],
                _ => self.enabled[self.core.choose_transition(&self.enabled, stays)],
            };
            if self.core.steps.get() >= bound {
                return Outcome::StepBound;
            }
            self.core.count_step();
            self.last = transition.cpu();
            match transition {
                Transition::Step(cpu) => self.poll(cpu),
                Transition::Switch(cpu, task) => self.switch(cpu, task),
                Transition::Interrupt(cpu, vector) => self.interrupt(cpu, vector),
                Transition::Drain(cpu) => self.cpu(cpu).drain_one(),
            }
        }
    }

    /// Lists what can happen, the simplest first; answers whether that goes on with what ran last.
    #[inline]
    fn collect(&mut self) -> bool {
        self.enabled.clear();
        let core = self.core;
        let last = self.last;
        let stays = core.can_step(last);
        if stays {
            self.enabled.push(Transition::Step(last));
        }
        let others = (core.open.get() | core.gated.get()) & !(1 << last.0);
        for cpu in bits(others) {
            if core.can_step(cpu) {
                self.enabled.push(Transition::Step(cpu));
            }
        }
        for cpu in bits(self.sharing) {
            self.collect_switches(cpu);
        }
        for cpu in bits(core.interrupted.get()) {
            let state = &core.cpus[cpu.index()];
            if state.mode.get().irq_on {
                let vector = Vector(31 - state.pending.get().leading_zeros() as u8);
                self.enabled.push(Transition::Interrupt(cpu, vector));
            }
        }
        if core.config.memory == MemoryModel::Tso {
            for cpu in CpuId::all(core.cpus.len()) {
                if !core.cpus[cpu.index()].buffer.borrow().is_empty() {
                    self.enabled.push(Transition::Drain(cpu));
                }
            }
        }
        stays
    }

    /// A CPU leaves its task if that sleeps or is at its end, or if the kernel is preemptible here.
    #[cold]
    fn collect_switches(&mut self, cpu: CpuId) {
        let (lane, state) = (&self.lanes[cpu.index()], &self.core.cpus[cpu.index()]);
        let mode = state.mode.get();
        let leaves = match state.op.get() {
            None => true,
            Some(op) => {
                (op.sleeps && !state.is_enabled(&op, self.core))
                    || ((self.core.config.preempt || mode.user) && mode.preempt == 0 && mode.irq_on)
            }
        };
        if !leaves || !lane.handlers.is_empty() {
            return;
        }
        for task in &lane.tasks {
            let ready = match &task.state {
                TaskState::Fresh => true,
                TaskState::Parked(saved) => saved.op.is_some_and(|op| state.is_enabled(&op, self.core)),
                TaskState::Running | TaskState::Done => false,
            };
            if ready {
                self.enabled.push(Transition::Switch(cpu, task.id));
            }
        }
    }

    fn save(&self, cpu: CpuId) -> Saved {
        let state = &self.core.cpus[cpu.index()];
        let op = state.op.get();
        self.core.set_op(cpu, None);
        Saved { op, mode: state.mode.get(), routines: state.routines.take() }
    }

    fn restore(&self, cpu: CpuId, saved: Saved) {
        self.core.set_op(cpu, saved.op);
        let state = &self.core.cpus[cpu.index()];
        state.mode.set(saved.mode);
        state.routines.replace(saved.routines);
    }

    /// Lets the context on top of the CPU perform its access and announce the next.
    fn poll(&mut self, cpu: CpuId) {
        let mut context = PollContext::from_waker(Waker::noop());
        let lane = &mut self.lanes[cpu.index()];
        if let Some(handler) = lane.handlers.last_mut() {
            if handler.future.as_mut().poll(&mut context) == Poll::Ready(()) {
                self.leave_handler(cpu);
            }
            return;
        }
        let Some(running) = lane.running else { panic!("simulator defect: {cpu} steps without a context") };
        let task = &mut lane.tasks[running];
        let Some(future) = task.future.as_mut() else { panic!("simulator defect: {cpu} steps a finished task") };
        if future.as_mut().poll(&mut context) == Poll::Ready(()) {
            task.future = None;
            task.state = TaskState::Done;
            lane.running = None;
            self.unfinished -= 1;
            let state = &self.core.cpus[cpu.index()];
            self.core.set_op(cpu, None);
            state.mode.set(Mode::USER);
        }
    }

    fn begin_task(&mut self, cpu: CpuId, index: usize) {
        let state = &self.core.cpus[cpu.index()];
        state.mode.set(Mode::USER);
        let lane = &mut self.lanes[cpu.index()];
        lane.running = Some(index);
        lane.tasks[index].state = TaskState::Running;
        state.task.set(Some(lane.tasks[index].id));
        self.poll(cpu);
    }

    fn switch(&mut self, cpu: CpuId, id: TaskId) {
        let saved = self.save(cpu);
        let lane = &mut self.lanes[cpu.index()];
        if let Some(running) = lane.running {
            lane.tasks[running].state = TaskState::Parked(saved);
        }
        let next = lane.tasks.iter().position(|task| task.id == id);
        let Some(next) = next else { panic!("simulator defect: {cpu} has no task {}", id.0) };
        lane.running = Some(next);
        self.core.cpus[cpu.index()].task.set(Some(id));
        self.core.emit(cpu, || Event::Switch(id));
        let below = match std::mem::replace(&mut self.lanes[cpu.index()].tasks[next].state, TaskState::Fresh) {
            TaskState::Parked(saved) => saved,
            _ => Saved { op: None, mode: Mode::USER, routines: Vec::new() },
        };
        match self.platform.switch_to(self.cpu(cpu), id) {
            Some(code) => self.push_handler(cpu, code, below),
            None => self.resume(cpu, below),
        }
    }

    fn interrupt(&mut self, cpu: CpuId, vector: Vector) {
        let state = &self.core.cpus[cpu.index()];
        state.pending.set(state.pending.get() & !(1 << vector.0));
        if state.pending.get() == 0 {
            self.core.interrupted.set(self.core.interrupted.get() & !(1 << cpu.0));
        }
        self.core.emit(cpu, || Event::Interrupt(vector));
        let below = self.save(cpu);
        let code = self.platform.interrupt(self.cpu(cpu), vector);
        self.push_handler(cpu, code, below);
    }

    fn push_handler(&mut self, cpu: CpuId, future: BoxFuture<'m>, below: Saved) {
        self.core.cpus[cpu.index()].mode.set(Mode::HANDLER);
        self.lanes[cpu.index()].handlers.push(Handler { future, below });
        self.poll(cpu);
    }

    fn leave_handler(&mut self, cpu: CpuId) {
        let handler = self.lanes[cpu.index()].handlers.pop();
        self.core.emit(cpu, || Event::Return);
        if let Some(Handler { below, .. }) = handler {
            self.resume(cpu, below);
        }
    }

    /// Goes on with what was interrupted or parked; a task that never ran makes its first announcement.
    fn resume(&mut self, cpu: CpuId, below: Saved) {
        self.restore(cpu, below);
        let lane = &mut self.lanes[cpu.index()];
        if lane.handlers.is_empty()
            && let Some(running) = lane.running
        {
            match std::mem::replace(&mut lane.tasks[running].state, TaskState::Running) {
                TaskState::Fresh if self.core.cpus[cpu.index()].op.get().is_none() => {
                    self.begin_task(cpu, running)
                }
                _ => {}
            }
        }
    }

    #[cold]
    fn note_quiescence(&mut self) {
        let core = self.core;
        let asleep = |i: usize| {
            let state = &core.cpus[i];
            state.op.get().is_some_and(|op| op.sleeps && !state.is_enabled(&op, core))
        };
        let ready = core.rcu.note(&core.cpus, |i| !self.lanes[i].handlers.is_empty(), asleep);
        for cpu in CpuId::all(64).filter(|cpu| ready & 1 << cpu.0 != 0) {
            self.cpu(cpu).raise(cpu, self.platform.rcu_vector());
        }
    }

    fn blocked(&self) -> Vec<Blocked> {
        let mut blocked = Vec::new();
        for (i, lane) in self.lanes.iter().enumerate() {
            let cpu = CpuId(i as u8);
            // Below handlers, the running task's announcement is what the lowest of them saved.
            let bottom = match lane.handlers.first() {
                Some(handler) => handler.below.op,
                None => self.core.cpus[i].op.get(),
            };
            for (t, task) in lane.tasks.iter().enumerate() {
                let op = match &task.state {
                    TaskState::Parked(saved) => saved.op,
                    TaskState::Running if lane.running == Some(t) => bottom,
                    _ => None,
                };
                if let Some(op) = op {
                    blocked.push(Blocked { cpu, task: task.id, op });
                }
            }
        }
        blocked
    }
}
