//! CPUs as stacks of contexts, and the loop that runs them one transition at a time.

use std::task::{Context as PollContext, Poll, Waker};

use crate::choice::Transition;
use crate::context::{Below, BoxFuture, ContextStack, Saved, Task, TaskState};
use crate::core::Core;
use crate::cpu::Cpu;
use crate::cpu_state::Mode;
use crate::event::Event;
use crate::footprint::Step;
use crate::id::{CpuId, TaskId, Vector};
use crate::machine::MemoryModel;
use crate::outcome::{Blocked, Outcome};
use crate::rcu::Seen;
use crate::ready::Ready;
use crate::systematic::Search;

/// What the machine above provides: the interrupt vector table, and the code between two tasks.
pub trait Platform<'m> {
    /// The handler of an interrupt that `cpu` takes.
    fn interrupt(&'m self, cpu: Cpu<'m>, vector: Vector) -> BoxFuture<'m>;

    /// What `cpu` runs before it goes on with task `next`, if anything.
    fn switch_to(&'m self, cpu: Cpu<'m>, next: TaskId) -> Option<BoxFuture<'m>>;

    /// The interrupt in which RCU callbacks run.
    fn rcu_vector(&self) -> Vector;
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
    pub(crate) core: &'m Core,
    platform: &'m P,
    pub(crate) stacks: Vec<ContextStack<'m>>,
    /// CPUs whose access can happen.
    pub(crate) ready: Ready,
    /// What can happen besides accesses.
    pub(crate) others: Vec<Transition>,
    last: CpuId,
    /// CPUs with more than one task.
    pub(crate) sharing: u64,
    /// The step under way, if a search watches it.
    pub(crate) shown: Option<Step>,
    unfinished: usize,
}

impl<'m, P: Platform<'m>> Executor<'m, P> {
    /// An executor without tasks.
    pub fn new(core: &'m Core, platform: &'m P) -> Self {
        Executor {
            core,
            platform,
            stacks: core.cpus.iter().map(|_| ContextStack::default()).collect(),
            ready: Ready::default(),
            others: Vec::with_capacity(16),
            last: CpuId(0),
            sharing: 0,
            shown: None,
            unfinished: 0,
        }
    }

    /// Drops every context. It is called before [`Core::rewind`], because guards write when they are dropped.
    pub fn clear(&mut self) {
        for stack in &mut self.stacks {
            stack.top = None;
            while stack.below.pop().is_some() {}
            stack.tasks.clear();
            stack.running = None;
            stack.just_switched = false;
        }
        self.last = CpuId(0);
        self.ready.forget();
        self.sharing = 0;
        self.unfinished = 0;
    }

    /// Adds a task to a CPU. The first task of a CPU is the one that runs there at the start.
    pub fn spawn(&mut self, cpu: CpuId, id: TaskId, code: BoxFuture<'m>) {
        let tasks = &mut self.stacks[cpu.index()].tasks;
        tasks.push(Task { id, future: Some(code), state: TaskState::Fresh });
        if tasks.len() > 1 {
            self.sharing |= 1 << cpu.0;
        }
        self.unfinished += 1;
    }

    fn cpu(&self, id: CpuId) -> Cpu<'m> {
        Cpu { core: self.core, id }
    }

    /// Runs until nothing can happen, until somebody asks for a stop, until `bound` steps are taken, or until a search
    /// has seen enough.
    pub fn run(&mut self, bound: u64) -> Outcome {
        let kept = if self.core.keeps_footprints() { 0 } else { u64::MAX };
        let closely_from = self.core.with_search(Search::start).unwrap_or(kept);
        self.core.closely_from.set(closely_from.min(bound));
        let outcome = self.run_on(bound);
        if self.core.is_searched() {
            self.close_run(&outcome);
        }
        self.core.with_search(|search| search.end(&outcome));
        outcome
    }

    fn run_on(&mut self, bound: u64) -> Outcome {
        for i in 0..self.stacks.len() {
            let stack = &self.stacks[i];
            if stack.running.is_none()
                && stack.tasks.first().is_some_and(|task| matches!(task.state, TaskState::Fresh))
            {
                self.begin_task(CpuId(i as u8), 0);
            }
        }
        let mut context = PollContext::from_waker(Waker::noop());
        loop {
            if self.core.stop_requested() {
                return Outcome::Stopped;
            }
            if self.core.rcu.is_active() {
                self.note_quiescence();
            }
            if self.core.is_searched() {
                self.close_step();
            }
            self.collect();
            let chosen = match self.ready.len() + self.others.len() {
                0 => return self.at_rest(),
                _ if self.core.steps.get() >= self.core.closely_from.get() => match self.decide_closely(bound) {
                    Ok(chosen) => chosen,
                    Err(outcome) => return outcome,
                },
                1 => 0,
                _ => self.core.choose_transition(&self.ready, &self.others),
            };
            self.core.count_step();
            match chosen.checked_sub(self.ready.len()) {
                None => {
                    self.last = self.ready.run(chosen);
                    if self.sharing != 0 {
                        let stack = &mut self.stacks[self.last.index()];
                        stack.just_switched &= !stack.below.is_empty();
                    }
                    self.poll(self.last, &mut context);
                }
                Some(other) => self.do_other(self.others[other]),
            }
            self.core.end_step(self.last);
        }
    }

    /// Does what is not an access.
    #[cold]
    fn do_other(&mut self, transition: Transition) {
        self.last = transition.cpu();
        self.ready.forget();
        match transition {
            Transition::Step(cpu) => panic!("simulator defect: a step of {cpu} among the others"),
            Transition::Switch(cpu, task) => self.switch(cpu, task),
            Transition::Interrupt(cpu, vector) => self.interrupt(cpu, vector),
            Transition::Drain(cpu) => self.cpu(cpu).drain_one(),
        }
    }

    /// Finds out what can happen: accesses in `ready`, everything else in `others`.
    #[inline]
    fn collect(&mut self) {
        let core = self.core;
        let mut steps = core.open.get();
        if core.gated.get() != 0 {
            for cpu in bits(core.gated.get()) {
                let open = core.gate_is_open(cpu);
                if open && core.is_costed() {
                    core.pass_gate(cpu);
                }
                steps |= u64::from(open) << cpu.0;
            }
        }
        self.ready.set(steps, self.last);
        self.others.clear();
        if self.sharing | core.interrupted.get() != 0 || core.config.memory == MemoryModel::Tso {
            self.collect_others();
        }
    }

    fn collect_others(&mut self) {
        let core = self.core;
        for cpu in bits(self.sharing) {
            self.collect_switches(cpu);
        }
        for cpu in bits(core.interrupted.get()) {
            let state = &core.cpus[cpu.index()];
            if state.mode.get().irq_on {
                let vector = Vector(31 - state.pending.get().leading_zeros() as u8);
                self.others.push(Transition::Interrupt(cpu, vector));
            }
        }
        if core.config.memory == MemoryModel::Tso {
            for cpu in CpuId::all(core.cpus.len()) {
                if !core.cpus[cpu.index()].buffer.is_empty() {
                    self.others.push(Transition::Drain(cpu));
                }
            }
        }
    }

    /// A CPU can leave its task if the task sleeps, if it is at its end, or if the kernel is preemptible here.
    #[cold]
    fn collect_switches(&mut self, cpu: CpuId) {
        let (stack, state) = (&self.stacks[cpu.index()], &self.core.cpus[cpu.index()]);
        let mode = state.mode.get();
        let leaves = match state.op() {
            None => true,
            Some(op) => {
                (op.sleeps && !state.is_enabled(&op, self.core))
                    || (!(stack.just_switched && state.is_enabled(&op, self.core))
                        && (self.core.config.preempt || mode.user)
                        && mode.preempt == 0
                        && mode.irq_on)
            }
        };
        if !leaves || !stack.below.is_empty() {
            return;
        }
        for task in &stack.tasks {
            let ready = match &task.state {
                TaskState::Fresh => true,
                TaskState::Parked(saved) => saved.op.is_some_and(|op| state.is_enabled(&op, self.core)),
                TaskState::Running | TaskState::Done => false,
            };
            if ready {
                self.others.push(Transition::Switch(cpu, task.id));
            }
        }
    }

    fn save(&self, cpu: CpuId) -> Saved {
        let state = &self.core.cpus[cpu.index()];
        let op = state.op();
        self.core.set_op(cpu, None);
        Saved { op, mode: state.mode.get(), routines: state.routines.take() }
    }

    fn restore(&self, cpu: CpuId, saved: Saved) {
        self.core.set_op(cpu, saved.op.as_ref());
        let state = &self.core.cpus[cpu.index()];
        state.mode.set(saved.mode);
        state.routines.replace(saved.routines);
    }

    /// Lets the context on top of the CPU perform its access and announce the next.
    #[inline(always)]
    fn poll(&mut self, cpu: CpuId, context: &mut PollContext<'_>) {
        let Some(top) = self.stacks[cpu.index()].top.as_mut() else {
            panic!("simulator defect: {cpu} steps without a context")
        };
        if top.as_mut().poll(context) == Poll::Ready(()) {
            self.leave(cpu);
        }
    }

    /// Lets a context that was just put on top make its first announcement.
    fn announce(&mut self, cpu: CpuId) {
        self.poll(cpu, &mut PollContext::from_waker(Waker::noop()));
    }

    /// The context on top has ended.
    #[cold]
    fn leave(&mut self, cpu: CpuId) {
        let stack = &mut self.stacks[cpu.index()];
        if let Some(below) = stack.below.pop() {
            stack.top = below.future;
            // IRET is serialising.
            self.cpu(cpu).drain_all();
            if below.by_interrupt && self.core.is_costed() {
                // Other CPUs see the last store of the handler before it has returned.
                self.core.note_changes(cpu);
                self.cpu(cpu).charge_return();
            }
            self.core.emit(cpu, || Event::Return);
            self.resume(cpu, below.saved);
            return;
        }
        // The code of the task stays on top until the next takes its place, because dropping it now costs more.
        if let Some(running) = stack.running.take() {
            stack.tasks[running].state = TaskState::Done;
        }
        self.unfinished -= 1;
        self.core.set_op(cpu, None);
        self.core.cpus[cpu.index()].mode.set(Mode::USER);
    }

    fn begin_task(&mut self, cpu: CpuId, index: usize) {
        let state = &self.core.cpus[cpu.index()];
        state.mode.set(Mode::USER);
        let stack = &mut self.stacks[cpu.index()];
        stack.running = Some(index);
        let task = &mut stack.tasks[index];
        task.state = TaskState::Running;
        if let Some(code) = task.future.take() {
            stack.top = Some(code);
        }
        state.task.set(Some(task.id));
        self.announce(cpu);
    }

    fn switch(&mut self, cpu: CpuId, id: TaskId) {
        // The scheduler's locks are locked instructions.
        self.cpu(cpu).drain_all();
        let saved = self.save(cpu);
        let stack = &mut self.stacks[cpu.index()];
        if let Some(running) = stack.running {
            stack.tasks[running].state = TaskState::Parked(Box::new(saved));
            stack.tasks[running].future = stack.top.take();
        }
        let next = stack.tasks.iter().position(|task| task.id == id);
        let Some(next) = next else { panic!("simulator defect: {cpu} has no task {}", id.0) };
        stack.running = Some(next);
        stack.just_switched = true;
        stack.top = stack.tasks[next].future.take();
        let below = match std::mem::replace(&mut stack.tasks[next].state, TaskState::Fresh) {
            TaskState::Parked(saved) => *saved,
            _ => Saved { op: None, mode: Mode::USER, routines: Vec::new() },
        };
        if self.core.is_costed()
            && let Some(op) = below.op
        {
            self.core.wait_for(cpu, op.gate);
        }
        self.core.cpus[cpu.index()].task.set(Some(id));
        self.core.emit(cpu, || Event::Switch(id));
        match self.platform.switch_to(self.cpu(cpu), id) {
            Some(code) => self.push_handler(cpu, code, below, false),
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
        if self.core.is_costed() {
            self.cpu(cpu).charge_interrupt(vector);
        }
        let below = self.save(cpu);
        let code = self.platform.interrupt(self.cpu(cpu), vector);
        self.push_handler(cpu, code, below, true);
    }

    fn push_handler(&mut self, cpu: CpuId, code: BoxFuture<'m>, saved: Saved, by_interrupt: bool) {
        self.core.cpus[cpu.index()].mode.set(Mode::HANDLER);
        let stack = &mut self.stacks[cpu.index()];
        let future = stack.top.replace(code);
        stack.below.push(Below { by_interrupt, future, saved });
        self.announce(cpu);
    }

    /// Goes on with a context that was interrupted or parked. A task that never ran makes its first announcement.
    fn resume(&mut self, cpu: CpuId, saved: Saved) {
        self.restore(cpu, saved);
        let stack = &mut self.stacks[cpu.index()];
        if stack.below.is_empty()
            && let Some(running) = stack.running
        {
            match std::mem::replace(&mut stack.tasks[running].state, TaskState::Running) {
                TaskState::Fresh if self.core.cpus[cpu.index()].op().is_none() => self.begin_task(cpu, running),
                _ => {}
            }
        }
    }

    /// What RCU has to know of a CPU.
    fn look_at(&self, i: usize) -> Seen {
        let (stack, state) = (&self.stacks[i], &self.core.cpus[i]);
        let reads = |task: &Task<'_>| matches!(&task.state, TaskState::Parked(saved) if saved.mode.rcu > 0);
        Seen {
            handling: !stack.below.is_empty(),
            asleep: state.op().is_some_and(|op| op.sleeps && !state.is_enabled(&op, self.core)),
            preempted_reader: stack.tasks.iter().any(reads),
        }
    }

    /// Whether a CPU holds up no grace period.
    pub(crate) fn is_quiescent(&self, i: usize) -> bool {
        self.core.rcu.is_quiescent(&self.core.cpus[i], &self.look_at(i))
    }

    #[cold]
    fn note_quiescence(&mut self) {
        let core = self.core;
        let ready = core.rcu.note(&core.cpus, |i| self.look_at(i));
        for cpu in CpuId::all(64).filter(|cpu| ready & 1 << cpu.0 != 0) {
            self.cpu(cpu).raise(cpu, self.platform.rcu_vector());
            if core.is_costed() {
                self.cpu(cpu).note_grace_over(self.last, self.platform.rcu_vector());
            }
        }
    }

    /// Nothing can happen any more.
    #[cold]
    fn at_rest(&self) -> Outcome {
        let blocked = self.blocked();
        if self.unfinished == 0 && blocked.is_empty() { Outcome::Completed } else { Outcome::Deadlock(blocked) }
    }

    /// The contexts that wait: on each CPU the one on top (of a handler or of a task), and the parked tasks.
    fn blocked(&self) -> Vec<Blocked> {
        let mut blocked = Vec::new();
        for (i, stack) in self.stacks.iter().enumerate() {
            let cpu = CpuId(i as u8);
            let running = stack.running.map(|running| stack.tasks[running].id);
            let top = self.core.cpus[i].op();
            blocked.extend(top.map(|op| Blocked { cpu, task: running, in_handler: !stack.below.is_empty(), op }));
            for task in &stack.tasks {
                if let TaskState::Parked(saved) = &task.state {
                    let waits = |op| Blocked { cpu, task: Some(task.id), in_handler: false, op };
                    blocked.extend(saved.op.map(waits));
                }
            }
        }
        blocked.sort_by_key(|blocked| (blocked.cpu, blocked.task));
        blocked
    }
}
