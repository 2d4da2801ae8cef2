//! Rules between the parts of a scenario. For example, a thread may only name a process that exists. Errors are
//! noted beside those of decoding.

use std::collections::BTreeMap;

use super::sequence::{Parents, Sequence, ancestors, unique};
use super::{Check, Scenario, Thread, mappings};
use crate::json::{Notes, counted, did_you_mean, quote};
use crate::operation::{Mention, Noun};

/// Checks a scenario that was decoded, perhaps with errors.
pub(super) fn validate(scenario: &Scenario, notes: &Notes) {
    let sequences: Vec<Sequence<'_>> = (scenario.processes.iter())
        .map(|process| Sequence { process: &process.name, statements: &process.setup })
        .chain(
            scenario.threads.iter().map(|thread| Sequence { process: &thread.process, statements: &thread.run }),
        )
        .collect();
    let parents = processes(scenario, &sequences, notes);
    threads(scenario, &parents, notes);
    for sequence in &sequences {
        pins(sequence, notes);
        values(sequence, notes);
        exit_is_last(sequence, notes);
    }
    lent_memory(scenario, notes);
    shared(&sequences, Noun::Pipe, "pipe", notes);
    shared(&sequences, Noun::Ring, "ring", notes);
    shared(&sequences, Noun::File, "file", notes);
    shared(&sequences, Noun::Driver, "driver", notes);
    other_processes(scenario, &sequences, &parents, notes);
    checks(scenario, &sequences, notes);
    unique("case", scenario.cases.iter().enumerate().map(|(i, c)| (&*c.name, format!("cases[{i}].name"))), notes);
    mappings::validate(scenario, &sequences, &parents, notes);
}

/// Reports a name that is not among those that are defined.
pub(super) fn known<'a>(
    kind: &str,
    name: &str,
    path: impl FnOnce() -> String,
    mut defined: impl Iterator<Item = &'a str> + Clone,
    notes: &Notes,
) {
    if !defined.clone().any(|other| other == name) && !notes.forgives(name) {
        let help = did_you_mean(name, defined.by_ref());
        notes.error(&path(), format!("unknown {kind} {}", quote(name)), help);
    }
}

/// The names of processes are unique, both of those that are given and of those that are forked. Returns which process
/// forks which.
fn processes<'a>(scenario: &'a Scenario, sequences: &[Sequence<'a>], notes: &Notes) -> Parents<'a> {
    let mut parents = Parents::new();
    let mut forked = Vec::new();
    for Sequence { process, statements } in sequences {
        for statement in *statements {
            if let Some((key, name)) = statement.defines(Noun::Process) {
                forked.push((name, statement.field(key)));
                parents.entry(name).or_insert(*process);
            }
        }
    }
    let given = (scenario.processes.iter().enumerate()).map(|(i, p)| (&*p.name, format!("processes[{i}].name")));
    unique("process", given.chain(forked), notes);
    for process in &scenario.processes {
        parents.remove(&*process.name);
    }
    parents
}

fn threads(scenario: &Scenario, parents: &Parents<'_>, notes: &Notes) {
    let names = scenario.threads.iter().enumerate().map(|(i, t)| (&*t.name, format!("threads[{i}].name")));
    unique("thread", names, notes);
    let given = || scenario.processes.iter().map(|process| &*process.name);
    for (i, thread) in scenario.threads.iter().enumerate() {
        let path = || format!("threads[{i}].process");
        known("process", &thread.process, path, given().chain(parents.keys().copied()), notes);
        if let Some(ancestor) = ancestors(&thread.process, parents).last()
            && parents.contains_key(ancestor)
        {
            let message =
                format!("process {} never starts: it is forked by its own child", quote(&thread.process));
            notes.error(&path(), message, None);
        }
        if let Some(after) = &thread.after {
            let path = || format!("threads[{i}].after");
            known("thread", after, path, scenario.threads.iter().map(|thread| &*thread.name), notes);
            if comes_after_itself(scenario, thread) {
                let message = format!("thread {} never begins: it comes after itself", quote(&thread.name));
                notes.error(&path(), message, None);
            }
        }
        let (cpu, cpus) = (usize::from(thread.cpu), scenario.machine.cpus);
        if cpu >= cpus {
            let message = format!("CPU {cpu} does not exist: the machine has {}", counted(cpus as u64, "CPU"));
            notes.error(&format!("threads[{i}].cpu"), message, Some("CPUs count from 0".to_owned()));
        }
    }
}

fn comes_after_itself(scenario: &Scenario, thread: &Thread) -> bool {
    let named = |name: &str| scenario.threads.iter().find(|other| other.name == name);
    let before = |thread: &&Thread| thread.after.as_deref().and_then(named);
    std::iter::successors(before(&thread), before)
        .take(scenario.threads.len())
        .any(|other| other.name == thread.name)
}

/// A pin is used only after the operation that takes it, in the same sequence.
fn pins(sequence: &Sequence<'_>, notes: &Notes) {
    let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
    for statement in sequence.statements {
        if let Some((_, name)) = statement.defines(Noun::Pin) {
            taken.insert(name, statement.pages().unwrap_or(1));
        }
        let Some((pin_key, pin)) = statement.uses(Noun::Pin) else { continue };
        known("pin", pin, || statement.field(pin_key), taken.keys().copied(), notes);
        let Some(&pages) = taken.get(pin) else { continue };
        for (key, mention) in statement.mentions() {
            if let Mention::Page(page) = mention
                && page >= pages
            {
                let message =
                    format!("page {page} is outside of pin {}, which has {}", quote(pin), counted(pages, "page"));
                // Page 0 may be the one that is meant if none is named, and then the field is not there.
                let key = if page == 0 { pin_key } else { key };
                notes.error(&statement.field(key), message, None);
            }
        }
    }
}

/// A value is used only after the operation that reads it, in the same sequence.
fn values(sequence: &Sequence<'_>, notes: &Notes) {
    let mut read = Vec::new();
    for statement in sequence.statements {
        if let Some((key, value)) = statement.uses(Noun::Value) {
            known("value", value, || statement.field(key), read.iter().copied(), notes);
        }
        read.extend(statement.defines(Noun::Value).map(|(_, name)| name));
    }
}

fn exit_is_last(sequence: &Sequence<'_>, notes: &Notes) {
    for (statement, next) in sequence.statements.iter().zip(sequence.statements.iter().skip(1)) {
        if statement.is_last() {
            notes.error(&next.path, format!("nothing can run after `{}`", statement.tag()), None);
        }
    }
}

/// Who lends its memory to a child sleeps until the child gives it back. A thread of the child has to do that.
fn lent_memory(scenario: &Scenario, notes: &Notes) {
    let in_setup: Vec<&str> = scenario.processes.iter().flat_map(|p| &p.setup).map(|s| &*s.path).collect();
    for statement in scenario.statements() {
        let Some(child) = statement.lends_mm_to() else { continue };
        let tag = statement.tag();
        if in_setup.contains(&&*statement.path) {
            let message = format!("`{tag}` never returns in a setup: no thread of the child runs there");
            notes.error(&statement.path, message, None);
        } else if !child.is_empty() && !scenario.threads.iter().any(|thread| thread.process == child) {
            let message = format!("`{tag}` never returns: process {} has no thread", quote(child));
            let help = "the child has to run `exec` or `exit`".to_owned();
            notes.error(&statement.path, message, Some(help));
        }
    }
}

/// A pipe, a ring or a file is there for all threads, if any operation fills or makes it.
fn shared(sequences: &[Sequence<'_>], noun: Noun, kind: &str, notes: &Notes) {
    let statements = || sequences.iter().flat_map(|sequence| sequence.statements);
    let filled: Vec<&str> = statements().filter_map(|statement| Some(statement.defines(noun)?.1)).collect();
    for statement in statements() {
        if let Some((key, name)) = statement.uses(noun) {
            known(kind, name, || statement.field(key), filled.iter().copied(), notes);
        }
    }
}

/// An operation on another process names a process that exists at some time.
fn other_processes(scenario: &Scenario, sequences: &[Sequence<'_>], parents: &Parents<'_>, notes: &Notes) {
    let given = || scenario.processes.iter().map(|process| &*process.name);
    for statement in sequences.iter().flat_map(|sequence| sequence.statements) {
        if let Some((key, process)) = statement.uses(Noun::Process) {
            known("process", process, || statement.field(key), given().chain(parents.keys().copied()), notes);
        }
    }
}

fn checks(scenario: &Scenario, sequences: &[Sequence<'_>], notes: &Notes) {
    let mut values = Vec::new();
    for statement in sequences.iter().flat_map(|sequence| sequence.statements) {
        if let Some((key, name)) = statement.defines(Noun::Value) {
            values.push((name, statement.field(key)));
        }
    }
    values.extend(scenario.finals.iter().enumerate().map(|(i, last)| (&*last.name, format!("final[{i}].as"))));
    for (i, check) in scenario.checks.iter().enumerate() {
        let of_values = |of: &[(String, u64)], field: &str| {
            for (name, _) in of {
                let names = values.iter().map(|(name, _)| *name);
                known("value", name, || format!("checks[{i}].{field}.{name}"), names, notes);
            }
        };
        match check {
            Check::Value { of, .. } => {
                let names = values.iter().map(|(name, _)| *name);
                known("value", of, || format!("checks[{i}].value.of"), names, notes);
            }
            Check::Never { together } => of_values(together, "never.values"),
            Check::Exists { together } => of_values(together, "exists.values"),
            Check::Implies { given, then } => {
                of_values(given, "implies.if");
                of_values(then, "implies.then");
            }
            Check::Returned { thread, op, .. } => {
                let names = scenario.threads.iter().map(|thread| &*thread.name);
                known("thread", thread, || format!("checks[{i}].returned.thread"), names, notes);
                if let Some(place) = scenario.threads.iter().position(|other| other.name == *thread)
                    && notes.has(&format!("threads[{place}].run"))
                    && !notes.has(&format!("threads[{place}].run[{op}]"))
                {
                    let message = format!("thread {} has no operation {op}", quote(thread));
                    let help = "operations count from 0".to_owned();
                    notes.error(&format!("checks[{i}].returned.op"), message, Some(help));
                }
            }
        }
    }
    unique("value", values.into_iter(), notes);
}
