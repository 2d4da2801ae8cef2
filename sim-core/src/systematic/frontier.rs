//! The first steps of a search in all their orders, and the subtrees that follow.
//!
//! In each state less than `depth` steps from the start, every lane is tried that does not sleep, and not only the
//! lanes that some race asks for. So no later race can ask for more there. All schedules that follow a state at that
//! depth are a *subtree*. Nothing outside a subtree changes what is tried in it. So each subtree can be done by anybody
//! at any time, with the same result. A lane that sleeps in a subtree is tried completely in another subtree.
//!
//! The lanes that no race would have asked for cost little. Everything that follows them is asleep sooner or later, and
//! then the run is given up. Each step is watched for interrupts and grace periods from the start. So no subtree can
//! make the search begin anew.

use super::node::{Left, Path};

/// A part of a search that is done by itself: all schedules that begin with the same first steps.
#[derive(Clone, Debug)]
pub struct Subtree {
    /// Answers of the steps that lead to its first state.
    pub(super) answers: Vec<(u32, u32)>,
    /// The number of these steps.
    pub(super) depth: usize,
    /// What is to be tried in its first state.
    pub(super) left: Left,
}

/// What a search for subtrees has found.
pub(super) struct Frontier {
    pub(super) depth: usize,
    pub(super) subtrees: Vec<Subtree>,
    /// The last run came to a subtree.
    pub(super) is_there: bool,
}

impl Frontier {
    /// No subtrees yet. They will begin so many steps from the start.
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
