//! The first steps of a search in all their orders, and the subtrees that follow.
//!
//! In each state less than `depth` steps from the start, every lane is tried that does not sleep, not only those
//! that some race asks for. So no race later on can ask for more up there, and what follows each of the states
//! at that depth is a *subtree* that nobody else has a say in: whoever does it, whenever, comes to the same.
//! What sleeps in a subtree is tried wholly in another.
//!
//! Lanes that no race would have asked for cost little: all that they lead to is asleep sooner or later, and is
//! given up. Where the machine is watched for everything it may do, no subtree can have the search begin anew.

use super::Search;
use super::lanes::Lanes;
use super::node::Left;
use super::unit::Unit;
use crate::footprint::Sees;

/// A part of a search that is done by itself: what follows the first steps of a schedule.
#[derive(Clone, Debug)]
pub struct Subtree {
    /// Answers of the steps that lead to its first state.
    answers: Vec<(u32, u32)>,
    /// How many steps that are.
    depth: usize,
    /// What is to be tried in its first state.
    left: Left,
}

/// A search for subtrees.
pub(super) struct Frontier {
    pub(super) depth: usize,
    subtrees: Vec<Subtree>,
    /// The last run came to one.
    is_there: bool,
}

impl Subtree {
    /// The unit of its first state, and nothing above that state to be tried by anybody.
    pub(super) fn unit(&self, budget: u64) -> Unit {
        Unit {
            answers: self.answers.clone(),
            known: vec![Lanes::ALL; self.depth],
            left: Some(self.left.clone()),
            sees: Sees::ALL,
            budget,
        }
    }

    /// How many steps lead to it.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }
}

impl Search {
    /// Begins to look for the subtrees so many steps from the start; what was there before is forgotten. A run that
    /// comes to one is given up.
    pub fn seek(&mut self, depth: usize) {
        self.clear();
        (self.sees, self.runs, self.more) = (Sees::ALL, 0, true);
        (self.unit, self.known, self.is_first) = (None, Vec::new(), true);
        self.frontier = Some(Frontier { depth, subtrees: Vec::new(), is_there: false });
    }

    /// The subtrees that were found. To be asked when there are no more runs.
    pub fn take_subtrees(&mut self) -> Vec<Subtree> {
        self.frontier.take().map_or_else(Vec::new, |frontier| frontier.subtrees)
    }

    /// Whether the last run came to a subtree: it counts for nothing.
    pub fn is_at_frontier(&self) -> bool {
        self.frontier.as_ref().is_some_and(|frontier| frontier.is_there)
    }

    /// A run starts.
    pub(super) fn leave_frontier(&mut self) {
        if let Some(frontier) = &mut self.frontier {
            frontier.is_there = false;
        }
    }

    /// Hands over the last node, if a subtree begins there.
    pub(super) fn ends_at_frontier(&mut self) -> bool {
        let Some(frontier) = &mut self.frontier else { return false };
        frontier.is_there = self.path.nodes.len() == frontier.depth + 1;
        if frontier.is_there {
            let answers = self.path.way().to_vec();
            frontier.subtrees.extend(self.path.left(false).map(|left| Subtree {
                answers,
                depth: frontier.depth,
                left,
            }));
            self.path.pop();
        }
        frontier.is_there
    }
}
