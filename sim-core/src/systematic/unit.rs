//! A unit: a part of a search that one thread does by itself. It is what is left to try in one state and in all
//! states that follow.
//!
//! The first run of a unit is watched from its start. So the search knows the way to that state as if it had come
//! there by itself. It never goes back above that state. If a race wants another lane to be tried above it, the
//! unit reports that at its end. If the unit ends early, it hands over what is left below.

use super::frontier::{Frontier, Subtree};
use super::lanes::{Lane, Lanes};
use super::node::Left;
use super::{Search, Tally};
use crate::choice::Enabled;
use crate::footprint::Sees;

/// A part of a search that is done by itself.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The answers of the steps that lead to its state, and then of the step to go on with.
    pub(super) answers: Vec<(u32, u32)>,
    /// For each state on the way, the lanes that were tried, that will be tried, or that need not be tried.
    pub(super) known: Vec<Lanes>,
    /// What is left to try in its state. `None`, if the state is the start, which no run has seen yet.
    pub(super) left: Option<Left>,
    pub(super) sees: Sees,
    pub(super) budget: u64,
}

impl Unit {
    /// The first unit of a subtree. Nothing has to be tried above it.
    pub(super) fn of(subtree: &Subtree, budget: u64) -> Unit {
        let Subtree { answers, depth, left } = subtree;
        let (answers, known, left) = (answers.clone(), vec![Lanes::ALL; *depth], Some(left.clone()));
        Unit { answers, known, left, sees: Sees::ALL, budget }
    }

    /// The number of runs after which it ends.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Whether it begins the search.
    pub fn is_first(&self) -> bool {
        self.left.is_none()
    }
}

/// The result of a unit.
#[derive(Clone, Debug)]
pub struct Done {
    pub(super) tally: Tally,
    pub(super) runs: u64,
    pub(super) sees: Sees,
    /// The machine raised its first interrupt or began its first grace period. So the whole search has to begin anew.
    pub(super) anew: bool,
    /// The lanes to try in states above the state of the unit, by their place on the way.
    pub(super) wanted: Vec<(usize, Lanes)>,
    /// Its state, the states below it in which something is left, and the states on the way to these.
    pub(super) states: Vec<Handed>,
}

impl Done {
    /// How its schedules ended.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

/// A state whose rest another unit will do.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    /// The answers of the step that leads there from the state before.
    pub(super) step: Vec<(u32, u32)>,
    pub(super) left: Left,
    /// The lane of that step has other things to do in the state before. This state is one part of them.
    pub(super) is_part: bool,
}

impl Search {
    /// Begins to look for the subtrees that begin `depth` steps from the start. All earlier runs are forgotten. A run that
    /// comes to a subtree is given up.
    pub fn seek(&mut self, depth: usize) {
        self.clear();
        (self.sees, self.runs, self.more) = (Sees::ALL, 0, true);
        (self.unit, self.known, self.is_first) = (None, Vec::new(), true);
        self.frontier = Some(Frontier::new(depth));
    }

    /// The subtrees that were found. This is asked when there are no more runs.
    pub fn take_subtrees(&mut self) -> Vec<Subtree> {
        self.frontier.take().map_or_else(Vec::new, |frontier| frontier.subtrees)
    }

    /// Whether the last run came to a subtree. Such a run is not counted.
    pub fn is_at_frontier(&self) -> bool {
        self.frontier.as_ref().is_some_and(|frontier| frontier.is_there)
    }

    /// Takes up a unit. All earlier runs are forgotten.
    pub fn begin(&mut self, unit: Unit) {
        self.clear();
        (self.sees, self.runs, self.more) = (unit.sees, 0, true);
        self.path.answers.clone_from(&unit.answers);
        self.known.clone_from(&unit.known);
        self.is_first = unit.is_first();
        self.frontier = None;
        self.unit = (!unit.is_first()).then_some(unit);
    }

    /// Decides on the step from the last node. This node is on the way to the state of the unit, or it is that state.
    pub(super) fn approach(&mut self, enabled: &Enabled<'_>) -> Option<usize> {
        let at = self.path.nodes.len() - 1;
        if let Some(&known) = self.known.get(at) {
            let chosen = match enabled.len() {
                1 => 0,
                _ => self.path.answers.get(self.given)?.0 as usize,
            };
            self.given += usize::from(enabled.len() > 1);
            let node = self.path.nodes.last_mut()?;
            (node.backtrack, node.current) = (known, chosen);
            node.lane = Lane::of(enabled.get(chosen), self.cpus);
            return Some(chosen);
        }
        let left = self.unit.take()?.left?;
        self.path.resume(&left);
        if left.next.is_none() {
            let lane = left.lanes().first()?;
            self.path.take(lane, 0, self.cpus);
        }
        self.given += usize::from(enabled.len() > 1);
        self.path.nodes.last().map(|node| node.current)
    }

    /// Ends the unit after a run for which [`advance`](Search::advance) was called.
    pub fn finish(&mut self) -> Done {
        let known = self.known.iter().zip(&self.path.nodes).map(|(known, node)| node.backtrack.without(*known));
        let wanted = known.enumerate().filter(|(_, lanes)| !lanes.is_empty()).collect();
        // The first unit has begun anew already, but has no run left for it.
        let anew = self.restart || (self.more && self.path.nodes.is_empty());
        let states = if anew { Vec::new() } else { self.hand_over() };
        Done { tally: self.tally(), runs: self.runs, sees: self.sees, anew, wanted, states }
    }

    /// Takes the path apart, from its last state up to the unit's.
    fn hand_over(&mut self) -> Vec<Handed> {
        let mut states = Vec::new();
        let mut goes_on = self.more;
        while let Some(left) = self.path.left(goes_on) {
            if self.path.nodes.len() == self.known.len() + 1 {
                states.push(Handed { step: Vec::new(), left, is_part: false });
                break;
            }
            self.path.pop();
            let step = self.path.step().to_vec();
            let lane = self.path.nodes.last().map(|node| node.lane);
            goes_on = self.go_on();
            let is_part = goes_on && self.path.nodes.last().map(|node| node.lane) == lane;
            states.push(Handed { step, left, is_part });
        }
        states.reverse();
        states
    }
}
