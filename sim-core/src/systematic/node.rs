//! The states on the way of the run under way, and what is still to be tried in each.

use super::happens_before::Race;
use super::lanes::{Lane, Lanes};
use crate::choice::{Enabled, Transition};
use crate::footprint::Touch;
use crate::loc::Loc;

/// A state. The step that follows it is transition `current` of its options.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) enabled: Lanes,
    /// Lanes to try. Together they begin a run of every trace.
    pub(super) backtrack: Lanes,
    /// Lanes that were tried, each with everything that it could do.
    pub(super) done: Lanes,
    /// Lanes that need not be tried, because every run that they begin was covered elsewhere.
    pub(super) asleep: Lanes,
    pub(super) lane: Lane,
    pub(super) current: usize,
    /// Preemptions that led here.
    pub(super) preemptions: u32,
    /// Where its share of the path's lists begins. It ends where that of the next node does.
    from: Shares,
    /// Where the prints of its current lane begin.
    prints: usize,
}

#[derive(Clone, Copy, Debug)]
struct Shares {
    options: usize,
    answers: usize,
    sleepers: usize,
    prints: usize,
}

/// A lane that sleeps. `prints` is the part of the path's prints that has everything its next step can touch.
#[derive(Clone, Copy, Debug)]
struct Sleeper {
    lane: Lane,
    prints: (usize, usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Print {
    loc: Loc,
    writes: bool,
}

impl Node {
    /// A lane that is still to be tried.
    pub(super) fn next_lane(&self) -> Option<Lane> {
        self.backtrack.without(self.done).without(self.asleep).first()
    }
}

/// What is left to try in a state, apart from the path that leads there.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) backtrack: Lanes,
    pub(super) done: Lanes,
    pub(super) asleep: Lanes,
    /// The step to go on with. If there is none, it is the first step of the next lane.
    pub(super) next: Option<Next>,
    /// The lanes that sleep, and where the prints of each end.
    sleepers: Vec<(Lane, usize)>,
    /// Prints of the sleepers, then those of the lane to go on with, as far as it was tried.
    prints: Vec<Print>,
}

/// A step to take, and the answers that decide on it.
#[derive(Clone, Debug)]
pub(super) struct Next {
    lane: Lane,
    current: usize,
    pub(super) answers: Vec<(u32, u32)>,
}

impl Left {
    /// The lanes that are still to be tried. The lane to go on with is one of them.
    pub(super) fn lanes(&self) -> Lanes {
        self.backtrack.without(self.done).without(self.asleep)
    }
}

/// The states from the start to the present one.
///
/// The lists of all nodes lie end to end in one list of each kind. This works because only the share of the last node
/// grows.
#[derive(Default)]
pub(super) struct Path {
    pub(super) nodes: Vec<Node>,
    /// Each decision so far: the answer, and how many there were.
    pub(super) answers: Vec<(u32, u32)>,
    options: Vec<Transition>,
    sleepers: Vec<Sleeper>,
    prints: Vec<Print>,
    /// Where the sleepers of the state after the last node's step begin.
    next_sleepers: usize,
    next_asleep: Lanes,
}

impl Path {
    /// Adds the state to which the last node's step led. `answers` is the number of answers on the way there.
    pub(super) fn push(&mut self, can_happen: &Enabled<'_>, cpus: usize, preemptions: u32, answers: usize) {
        let from = Shares {
            options: self.options.len(),
            answers,
            sleepers: self.next_sleepers,
            prints: self.prints.len(),
        };
        self.options.extend((0..can_happen.len()).map(|i| can_happen.get(i)));
        let others = can_happen.others.iter().map(|transition| Lane::of(*transition, cpus));
        let enabled = others.fold(Lanes::of_cpus(can_happen.ready.cpus()), Lanes::with);
        self.nodes.push(Node {
            enabled,
            backtrack: Lanes::NONE,
            done: Lanes::NONE,
            asleep: self.next_asleep,
            lane: Lane(0),
            current: 0,
            preemptions,
            from,
            prints: from.prints,
        });
    }

    /// What can happen in the last node.
    pub(super) fn options(&self) -> &[Transition] {
        self.nodes.last().map_or(&[], |node| &self.options[node.from.options..])
    }

    /// What can happen in node `at`.
    pub(super) fn options_of(&self, at: usize) -> &[Transition] {
        let end = self.nodes.get(at + 1).map_or(self.options.len(), |next| next.from.options);
        &self.options[self.nodes[at].from.options..end]
    }

    /// The answers that the last node's step was given about values.
    pub(super) fn values(&self) -> &[(u32, u32)] {
        let Some(node) = self.nodes.last() else { return &[] };
        self.answers.get(node.from.answers + usize::from(self.options().len() > 1)..).unwrap_or_default()
    }

    /// The step of the last node becomes the first transition of `lane` from `at` on. `false`, if there is none.
    pub(super) fn take(&mut self, lane: Lane, at: usize, cpus: usize) -> bool {
        let options = self.options();
        let (of, found) = (options.len(), options[at..].iter().position(|t| Lane::of(*t, cpus) == lane));
        let (Some(node), Some(ahead)) = (self.nodes.last_mut(), found) else { return false };
        (node.lane, node.current) = (lane, at + ahead);
        self.answers.truncate(node.from.answers);
        if of > 1 {
            self.answers.push((node.current as u32, of as u32));
        }
        true
    }

    /// Notes what the last node's step touched, and which lanes sleep on after it.
    pub(super) fn note(&mut self, touches: &[Touch]) {
        let Some(node) = self.nodes.last() else { return };
        for touch in touches {
            match self.prints[node.prints..].iter_mut().find(|print| print.loc == touch.loc) {
                Some(print) => print.writes |= touch.writes,
                None => self.prints.push(Print { loc: touch.loc, writes: touch.writes }),
            }
        }
        self.next_sleepers = self.sleepers.len();
        self.next_asleep = Lanes::NONE;
        for i in node.from.sleepers..self.next_sleepers {
            let sleeper = self.sleepers[i];
            let (from, to) = sleeper.prints;
            if sleeper.lane != node.lane && !conflict(&self.prints[from..to], touches) {
                self.sleepers.push(sleeper);
                self.next_asleep = self.next_asleep.with(sleeper.lane);
            }
        }
    }

    /// Everything that the lane of the last node could do was tried there. It sleeps from now on.
    pub(super) fn put_to_sleep(&mut self) {
        let Some(node) = self.nodes.last_mut() else { return };
        node.done = node.done.with(node.lane);
        self.sleepers.push(Sleeper { lane: node.lane, prints: (node.prints, self.prints.len()) });
        node.prints = self.prints.len();
    }

    /// The answers that led to the last node.
    pub(super) fn way(&self) -> &[(u32, u32)] {
        self.nodes.last().map_or(&[], |node| &self.answers[..node.from.answers])
    }

    /// The answers that decided on the last node's step.
    pub(super) fn step(&self) -> &[(u32, u32)] {
        self.nodes.last().map_or(&[], |node| &self.answers[node.from.answers..])
    }

    /// What is left to try in the last node. If it `goes_on`, its step was not taken yet.
    pub(super) fn left(&self, goes_on: bool) -> Option<Left> {
        let node = self.nodes.last()?;
        let mut left = Left {
            backtrack: node.backtrack,
            done: node.done,
            asleep: node.asleep,
            next: goes_on.then(|| Next { lane: node.lane, current: node.current, answers: self.step().to_vec() }),
            sleepers: Vec::new(),
            prints: Vec::new(),
        };
        for Sleeper { lane, prints: (from, to) } in &self.sleepers[node.from.sleepers..] {
            left.prints.extend_from_slice(&self.prints[*from..*to]);
            left.sleepers.push((*lane, left.prints.len()));
        }
        left.prints.extend_from_slice(&self.prints[node.prints..]);
        Some(left)
    }

    /// Goes on in the last node, which was just added, with what was left there.
    pub(super) fn resume(&mut self, left: &Left) {
        let Some(node) = self.nodes.last_mut() else { return };
        (node.backtrack, node.done, node.asleep) = (left.backtrack, left.done, left.asleep);
        let base = self.prints.len();
        self.prints.extend_from_slice(&left.prints);
        let mut from = 0;
        for &(lane, to) in &left.sleepers {
            self.sleepers.push(Sleeper { lane, prints: (base + from, base + to) });
            from = to;
        }
        node.prints = base + from;
        if let Some(next) = &left.next {
            (node.lane, node.current) = (next.lane, next.current);
        }
    }

    /// Forgets the state after the last node's step.
    pub(super) fn return_to_last(&mut self) {
        self.sleepers.truncate(self.next_sleepers);
    }

    /// Leaves the last node.
    pub(super) fn pop(&mut self) {
        let Some(node) = self.nodes.pop() else { return };
        self.options.truncate(node.from.options);
        self.answers.truncate(node.from.answers);
        self.sleepers.truncate(node.from.sleepers);
        self.prints.truncate(node.from.prints);
        self.next_sleepers = node.from.sleepers;
    }
}

fn conflict(prints: &[Print], touches: &[Touch]) -> bool {
    let conflicts = |print: &Print, touch: &Touch| touch.loc == print.loc && (touch.writes || print.writes);
    prints.iter().any(|print| touches.iter().any(|touch| conflicts(print, touch)))
}

/// Makes sure that a run is tried in which the second step of a race comes first. Its lane is `second`.
pub(super) fn reverse(nodes: &mut [Node], race: &Race, second: Lane) {
    let node = &mut nodes[race.first as usize];
    if !race.initials.and(node.backtrack.or(node.asleep)).is_empty() {
        return;
    }
    let possible = race.initials.and(node.enabled);
    let lane = if possible.has(second) { Some(second) } else { possible.first() };
    node.backtrack = match lane {
        Some(lane) => node.backtrack.with(lane),
        None if race.is_wide => node.backtrack.or(node.enabled),
        // The second step was possible only because the first came before it.
        None => node.backtrack,
    };
}
