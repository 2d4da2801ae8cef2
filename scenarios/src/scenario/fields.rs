//! The sections of a scenario file.
//!
//! A part that has errors stands in the result with an empty name, and validation passes over it.

use serde_json::{Value, json};

use super::case::Explore;
use super::config::Machine;
use super::section::Section;
use super::spec::MAX_CPUS;
use super::{Case, Check, Final, History, KernelSpec, MachineSpec, Process, Scenario, Thread};
use crate::json::{Each, Int, Kind, List, Name, Node, NonEmpty, ObjectFacts, Text, fields, quote};
use crate::operation::{ExpectedVmaFields, OldValue, Statement, Word};
use crate::stage::{EntryFlag, Spot};

/// The objects that are declared here, for the documentation.
pub(super) const SECTIONS: &[Section] = &[
    Section { title: "The file", facts: ScenarioFields::FACTS },
    Section { title: "History", facts: HistoryFields::FACTS },
    Section { title: "Process", facts: ProcessFields::FACTS },
    Section { title: "Thread", facts: ThreadFields::FACTS },
    Section { title: "Final", facts: FinalFields::FACTS },
    Section { title: "Case", facts: CaseFields::FACTS },
    Section { title: "Expected mapping", facts: ExpectedVmaFields::FACTS },
];

fields! {
    /// A scenario: processes, threads that race, and what is expected of them.
    pub(super) struct ScenarioFields {
        /// Its name: lower-case words joined by hyphens.
        required "name" name: Words,
        /// What it shows, in a sentence or two.
        optional "about" about: Text,
        /// Where the race comes from.
        optional "history" history: History,
        /// The machine.
        optional "machine" machine: Machine,
        /// The kernel.
        optional "kernel" kernel: KernelSpec,
        /// Processes with the operations that set them up, run one after the other before every schedule.
        required "processes" processes: Each<Process>,
        /// The threads that race. The schedule decides their order.
        required "threads" threads: Threads,
        /// Values of memory, for checks. They are read when all threads have ended.
        optional "final" finals: List<Final>,
        /// What must hold when a run has ended.
        optional "checks" checks: Each<Check>,
        /// Variants with what is expected of each.
        optional "cases" cases: Each<Case>,
    }
}

/// The whole file.
pub(super) fn scenario(node: &Node<'_>) -> Scenario {
    let Some(fields) = ScenarioFields::read(node) else { return Scenario::default() };
    if fields.processes.is_none() || fields.threads.is_none() {
        node.forgive();
    }
    let threads = fields.threads.unwrap_or_default();
    let (cpus, change) = fields.machine.flatten().unwrap_or_default();
    let used = threads.iter().map(|thread| usize::from(thread.cpu) + 1).max();
    let machine = MachineSpec { cpus: cpus.or(used).unwrap_or(1), ..MachineSpec::default().changed(&change) };
    let first = fields.processes.iter().flatten().map(|process| process.name.clone()).next();
    Scenario {
        name: fields.name.unwrap_or_default(),
        about: fields.about.flatten().unwrap_or_default(),
        history: fields.history.flatten().unwrap_or_default(),
        machine,
        kernel: fields.kernel.flatten().unwrap_or_default(),
        processes: fields.processes.unwrap_or_default(),
        threads,
        finals: finals(fields.finals.flatten().unwrap_or_default(), first.as_deref()),
        checks: fields.checks.flatten().unwrap_or_default(),
        cases: fields.cases.flatten().unwrap_or_default(),
        ..Scenario::default()
    }
}

/// A value that names no process belongs to the first one.
fn finals(finals: Vec<Final>, first: Option<&str>) -> Vec<Final> {
    let named = |last: Final| match first {
        Some(first) if last.process.is_empty() => Final { process: first.to_owned(), ..last },
        _ => last,
    };
    finals.into_iter().map(named).collect()
}

/// Lower-case words joined by hyphens.
pub(super) struct Words;

/// The most characters of a scenario's name.
const MAX_WORDS: usize = 64;

impl Kind for Words {
    type Value = String;

    fn decode(node: &Node<'_>) -> Option<String> {
        let text = node.string()?;
        let good =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if text.split('-').all(good) && text.len() <= MAX_WORDS {
            return Some(text.to_owned());
        }
        let help = format!(
            "lower-case letters and digits, in words joined by single hyphens, at most {MAX_WORDS} in all"
        );
        node.error_with_help(format!("{} is not the name of a scenario", quote(text)), Some(help));
        None
    }

    fn schema() -> Value {
        let title = format!("words of lower-case letters and digits, joined by `-`, at most {MAX_WORDS} in all");
        json!({ "type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": MAX_WORDS, "title": title })
    }
}

fields! {
    /// Where a race comes from.
    struct HistoryFields {
        /// Commits that brought or fixed it.
        or (Vec::new()) "commits" commits: List<Text>,
        /// The release that brought it, if that is known.
        optional "since" since: Text,
        /// The release of the fix, or of the safeguard.
        optional "release" release: Text,
        /// Its CVE.
        optional "cve" cve: Text,
    }
}

impl Kind for History {
    type Value = History;

    fn decode(node: &Node<'_>) -> Option<History> {
        let fields = HistoryFields::read(node)?;
        Some(History {
            commits: fields.commits.unwrap_or_default(),
            since: fields.since.flatten(),
            release: fields.release.flatten(),
            cve: fields.cve.flatten(),
        })
    }

    fn schema() -> Value {
        HistoryFields::FACTS.schema()
    }
}

fields! {
    /// A process that exists when the schedules start.
    struct ProcessFields {
        /// Its name.
        required "name" name: Name,
        /// What it does before the schedules start.
        or (Vec::new()) "setup" setup: List<Statement>,
    }
}

impl Kind for Process {
    type Value = Process;

    fn decode(node: &Node<'_>) -> Option<Process> {
        let fields = ProcessFields::read(node);
        let (name, setup) = fields.map_or((None, None), |fields| (fields.name, fields.setup));
        if name.is_none() {
            node.forgive();
        }
        Some(Process { name: name.unwrap_or_default(), setup: setup.unwrap_or_default() })
    }

    fn schema() -> Value {
        ProcessFields::FACTS.schema()
    }
}

/// The threads. At least one of them must do something.
pub(super) struct Threads;

impl Kind for Threads {
    type Value = Vec<Thread>;

    fn decode(node: &Node<'_>) -> Option<Vec<Thread>> {
        let idle = |thread: &Node<'_>| thread.peek("run").is_some_and(|run| run.is_empty_array());
        if node.items()?.iter().all(idle) {
            node.error("no thread has an operation");
        }
        Each::<Thread>::decode(node)
    }

    fn schema() -> Value {
        let mut schema = Each::<Thread>::schema();
        schema["contains"] = json!({ "properties": { "run": { "minItems": 1 } } });
        schema
    }
}

fields! {
    /// A thread of a schedule.
    struct ThreadFields {
        /// Its name.
        required "name" name: Name,
        /// The process in which it runs: one of `processes`, or one that a `fork` names.
        required "process" process: Text,
        /// The CPU on which it runs, counted from 0.
        required "cpu" cpu: Int<u8, 0, { MAX_CPUS - 1 }>,
        /// A thread that must end before this one begins. Everything that it stored is visible then. None if not given.
        optional "after" after: Text,
        /// What it does.
        required "run" run: List<Statement>,
    }
}

impl Kind for Thread {
    type Value = Thread;

    fn decode(node: &Node<'_>) -> Option<Thread> {
        let thread = ThreadFields::read(node).map_or_else(Thread::default, |fields| Thread {
            name: fields.name.unwrap_or_default(),
            process: fields.process.unwrap_or_default(),
            cpu: fields.cpu.unwrap_or_default(),
            after: fields.after.flatten(),
            run: fields.run.unwrap_or_default(),
        });
        if thread.name.is_empty() {
            node.forgive();
        }
        Some(thread)
    }

    fn schema() -> Value {
        ThreadFields::FACTS.schema()
    }
}

fields! {
    /// A value of memory when all threads have ended and all stores are visible.
    struct FinalFields {
        /// Its name in checks.
        required "as" name: Name,
        /// The process whose memory it is; the first one if not given.
        optional "process" process: Text,
        /// The bytes that it is. If nothing is mapped there in the end, the run does not have the value.
        required "at" at: Spot,
        /// A flag of the entry that maps the page: 0 or 1. It is read instead of the memory.
        optional "entry" flag: EntryFlag,
    }
}

impl Kind for Final {
    type Value = Final;

    fn decode(node: &Node<'_>) -> Option<Final> {
        let fields = FinalFields::read(node)?;
        let process = fields.process?.unwrap_or_default();
        Some(Final { name: fields.name?, process, at: fields.at?, flag: fields.flag? })
    }

    fn schema() -> Value {
        FinalFields::FACTS.schema()
    }
}

fields! {
    /// A value that an operation reads must be one of these, if the run reaches the operation.
    struct ValueCheckFields {
        /// The `as` of the operation.
        required "of" of: OldValue,
        /// The allowed values.
        required "in" one_of: NonEmpty<Word>,
    }
}

fields! {
    /// The return value of an operation must be one of these: a number, or a negative errno.
    struct ReturnedCheckFields {
        /// The thread.
        required "thread" thread: Text,
        /// The operation's place in the thread's `run`, counted from 0.
        required "op" op: Int<usize, 0, { u16::MAX as i128 }>,
        /// The allowed values.
        required "in" one_of: NonEmpty<Int<i64, { i64::MIN as i128 }, { i64::MAX as i128 }>>,
    }
}

/// Values of operations by their names: `{ "r0": 0, "r1": 0 }`.
struct Values;

impl Kind for Values {
    type Value = Vec<(String, u64)>;

    fn decode(node: &Node<'_>) -> Option<Vec<(String, u64)>> {
        let members = node.members()?;
        if members.is_empty() {
            node.error("expected at least one value");
        }
        Some(members.iter().filter_map(|(name, value)| Some(((*name).to_owned(), Word::decode(value)?))).collect())
    }

    fn schema() -> Value {
        json!({
            "type": "object", "additionalProperties": Word::schema(), "minProperties": 1,
            "title": "an object of values, by the `as` of the operations that read them", "examples": [{ "seen": 0 }],
        })
    }
}

fields! {
    /// Values that must not come together in one run.
    struct NeverFields {
        /// The values, by the `as` of the operations that read them.
        required "values" together: Values,
    }
}

fields! {
    /// Values that must come together in some run. If no run of a sample has them, that may be bad luck.
    struct ExistsFields {
        /// The values, by the `as` of the operations that read them.
        required "values" together: Values,
    }
}

fields! {
    /// If some values are so in a run, others must be so as well.
    struct ImpliesFields {
        /// The condition: values by the `as` of the operations that read them.
        required "if" given: Values,
        /// The values that must follow from it.
        required "then" then: Values,
    }
}

/// A kind of check: its tag, how it is read, its fields.
pub(super) struct CheckRow {
    pub(super) tag: &'static str,
    read: fn(&Node<'_>) -> Option<Check>,
    pub(super) facts: &'static ObjectFacts,
}

/// Every kind of check.
pub(super) const CHECKS: &[CheckRow] = &[
    CheckRow { tag: "value", read: value, facts: &ValueCheckFields::FACTS },
    CheckRow { tag: "returned", read: returned, facts: &ReturnedCheckFields::FACTS },
    CheckRow { tag: "never", read: never, facts: &NeverFields::FACTS },
    CheckRow { tag: "exists", read: exists, facts: &ExistsFields::FACTS },
    CheckRow { tag: "implies", read: implies, facts: &ImpliesFields::FACTS },
];

fn never(node: &Node<'_>) -> Option<Check> {
    Some(Check::Never { together: NeverFields::read(node)?.together? })
}

fn exists(node: &Node<'_>) -> Option<Check> {
    Some(Check::Exists { together: ExistsFields::read(node)?.together? })
}

fn implies(node: &Node<'_>) -> Option<Check> {
    let fields = ImpliesFields::read(node)?;
    Some(Check::Implies { given: fields.given?, then: fields.then? })
}

fn value(node: &Node<'_>) -> Option<Check> {
    let fields = ValueCheckFields::read(node)?;
    Some(Check::Value { of: fields.of?, one_of: fields.one_of.unwrap_or_default() })
}

fn returned(node: &Node<'_>) -> Option<Check> {
    let fields = ReturnedCheckFields::read(node)?;
    Some(Check::Returned { thread: fields.thread?, op: fields.op?, one_of: fields.one_of.unwrap_or_default() })
}

impl Kind for Check {
    type Value = Check;

    fn decode(node: &Node<'_>) -> Option<Check> {
        let tags: Vec<_> = CHECKS.iter().map(|row| (row.tag, row.read)).collect();
        node.tagged("check", &tags)
    }

    fn schema() -> Value {
        let tagged = |row: &CheckRow| {
            json!({
                "type": "object", "properties": { row.tag: row.facts.schema() }, "required": [row.tag],
                "additionalProperties": false,
            })
        };
        json!({ "oneOf": CHECKS.iter().map(tagged).collect::<Vec<_>>() })
    }
}

/// The schema of a check.
pub(super) fn checks_schema() -> Value {
    Check::schema()
}

fields! {
    /// A variant of the scenario, with what is expected of it.
    struct CaseFields {
        /// Its name.
        required "name" name: Name,
        /// What it shows, if the name does not say enough.
        optional "about" about: Text,
        /// What it changes of the kernel. Its lists add to those of the scenario.
        optional "kernel" kernel: KernelSpec,
        /// What it changes of the machine.
        optional "machine" machine: super::MachineChange,
        /// How it is explored. If not given, a search of 2,000 runs comes first. If that does not come to its end, `portfolio`
        /// samples.
        optional "explore" explore: Explore,
        /// What is expected.
        required "expect" expect: super::Expect,
    }
}

impl Kind for Case {
    type Value = Case;

    fn decode(node: &Node<'_>) -> Option<Case> {
        let fields = CaseFields::read(node)?;
        Some(Case {
            name: fields.name.unwrap_or_default(),
            about: fields.about.flatten(),
            kernel: fields.kernel.flatten().unwrap_or_default(),
            machine: fields.machine.flatten().unwrap_or_default(),
            explore: fields.explore.flatten().unwrap_or_default(),
            expect: fields.expect.unwrap_or_default(),
        })
    }

    fn schema() -> Value {
        CaseFields::FACTS.schema()
    }
}
