//! Reports of outcomes: for people, for the kernel's tools, for CI servers, and for programs.

mod json;
mod junit;
mod ktap;
mod text;

pub use json::{Json, JsonLines};
pub use junit::Junit;
pub use ktap::Ktap;
pub use text::Text;

use super::outcome::{Outcome, Status, Totals};
use super::plan::{Group, Item, Plan};

/// A format. It hears of every item in the order of the plan, and answers the text that must be written then.
pub trait Report {
    /// The outcome of an item is known.
    fn item(&mut self, at: At<'_>, outcome: &Outcome) -> String;
    /// All outcomes are known.
    fn end(&mut self, totals: &Totals) -> String;
}

/// The place of an item in the plan.
#[derive(Clone, Copy, Debug)]
pub struct At<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// The group, from 0.
    pub group: usize,
    /// The item in the group, from 0.
    pub item: usize,
}

impl<'p> At<'p> {
    /// All places of a plan, in order.
    pub fn all(plan: &'p Plan) -> impl Iterator<Item = At<'p>> {
        let places =
            move |(group, of): (usize, &'p Group)| (0..of.items.len()).map(move |item| At { plan, group, item });
        plan.groups.iter().enumerate().flat_map(places)
    }

    fn group(&self) -> &'p Group {
        &self.plan.groups[self.group]
    }

    fn name(&self) -> &'p Item {
        &self.group().items[self.item]
    }

    fn is_first(&self) -> bool {
        self.item == 0
    }

    fn is_last(&self) -> bool {
        self.item + 1 == self.group().items.len()
    }
}

/// The word for a status that programs read.
fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::ExpectedFailure => "expected-failure",
        Status::UnexpectedPass => "unexpected-pass",
        Status::Inconclusive => "inconclusive",
        Status::Error => "error",
        Status::Skipped => "skipped",
        Status::NotReached => "not-reached",
        Status::Elsewhere => "elsewhere",
    }
}
