//! An operation, and its place in the file.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use sim_mm::Release;

use super::{Mention, Noun, OPERATIONS, Operation, Running};
use crate::json::{Kind, Node};
use crate::stage::{Place, Task};

/// An operation, and its place in the file.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its JSON path: `threads[0].run[1]`.
    pub path: String,
    operation: Arc<dyn Operation>,
}

impl Statement {
    /// Its name in a scenario.
    pub fn tag(&self) -> &'static str {
        self.operation.tag()
    }

    /// The first release that has it, if releases differ.
    pub(crate) fn since(&self) -> Option<Release> {
        self.operation.since()
    }

    /// The path of one of its fields.
    pub(crate) fn field(&self, key: &str) -> String {
        format!("{}.{}.{key}", self.path, self.tag())
    }

    /// What each of its fields tells the rest of the scenario, by its key.
    pub(crate) fn mentions(&self) -> Vec<(&'static str, Mention<'_>)> {
        self.operation.mentions()
    }

    /// The names that it gives, each with the kind of the thing and the key of the field.
    pub(crate) fn defines(&self, noun: Noun) -> Option<(&'static str, &str)> {
        self.mentions().into_iter().find_map(|(key, mention)| match mention {
            Mention::Defines(defined, name) if defined == noun => Some((key, name)),
            _ => None,
        })
    }

    /// The names that it uses, each with the kind of the thing and the key of the field.
    pub(crate) fn uses(&self, noun: Noun) -> Option<(&'static str, &str)> {
        self.mentions().into_iter().find_map(|(key, mention)| match mention {
            Mention::Uses(used, name) if used == noun => Some((key, name)),
            _ => None,
        })
    }

    /// The page at which it begins, with the key of the field that says so.
    pub(crate) fn place(&self) -> Option<(&'static str, &Place)> {
        self.mentions().into_iter().find_map(|(key, mention)| match mention {
            Mention::At(place) => Some((key, place)),
            Mention::In(spot) => Some((key, &spot.place)),
            _ => None,
        })
    }

    /// The other places of its own process that it names, with the keys of their fields.
    pub(crate) fn other_places(&self) -> Vec<(&'static str, &Place)> {
        let places = self.mentions().into_iter().filter_map(|(key, mention)| match mention {
            Mention::At(place) => Some((key, place)),
            Mention::In(spot) => Some((key, &spot.place)),
            _ => None,
        });
        places.skip(1).collect()
    }

    /// How many pages the mapping has that it makes.
    pub(crate) fn new_pages(&self) -> Option<u64> {
        let new_pages = self.mentions().into_iter().find_map(|(_, mention)| match mention {
            Mention::NewPages(pages) => Some(pages),
            _ => None,
        });
        new_pages.or_else(|| self.pages())
    }

    /// How many pages it concerns, if it says so.
    pub(crate) fn pages(&self) -> Option<u64> {
        self.mentions().into_iter().find_map(|(_, mention)| match mention {
            Mention::Pages(pages) => Some(pages),
            _ => None,
        })
    }

    /// See [`Operation::routine`].
    pub(crate) fn routine(&self) -> Option<&'static str> {
        self.operation.routine()
    }

    /// See [`Operation::unmaps`].
    pub(crate) fn unmaps(&self) -> bool {
        self.operation.unmaps()
    }

    /// See [`Operation::replaces`].
    pub(crate) fn replaces(&self) -> Option<(Place, u64)> {
        self.operation.replaces()
    }

    /// See [`Operation::replaces_mm`].
    pub(crate) fn replaces_mm(&self) -> bool {
        self.operation.replaces_mm()
    }

    /// See [`Operation::lends_mm_to`].
    pub(crate) fn lends_mm_to(&self) -> Option<&str> {
        self.operation.lends_mm_to()
    }

    /// See [`Operation::is_last`].
    pub(crate) fn is_last(&self) -> bool {
        self.operation.is_last()
    }

    /// See [`Operation::run`].
    pub(crate) fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        self.operation.run(task)
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operation.fmt(f)
    }
}

impl Kind for Statement {
    type Value = Statement;

    /// Other operations may use what an operation with errors would have defined, and get no error for it.
    fn decode(node: &Node<'_>) -> Option<Statement> {
        let tags: Vec<_> = OPERATIONS.iter().map(|row| (row.tag, row.read)).collect();
        let operation = node.tagged("operation", &tags);
        if operation.is_none() {
            node.forgive();
        }
        Some(Statement { path: node.path().to_owned(), operation: operation?.into() })
    }

    fn schema() -> Value {
        serde_json::json!({ "$ref": "#/$defs/operation" })
    }
}
