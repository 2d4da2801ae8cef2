//! The scenario: the contents of a JSON file, checked and with its names resolved.

mod case;
mod config;
mod document;
mod fields;
mod load;
mod mappings;
mod schema;
mod section;
mod sequence;
mod spec;
mod validate;

pub use document::document;
pub(crate) use load::RECORD;
pub use load::load;
pub use schema::schema;
pub use spec::{KernelSpec, MachineChange, MachineSpec};

use std::sync::Arc;

use crate::json::Source;
pub use crate::json::{LoadError, LoadErrors};
use crate::operation::{Noun, Statement};
use crate::stage::{EntryFlag, Spot};

/// A scenario file.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// Its name: lower-case words joined by hyphens.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub about: String,
    /// Where the race comes from.
    pub history: History,
    /// The machine.
    pub machine: MachineSpec,
    /// The kernel.
    pub kernel: KernelSpec,
    /// Processes with the operations that set them up, run one after the other before every schedule.
    pub processes: Vec<Process>,
    /// Threads, run by the schedule.
    pub threads: Vec<Thread>,
    /// Values of memory to look at when a run has ended.
    pub finals: Vec<Final>,
    /// What must hold when a run has ended.
    pub checks: Vec<Check>,
    /// Variants with what is expected of each.
    pub cases: Vec<Case>,
    /// Where all of it stands.
    source: Arc<Source>,
}

impl Scenario {
    /// An error at a path of the file.
    pub(crate) fn error(&self, path: &str, message: String) -> LoadErrors {
        self.source.error(path, message)
    }

    /// Every operation: of the set-up of each process, then of each thread.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        let setup = self.processes.iter().flat_map(|process| &process.setup);
        setup.chain(self.threads.iter().flat_map(|thread| &thread.run))
    }
}

/// Where a race comes from.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Commits that brought or fixed it.
    pub commits: Vec<String>,
    /// The release that brought it.
    pub since: Option<String>,
    /// The release of the fix, or of the safeguard.
    pub release: Option<String>,
    /// Its CVE.
    pub cve: Option<String>,
}

impl History {
    /// Whether anything is told.
    pub fn is_known(&self) -> bool {
        let told = [&self.since, &self.release, &self.cve];
        !self.commits.is_empty() || told.iter().any(|part| part.is_some())
    }
}

/// A process that exists when the schedules start.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// What it does before.
    pub setup: Vec<Statement>,
}

/// A thread of a schedule.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// The process whose memory it runs in: one of [`Scenario::processes`], or one that a `fork` names.
    pub process: String,
    /// Where it runs.
    pub cpu: u8,
    /// The thread that has to end before it begins.
    pub after: Option<String>,
    /// What it does.
    pub run: Vec<Statement>,
}

/// A value of memory when all threads have ended.
#[derive(Clone, Debug)]
pub struct Final {
    /// Its name in checks.
    pub name: String,
    /// The process whose memory it is.
    pub process: String,
    /// Where.
    pub(crate) at: Spot,
    /// The flag of the page's entry, if the value is such a flag and no memory.
    pub(crate) flag: Option<EntryFlag>,
}

impl Scenario {
    /// The names of all values that a run may have: those that operations of threads read, then those of memory at the end.
    pub fn values(&self) -> Vec<&str> {
        let read = self.threads.iter().flat_map(|thread| &thread.run);
        let read = read.filter_map(|statement| Some(statement.defines(Noun::Value)?.1));
        read.chain(self.finals.iter().map(|last| &*last.name)).collect()
    }
}

/// What must hold when a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A value that an operation read is one of these (if the operation was reached).
    Value {
        /// The `as` of the operation.
        of: String,
        /// The allowed values.
        one_of: Vec<u64>,
    },
    /// What an operation returned is one of these: a count, or a negative errno.
    Returned {
        /// The thread.
        thread: String,
        /// The operation's place in its `run`.
        op: usize,
        /// The allowed values.
        one_of: Vec<i64>,
    },
    /// These values do not come together in one run.
    Never {
        /// Their names, each with its value. No run may have all of them.
        together: Vec<(String, u64)>,
    },
    /// These values come together in some run. This is judged on all runs together, and on none by itself.
    Exists {
        /// Their names, each with its value. Some run must have all of them.
        together: Vec<(String, u64)>,
    },
    /// If the first are so in a run, the others are so as well.
    Implies {
        /// The condition.
        given: Vec<(String, u64)>,
        /// What follows from it.
        then: Vec<(String, u64)>,
    },
}

/// A check with errors.
impl Default for Check {
    fn default() -> Check {
        Check::Value { of: String::new(), one_of: Vec::new() }
    }
}

/// A variant of the scenario, with what is expected of it.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// What it shows, if the name does not say it all.
    pub about: Option<String>,
    /// What it changes of the kernel; its lists add to the scenario's.
    pub kernel: KernelSpec,
    /// What it changes of the machine.
    pub machine: MachineChange,
    /// How it is explored.
    pub explore: ExploreSpec,
    /// What is expected.
    pub expect: Expect,
}

/// How a case is explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExploreSpec {
    /// Whether somebody chose how it is explored, or how much. If nobody did, a small scenario is searched completely.
    pub chosen: bool,
    /// The strategy.
    pub strategy: StrategyName,
    /// Runs at the most; the runner's default if not given.
    pub runs: Option<u64>,
    /// The most preemptions of a schedule, if every schedule is wanted; any number if not given.
    pub preemptions: Option<u32>,
}

/// A strategy, as a scenario or the command line names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StrategyName {
    /// `portfolio`: PCT 2 and 3, POS and sticky in turn.
    #[default]
    Portfolio,
    /// `random`.
    Random,
    /// `sticky`.
    Sticky,
    /// `pct`: depth 3.
    Pct,
    /// `pos`.
    Pos,
    /// `timed`: the CPU with the earliest clock goes next.
    Timed,
    /// `exhaustive`: one schedule of every trace.
    Exhaustive,
    /// `states`: every schedule, as far as it leads to new states.
    States,
}

impl StrategyName {
    /// Whether it is a search for all schedules, not a sample.
    pub fn is_exhaustive(self) -> bool {
        matches!(self, StrategyName::Exhaustive | StrategyName::States)
    }
}

/// What is expected of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// No oracle finds anything.
    #[default]
    NoViolation,
    /// One of these oracles finds something, in this routine if one is named.
    Violation {
        /// Oracle ids.
        any_of: Vec<String>,
        /// The routine.
        routine: Option<String>,
    },
}
