//! Sequences of operations, and the processes in which they run.

use std::collections::BTreeMap;

use crate::json::{Notes, quote};
use crate::operation::Statement;

/// Operations that run one after the other: a process's setup, or a thread.
pub(super) struct Sequence<'a> {
    /// The process in which they run.
    pub(super) process: &'a str,
    /// The operations.
    pub(super) statements: &'a [Statement],
}

/// The process that forks each child, by the child's name.
pub(super) type Parents<'a> = BTreeMap<&'a str, &'a str>;

/// A process, its parent, and so on. If they form a circle, the list goes around it at least once.
pub(super) fn ancestors<'a>(process: &'a str, parents: &Parents<'a>) -> Vec<&'a str> {
    let mut line = vec![process];
    while let Some(&parent) = parents.get(line[line.len() - 1])
        && line.len() <= parents.len()
    {
        line.push(parent);
    }
    line
}

/// Reports names that are given twice. Each name comes with its path.
pub(super) fn unique<'a>(kind: &str, names: impl Iterator<Item = (&'a str, String)>, notes: &Notes) {
    let mut first: BTreeMap<&str, String> = BTreeMap::new();
    for (name, path) in names.filter(|(name, _)| !name.is_empty()) {
        if let Some(first) = first.get(name) {
            let help = format!("the first is at {first}");
            notes.error(&path, format!("duplicate {kind} name {}", quote(name)), Some(help));
        } else {
            first.insert(name, path);
        }
    }
}
