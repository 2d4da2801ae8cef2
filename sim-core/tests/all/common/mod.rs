//! A tiny machine, and a search through all of its interleavings.

pub(crate) mod reference;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;

use sim_core::source::{Replay, Source};
use sim_core::{
    BoxFuture, Config, Core, Cpu, CpuId, Decision, Event, Executor, Loc, MemoryBuilder, MemoryModel, Observer,
    Outcome, Platform, RwSem, Shared, TaskId, Vector,
};

/// Number of words that tests use as they like, all zero unless a test says otherwise.
pub(crate) const WORDS: u32 = 8;
pub(crate) const X: Shared<u64> = word(0);
pub(crate) const Y: Shared<u64> = word(1);
pub(crate) const Z: Shared<u64> = word(2);
pub(crate) const W: Shared<u64> = word(3);

pub(crate) const fn word(n: u32) -> Shared<u64> {
    Shared::at(Loc(n))
}

/// The interrupt in which RCU callbacks run.
pub(crate) const RCU: Vector = Vector(0);

/// The bound on steps. No program here takes so many, unless it never ends.
const ENDLESS: u64 = 200;

/// More interleavings than a test should ask for.
const TOO_MANY: usize = 500_000;

pub(crate) fn sc(cpus: usize) -> Config {
    Config { cpus, ..Config::default() }
}

pub(crate) fn tso(cpus: usize) -> Config {
    Config { memory: MemoryModel::Tso, ..sc(cpus) }
}

type TaskCode = Box<dyn for<'m> Fn(&'m Machine, Cpu<'m>) -> BoxFuture<'m>>;
type InterruptCode = Box<dyn for<'m> Fn(&'m Machine, Cpu<'m>, Vector) -> BoxFuture<'m>>;
type SwitchCode = Box<dyn for<'m> Fn(&'m Machine, Cpu<'m>, TaskId) -> Option<BoxFuture<'m>>>;

/// A machine whose code is closures. What they [`say`](Machine::say) is the trace of the run.
pub(crate) struct Machine {
    pub(crate) core: Core,
    pub(crate) sem: RwSem,
    pub(crate) log: Rc<Log>,
    said: RefCell<Vec<String>>,
    registers: RefCell<Vec<Vec<u64>>>,
    tasks: Vec<(CpuId, TaskCode)>,
    on_interrupt: InterruptCode,
    on_switch: SwitchCode,
}

impl Machine {
    pub(crate) fn new(config: Config) -> Machine {
        let mut memory = MemoryBuilder::default();
        memory.words("word", WORDS as usize);
        let sem = memory.alone("sem");
        let core = Core::new(memory.build(), config);
        core.set_digested(true);
        Machine {
            core,
            sem,
            log: Rc::default(),
            said: RefCell::default(),
            registers: RefCell::default(),
            tasks: Vec::new(),
            on_interrupt: Box::new(|m, _, vector| {
                m.say(format!("irq{}", vector.0));
                Box::pin(async {})
            }),
            on_switch: Box::new(|_, _, _| None),
        }
    }

    /// Adds a task to a CPU. Tasks are numbered in the order in which they are added.
    pub(crate) fn task(
        mut self,
        cpu: u8,
        code: impl for<'m> Fn(&'m Machine, Cpu<'m>) -> BoxFuture<'m> + 'static,
    ) -> Machine {
        self.tasks.push((CpuId(cpu), Box::new(code)));
        self
    }

    /// Says what an interrupt does, other than [`RCU`].
    pub(crate) fn on_interrupt(
        mut self,
        code: impl for<'m> Fn(&'m Machine, Cpu<'m>, Vector) -> BoxFuture<'m> + 'static,
    ) -> Machine {
        self.on_interrupt = Box::new(code);
        self
    }

    /// Says what runs before a CPU goes on with another task.
    pub(crate) fn on_switch(
        mut self,
        code: impl for<'m> Fn(&'m Machine, Cpu<'m>, TaskId) -> Option<BoxFuture<'m>> + 'static,
    ) -> Machine {
        self.on_switch = Box::new(code);
        self
    }

    /// Keeps the events of each run.
    pub(crate) fn logged(self) -> Machine {
        self.core.set_observer(Some(self.log.clone()));
        self.core.set_traced(true);
        self
    }

    /// Adds to the trace of the run.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.said.borrow_mut().push(what.into());
    }

    /// Adds to what the CPU has read in this run.
    pub(crate) fn keep(&self, cpu: Cpu<'_>, value: u64) {
        self.registers.borrow_mut()[cpu.id.index()].push(value);
    }

    /// What the CPUs have read, CPU by CPU.
    pub(crate) fn registers(&self) -> Vec<u64> {
        self.registers.borrow().concat()
    }

    /// What each CPU has read.
    pub(crate) fn registers_by_cpu(&self) -> Vec<Vec<u64>> {
        self.registers.borrow().clone()
    }

    /// The trace, and how the run ended if not with every task at its end.
    pub(crate) fn trace(&self, outcome: &Outcome) -> String {
        let mut trace = self.said.borrow().clone();
        match outcome {
            Outcome::Completed => {}
            Outcome::Deadlock(blocked) => {
                let tasks: Vec<_> =
                    blocked.iter().map(|b| b.task.map_or(u8::MAX, |task| task.0).to_string()).collect();
                trace.push(format!("deadlock({})", tasks.join(" ")));
            }
            Outcome::StepBound => trace.push("endless".to_owned()),
            Outcome::Stopped => trace.push("stopped".to_owned()),
            Outcome::Pruned => trace.push("pruned".to_owned()),
        }
        trace.join(" ")
    }

    /// One run from the checkpoint in an executor that may have run before, of at most `bound` steps;
    /// `read` looks at its end.
    pub(crate) fn run_in<'m, T>(
        &'m self,
        executor: &mut Executor<'m, Machine>,
        bound: u64,
        read: impl FnOnce(&Machine, &Outcome) -> T,
    ) -> T {
        executor.clear();
        self.core.rewind();
        self.log.clear();
        self.said.borrow_mut().clear();
        self.registers.replace(vec![Vec::new(); self.core.config.cpus]);
        for (n, (id, code)) in self.tasks.iter().enumerate() {
            let task = TaskId(n.try_into().expect("a test has few tasks"));
            executor.spawn(*id, task, code(self, Cpu { core: &self.core, id: *id }));
        }
        let outcome = executor.run(bound);
        read(self, &outcome)
    }

    /// One run from the checkpoint, of at most `bound` steps; `read` looks at its end.
    pub(crate) fn run_at_most<T>(&self, bound: u64, read: impl FnOnce(&Machine, &Outcome) -> T) -> T {
        self.run_in(&mut Executor::new(&self.core, self), bound, read)
    }

    /// One run from the checkpoint; `read` looks at its end.
    pub(crate) fn run<T>(&self, read: impl FnOnce(&Machine, &Outcome) -> T) -> T {
        self.run_at_most(ENDLESS, read)
    }

    /// The trace of one run with decisions from `source`.
    pub(crate) fn run_with(&self, source: Source) -> String {
        self.core.set_source(source);
        self.run(Machine::trace)
    }

    /// What `read` sees at the ends of all interleavings.
    pub(crate) fn explore<T: Ord>(&self, read: impl Fn(&Machine, &Outcome) -> T) -> Explored<T> {
        explore(&self.core, || self.run(&read))
    }

    /// The traces of all interleavings.
    pub(crate) fn traces(&self) -> Explored<String> {
        self.explore(Machine::trace)
    }

    /// The traces of all interleavings, each cut off after `bound` steps: for tasks that could preempt
    /// each other again and again.
    pub(crate) fn traces_within(&self, bound: u64) -> Explored<String> {
        explore(&self.core, || self.run_at_most(bound, Machine::trace))
    }
}

impl<'m> Platform<'m> for Machine {
    fn interrupt(&'m self, cpu: Cpu<'m>, vector: Vector) -> BoxFuture<'m> {
        if vector != RCU {
            return (self.on_interrupt)(self, cpu, vector);
        }
        for callback in self.core.rcu.take_done(cpu.id) {
            assert_eq!(callback.cpu, cpu.id, "{callback:?} came back on another CPU");
            self.say(format!("callback{}", callback.token));
        }
        Box::pin(async {})
    }

    fn switch_to(&'m self, cpu: Cpu<'m>, next: TaskId) -> Option<BoxFuture<'m>> {
        (self.on_switch)(self, cpu, next)
    }

    fn rcu_vector(&self) -> Vector {
        RCU
    }
}

/// Keeps all events of a run.
#[derive(Default)]
pub(crate) struct Log(RefCell<Vec<(CpuId, Event)>>);

impl Log {
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    pub(crate) fn events(&self) -> Vec<(CpuId, Event)> {
        self.0.borrow().clone()
    }
}

impl Observer for Log {
    fn observe(&self, _: &Core, cpu: CpuId, event: Event) {
        self.0.borrow_mut().push((cpu, event));
    }
}

/// The outcomes of all interleavings of a program.
pub(crate) struct Explored<T> {
    /// Number of interleavings.
    pub(crate) runs: usize,
    /// Each outcome, with the decisions that first led to it.
    pub(crate) reached: BTreeMap<T, String>,
}

/// Goes through all interleavings, depth first. Each run repeats the decisions of the run before, up to the last decision
/// that has an answer left. There it takes the next answer.
pub(crate) fn explore<T: Ord>(core: &Core, mut run: impl FnMut() -> T) -> Explored<T> {
    core.keep_decisions(true);
    let mut explored = Explored { runs: 0, reached: BTreeMap::new() };
    let mut prefix = Vec::new();
    loop {
        core.set_source(Source::Replay(Replay::lenient(prefix.clone())));
        let outcome = run();
        explored.runs += 1;
        assert!(explored.runs < TOO_MANY, "more than {TOO_MANY} interleavings");
        let decisions = core.decisions();
        assert!(
            answers(&decisions).starts_with(&prefix),
            "the same decisions led elsewhere: {}",
            show(&decisions)
        );
        explored.reached.entry(outcome).or_insert_with(|| show(&decisions));
        let Some(last) = decisions.iter().rposition(|decision| decision.chosen + 1 < decision.of) else {
            return explored;
        };
        prefix = answers(&decisions[..=last]);
        prefix[last].0 += 1;
    }
}

/// Decisions as [`Replay`] takes them.
pub(crate) fn answers(decisions: &[Decision]) -> Vec<(u32, u32)> {
    decisions.iter().map(|decision| (decision.chosen, decision.of)).collect()
}

fn show(decisions: &[Decision]) -> String {
    decisions.iter().map(Decision::to_string).collect::<Vec<_>>().join(", ")
}

impl<T: Ord + Debug> Explored<T> {
    /// Each of `expected` is reached, and nothing else.
    #[track_caller]
    pub(crate) fn is_exactly<E: Into<T>>(&self, what: &str, expected: impl IntoIterator<Item = E>) {
        let expected: std::collections::BTreeSet<T> = expected.into_iter().map(Into::into).collect();
        let mut wrong = String::new();
        for (outcome, schedule) in self.reached.iter().filter(|(outcome, _)| !expected.contains(outcome)) {
            wrong.push_str(&format!("\n  impossible, but reached: {outcome:?}, by [{schedule}]"));
        }
        for outcome in expected.iter().filter(|&outcome| !self.reached.contains_key(outcome)) {
            wrong.push_str(&format!("\n  possible, but not reached: {outcome:?}"));
        }
        assert!(wrong.is_empty(), "{what}: in {} interleavings{wrong}", self.runs);
    }

    /// No outcome is `bad`.
    #[track_caller]
    pub(crate) fn never(&self, what: &str, bad: impl Fn(&T) -> bool) {
        if let Some((outcome, schedule)) = self.reached.iter().find(|(outcome, _)| bad(outcome)) {
            panic!("{what}: {outcome:?} is reached by [{schedule}]");
        }
    }

    /// Some outcome is `good`.
    #[track_caller]
    pub(crate) fn sometimes(&self, what: &str, good: impl Fn(&T) -> bool) {
        let reached: Vec<_> = self.reached.keys().collect();
        assert!(reached.iter().any(|outcome| good(outcome)), "{what}: only {reached:?} are reached");
    }
}

/// Whether a trace says `words` in this order, whatever it says between them.
pub(crate) fn in_order(trace: &str, words: &[&str]) -> bool {
    let mut said = trace.split(' ');
    words.iter().all(|word| said.any(|s| s == *word))
}
