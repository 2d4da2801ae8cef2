//! The first steps of a search in all their orders, and the subtrees that follow.
//!
//! In each state less than `depth` steps from the start, every lane is tried that does not sleep, not only those
//! that some race asks for. So no race later on can ask for more up there, and what follows each of the states
//! at that depth is a *subtree* that nobody else has a say in: whoever does it, whenever, comes to the same.
//! What sleeps in a subtree is tried wholly in another.
//!
//! Lanes that no race would have asked for cost little: all that they lead to is asleep sooner or later, and is
//! given up. Where the machine is watched for everything it may do, no subtree can have the search begin anew.

use super::node::{Left, Path};

/// A part of a search that is done by itself: what follows the first steps of a schedule.
#[derive(Clone, Debug)]
pub struct Subtree {
    /// Answers of the steps that lead to its first state.
    pub(super) answers: Vec<(u32, u32)>,
    /// How many steps that are.
    pub(super) depth: usize,
    /// What is to be tried in its first state.
    pub(super) left: Left,
}

/// What a search for subtrees has found.
pub(super) struct Frontier {
    pub(super) depth: usize,
    pub(super) subtrees: Vec<Subtree>,
    /// The last run came to one.
    pub(super) is_there: bool,
}

impl Frontier {
    /// Nothing yet, so many steps from the start.
    pub(super) fn new(depth: usize) -> Frontier {
        Frontier { depth, subtrees: Vec::new(), is_there: false }
    }

    /// Takes over the last node of a path, if a subtree begins there.
    pub(super) fn take(&mut self, path: &mut Path) -> bool {
        self.is_there = path.nodes.len() == self.depth + 1;
        if self.is_there {
            let (answers, depth) = (path.way().to_vec(), self.depth);
            self.subtrees.extend(path.left(false).map(|left| Subtree { answers, depth, left }));
            path.pop();
        }
        self.is_there
    }
}
