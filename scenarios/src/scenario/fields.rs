//! The sections of a scenario file.
//!
//! What has errors stands in the result with an empty name, which validation passes over.

use super::case;
use super::config;
use super::decode::{Node, Tags};
use super::op;
use super::suggest::quote;
use super::{Check, History, KernelSpec, MachineSpec, Op, Process, Scenario, Thread};

const SCENARIO: &[&str] =
    &["name", "about", "history", "machine", "kernel", "processes", "threads", "checks", "cases"];

/// The most CPUs of a machine.
pub(super) const MAX_CPUS: u8 = 16;

/// The whole file.
pub(super) fn scenario(node: &Node<'_>) -> Scenario {
    let mut scenario = Scenario {
        name: String::new(),
        about: String::new(),
        history: History::default(),
        machine: MachineSpec::default(),
        kernel: KernelSpec::default(),
        processes: Vec::new(),
        threads: Vec::new(),
        checks: Vec::new(),
        cases: Vec::new(),
    };
    let Some(fields) = node.object(SCENARIO) else {
        return scenario;
    };
    scenario.name = fields.required("name", words).unwrap_or_default();
    scenario.about = fields.required("about", Node::text).unwrap_or_default();
    scenario.history = fields.optional("history", history).flatten().unwrap_or_default();
    scenario.kernel = fields.optional("kernel", config::kernel).flatten().unwrap_or_default();
    let processes = fields.required("processes", |node| each(node, process));
    let threads = fields.required("threads", threads);
    if processes.is_none() || threads.is_none() {
        node.forgive();
    }
    (scenario.processes, scenario.threads) = (processes.unwrap_or_default(), threads.unwrap_or_default());
    scenario.checks = fields.optional("checks", |node| each(node, check)).flatten().unwrap_or_default();
    scenario.cases = fields.optional("cases", |node| each(node, case::case)).flatten().unwrap_or_default();
    let (cpus, change) = fields.optional("machine", config::machine).flatten().unwrap_or_default();
    let used = scenario.threads.iter().map(|thread| usize::from(thread.cpu) + 1).max();
    scenario.machine = MachineSpec::default().changed(&change);
    scenario.machine.cpus = cpus.or(used).unwrap_or(1);
    scenario
}

/// Lower-case words joined by hyphens.
fn words(node: &Node<'_>) -> Option<String> {
    let text = node.string()?;
    let good = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if text.split('-').all(good) && text.len() <= 64 {
        return Some(text.to_owned());
    }
    let help = "lower-case letters and digits, in words joined by single hyphens, at most 64 in all".to_owned();
    node.error_with_help(format!("{} is not the name of a scenario", quote(text)), Some(help));
    None
}

fn history(node: &Node<'_>) -> Option<History> {
    let fields = node.object(&["commits", "release", "cve"])?;
    Some(History {
        commits: fields.optional("commits", |node| node.list(Node::text)).flatten().unwrap_or_default(),
        release: fields.optional("release", Node::text).flatten(),
        cve: fields.optional("cve", Node::text).flatten(),
    })
}

/// One result for each element of an array, so that the places in the list are those in the file.
fn each<T>(node: &Node<'_>, decode: impl Fn(&Node<'_>) -> T) -> Option<Vec<T>> {
    Some(node.items()?.iter().map(decode).collect())
}

fn process(node: &Node<'_>) -> Process {
    let mut process = Process { name: String::new(), setup: Vec::new() };
    if let Some(fields) = node.object(&["name", "setup"]) {
        process.name = fields.required("name", Node::name).unwrap_or_default();
        process.setup = fields.optional("setup", operations).flatten().unwrap_or_default();
    }
    if process.name.is_empty() {
        node.forgive();
    }
    process
}

fn threads(node: &Node<'_>) -> Option<Vec<Thread>> {
    let idle = |thread: &Node<'_>| thread.peek("run").is_some_and(|run| run.is_empty_array());
    if node.items()?.iter().all(idle) {
        node.error("no thread has an operation");
    }
    each(node, thread)
}

fn thread(node: &Node<'_>) -> Thread {
    let mut thread = Thread { name: String::new(), process: String::new(), cpu: 0, run: Vec::new() };
    if let Some(fields) = node.object(&["name", "process", "cpu", "run"]) {
        thread.name = fields.required("name", Node::name).unwrap_or_default();
        thread.process = fields.required("process", Node::text).unwrap_or_default();
        thread.cpu = fields.required("cpu", |node| node.integer(0..=MAX_CPUS - 1)).unwrap_or_default();
        thread.run = fields.required("run", operations).unwrap_or_default();
    }
    if thread.name.is_empty() {
        node.forgive();
    }
    thread
}

fn operations(node: &Node<'_>) -> Option<Vec<Op>> {
    node.list(op::op)
}

const CHECKS: &Tags<Check> = &[("value", value), ("returned", returned)];

fn check(node: &Node<'_>) -> Check {
    node.tagged("check", CHECKS).unwrap_or(Check::Value { of: String::new(), one_of: Vec::new() })
}

fn value(node: &Node<'_>) -> Option<Check> {
    let fields = node.object(&["of", "in"])?;
    let of = fields.required("of", Node::text);
    let one_of = fields.required("in", |node| some(node)?.list(op::value));
    Some(Check::Value { of: of?, one_of: one_of.unwrap_or_default() })
}

fn returned(node: &Node<'_>) -> Option<Check> {
    let fields = node.object(&["thread", "op", "in"])?;
    let thread = fields.required("thread", Node::text);
    let op = fields.required("op", |node| node.integer(0..=usize::from(u16::MAX)));
    let one_of = fields.required("in", |node| some(node)?.list(|node| node.integer(i64::MIN..=i64::MAX)));
    Some(Check::Returned { thread: thread?, op: op?, one_of: one_of.unwrap_or_default() })
}

/// An array that is not empty.
pub(super) fn some<'n, 'a>(node: &'n Node<'a>) -> Option<&'n Node<'a>> {
    if node.is_empty_array() {
        node.error("expected at least one value");
        return None;
    }
    Some(node)
}
