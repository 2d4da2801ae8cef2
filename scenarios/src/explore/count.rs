//! Which pieces of a search count, and the sum of them.
//!
//! A piece is some runs of one subtree, which count together or not at all. Subtrees have an order, and so have the pieces
//! of each. They count in that order, up to the first that reaches the goal, and as long as the budget allows. So it makes
//! no difference which thread did a piece, or when.

use sim_core::systematic::Tally;

use super::extent::{Bounds, Extent};

/// A search for all schedules tells how far it is in this many parts. It can only guess.
pub const WHOLE_SEARCH: u64 = 10_000;

/// The largest number of runs of a piece.
pub(super) const UNIT: u64 = 1_024;

/// Says which pieces count, and adds them up. The pieces must be shown to it in their order.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    budget: u64,
    /// The number of subtrees that have pieces. The part before all subtrees counts as one.
    subtrees: u64,
    runs: u64,
    tally: Tally,
    /// Subtrees that are done.
    done: u64,
    /// How much of the next one is done.
    partly: u64,
    is_over: bool,
}

impl Count {
    /// A count for a budget of so many runs.
    pub fn new(budget: u64, subtrees: u64) -> Count {
        Count { budget, subtrees, runs: 0, tally: Tally::default(), done: 0, partly: 0, is_over: subtrees == 0 }
    }

    /// Whether the next piece counts: its runs, whether it reaches the goal, how it ended and how far its subtree is.
    pub fn takes(&mut self, runs: u64, reaches: bool, tally: Tally, progress: u64) -> bool {
        self.is_over |= self.runs + runs > self.budget;
        if self.is_over {
            return false;
        }
        self.runs += runs;
        self.tally.add(tally);
        let is_last = progress == WHOLE_SEARCH;
        (self.done, self.partly) = (self.done + u64::from(is_last), if is_last { 0 } else { progress });
        self.is_over = reaches || self.done == self.subtrees;
        true
    }

    /// Whether no further piece counts.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Runs that count.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// About which part of the search counts, from 0 to 1.
    pub fn progress(&self) -> f64 {
        let all = (self.subtrees * WHOLE_SEARCH).max(1);
        (self.done * WHOLE_SEARCH + self.partly) as f64 / all as f64
    }

    /// How much of the whole search that is.
    pub fn extent(&self) -> Extent {
        let bounds = Bounds { tally: self.tally, preemptions: None };
        if self.done == self.subtrees && self.tally.cut == 0 {
            Extent::Verified(bounds)
        } else {
            Extent::Cut { bounds, progress: self.progress() }
        }
    }
}
