//! Exhaustive exploration: every schedule that can matter, one run after the other.
//!
//! Some schedules differ only in the order of steps that commute. They form a *trace* of Mazurkiewicz, and all of
//! them lead to the same end. [`Reduction::Sources`] runs at least one schedule of each trace. It is dynamic
//! partial-order reduction with source sets and sleep sets (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014). The
//! races of a run say in which states another lane has to be tried. Sleep sets prevent that the search tries
//! again what it has covered. Whether steps commute is not declared: it is observed (`footprint.rs`).
//!
//! [`Reduction::States`] cuts a run where it comes to a state that was seen before. If many pages are
//! independent, the number of traces multiplies, and the number of states does not. [`Reduction::None`] runs
//! every interleaving.
//!
//! A run repeats the decisions of the run before it, up to the state in which something is left to try. Nothing
//! is watched up to there, and each step is watched from there on.
//!
//! A search can be divided into units. `unit.rs` does one unit, and `division.rs` says which units there are. A search
//! can also be cut into subtrees that have nothing to say to each other: `frontier.rs`.

mod division;
mod frontier;
mod happens_before;
mod lanes;
mod node;
mod preemption;
mod unit;
mod visited;

pub use division::Division;
pub use frontier::Subtree;
pub use unit::{Done, Unit};

use frontier::Frontier;
use happens_before::HappensBefore;
use lanes::{Lane, Lanes};
use node::{Node, Path, reverse};
use visited::Visited;

use crate::choice::{Choice, Chooser, Enabled};
use crate::footprint::{Sees, Tracker};
use crate::gate::Gate;
use crate::id::CpuId;
use crate::machine::{Machine, MemoryModel};
use crate::outcome::Outcome;

/// Which schedules are left out, because an equivalent schedule was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// None: every interleaving is run.
    None,
    /// Those of a trace that has been run.
    Sources,
    /// Those that come to a state that was seen before.
    States,
}

/// What a search has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Schedules run to their end.
    pub complete: u64,
    /// Runs that were given up, because everything that could follow had been covered.
    pub blocked: u64,
    /// Runs that reached the bound on steps.
    pub cut: u64,
    /// Distinct states. The number is zero unless the reduction is [`Reduction::States`].
    pub states: u64,
}

/// A search through the schedules of one machine, from run to run.
///
/// It is the [`Source`](crate::source::Source) of the machine's decisions. After each run,
/// [`advance`](Search::advance) says whether there is another.
pub struct Search {
    reduction: Reduction,
    preemptions: Option<u32>,
    cpus: usize,
    path: Path,
    happens_before: HappensBefore,
    visited: Visited,
    sees: Sees,
    /// The machine raised its first interrupt or began its first grace period. So the search begins anew.
    restart: bool,
    /// Answers given in this run.
    given: usize,
    /// The next step asked for is the one that differs from the run before.
    at_branch: bool,
    tally: Tally,
    pruned: bool,
    /// The unit to whose state this run is on the way.
    unit: Option<Unit>,
    /// For each state above those of its unit, the lanes for which a race need not ask any more.
    known: Vec<Lanes>,
    /// Whether its unit begins the search.
    is_first: bool,
    /// The runs of the unit so far.
    runs: u64,
    /// Whether there is another run.
    more: bool,
    /// The subtrees that it has found, if it looks for subtrees.
    frontier: Option<Frontier>,
}

impl Search {
    /// A search through the schedules of `machine` with at most so many preemptions. A preemption leaves a CPU that
    /// could go on.
    ///
    /// # Panics
    /// If preemptions are bounded under [`Reduction::Sources`], because it relies on schedules that a bound forbids.
    pub fn new(machine: &Machine, reduction: Reduction, preemptions: Option<u32>) -> Search {
        assert!(
            preemptions.is_none() || reduction != Reduction::Sources,
            "source sets rely on schedules that a bound on preemptions forbids"
        );
        let cpus = machine.config.cpus;
        let lanes = if machine.config.memory == MemoryModel::Tso { 2 * cpus } else { cpus };
        let places = machine.places().count(machine.config.memory);
        let visited =
            if reduction == Reduction::States { Visited::new(lanes, places) } else { Visited::default() };
        Search {
            reduction,
            preemptions,
            cpus,
            path: Path::default(),
            happens_before: HappensBefore::new(lanes, places),
            visited,
            sees: Sees::default(),
            restart: false,
            given: 0,
            at_branch: false,
            tally: Tally::default(),
            pruned: false,
            unit: None,
            known: Vec::new(),
            is_first: true,
            runs: 0,
            more: true,
            frontier: None,
        }
    }

    /// What was done so far.
    pub fn tally(&self) -> Tally {
        Tally { states: self.visited.len(), ..self.tally }
    }

    /// The decisions of the last run, by which it can be replayed: the answer and the number of answers of each.
    pub fn answers(&self) -> Vec<(u32, u32)> {
        self.path.answers.clone()
    }

    /// About which part of the search is done, from 0 to 1. This is a guess. It takes what is left in a state for as much
    /// work as what was tried there, and more may turn up.
    pub fn progress(&self) -> f64 {
        let (mut done, mut share) = (0.0, 1.0);
        for node in &self.path.nodes {
            let known = node.backtrack.without(node.asleep).len().max(1);
            share /= f64::from(known);
            done += share * f64::from(node.done.len());
        }
        done
    }

    /// What the machine was seen to do. Steps are watched for nothing else.
    pub(crate) fn sees(&self) -> Sees {
        self.sees
    }

    /// A run starts. Answers the number of its first step that has to be watched.
    pub(crate) fn start(&mut self) -> u64 {
        self.given = 0;
        if let Some(frontier) = &mut self.frontier {
            frontier.is_there = false;
        }
        self.at_branch = !self.path.nodes.is_empty();
        self.path.nodes.len().saturating_sub(1) as u64
    }

    /// Decides what happens next in a state that is watched. `None`, if nothing new can follow.
    pub(crate) fn decide(&mut self, machine: &Machine, enabled: &Enabled<'_>) -> Option<usize> {
        if self.restart {
            return None;
        }
        if self.at_branch {
            self.at_branch = false;
            self.given += usize::from(enabled.len() > 1);
            return self.path.nodes.last().map(|node| node.current);
        }
        let preemptions = self.preemptions_so_far();
        if self.reduction == Reduction::States {
            let last = self.preemptions.and_then(|_| self.ran_last(self.path.nodes.len()));
            if !self.visited.is_new(machine, preemptions, last) {
                return None;
            }
        }
        self.path.push(enabled, self.cpus, preemptions, self.given);
        if self.unit.is_some() {
            return self.approach(enabled);
        }
        let Some(lane) = self.pick(enabled) else {
            self.path.pop();
            return None;
        };
        if self.frontier.as_mut().is_some_and(|frontier| frontier.take(&mut self.path)) {
            return None;
        }
        self.path.take(lane, 0, self.cpus);
        self.given = self.path.answers.len();
        self.path.nodes.last().map(|node| node.current)
    }

    /// Says which lanes to try in the last node, and which first.
    fn pick(&mut self, enabled: &Enabled<'_>) -> Option<Lane> {
        let at = self.path.nodes.len() - 1;
        let goes_on = self.goes_on(at);
        let node = self.path.nodes.last_mut()?;
        // The simplest choice is to go on with the CPU that ran last.
        let first = Lane::of(enabled.get(0), self.cpus);
        if self.reduction == Reduction::Sources {
            let awake = node.enabled.without(node.asleep);
            let lane = if awake.has(first) { Some(first) } else { awake.first() };
            let is_first = self.frontier.as_ref().is_some_and(|frontier| at < frontier.depth);
            node.backtrack = if is_first { awake } else { lane.map_or(Lanes::NONE, Lanes::only) };
            return lane;
        }
        let spent = self.preemptions.is_some_and(|most| node.preemptions >= most);
        node.backtrack = match goes_on {
            Some(lane) if spent => node.enabled.without(Lanes::below(self.cpus)).with(lane),
            _ => node.enabled,
        };
        if node.backtrack.has(first) { Some(first) } else { node.backtrack.first() }
    }

    /// The chosen step has been taken. `shown` says what the machine was seen to do in it.
    pub(crate) fn note(&mut self, machine: &Machine, step: &Tracker, shown: Sees) {
        let seen = Sees {
            interrupts: self.sees.interrupts | shown.interrupts,
            grace_periods: self.sees.grace_periods | shown.grace_periods,
        };
        if seen != self.sees {
            self.sees = seen;
            self.restart = true;
            return;
        }
        let Some(node) = self.path.nodes.last() else { return };
        let (lane, current) = (node.lane, node.current);
        match self.reduction {
            Reduction::None => {}
            Reduction::Sources => {
                self.path.note(&step.touches);
                let nodes = &mut self.path.nodes;
                self.happens_before.push(lane, &step.touches, |race| reverse(nodes, &race, lane));
                if lane.index() < self.cpus && step.emptied(machine, CpuId(lane.0)) {
                    // The step itself emptied the store buffer. The buffer could have done so before the step.
                    let buffer = Lane(self.cpus as u8 + lane.0);
                    if let Some(node) = self.path.nodes.last_mut().filter(|node| node.enabled.has(buffer)) {
                        node.backtrack = node.backtrack.with(buffer);
                    }
                }
            }
            Reduction::States => {
                let transition = self.path.options()[current];
                self.visited.note(machine, lane, transition, self.path.values(), step);
            }
        }
    }

    /// A CPU cannot go on: everything that it could do waits for these gates.
    pub(crate) fn note_blocked(&mut self, cpu: CpuId, gates: &[Gate]) {
        if self.reduction == Reduction::Sources && !self.restart {
            let (lane, nodes) = (Lane(cpu.0), &mut self.path.nodes);
            self.happens_before.push_blocked(lane, gates, |race| reverse(nodes, &race, lane));
        }
    }

    /// The run ended like this.
    pub(crate) fn end(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.pruned = matches!(outcome, Outcome::Pruned);
        match outcome {
            Outcome::Pruned if self.is_at_frontier() => {}
            Outcome::Pruned => self.tally.blocked += 1,
            Outcome::StepBound => self.tally.cut += 1,
            Outcome::Completed | Outcome::Deadlock(_) | Outcome::Stopped => self.tally.complete += 1,
        }
        if matches!(outcome, Outcome::Stopped | Outcome::StepBound)
            && let Some(node) = self.path.nodes.last_mut()
        {
            // Because the run ended here, nothing else could happen after this step. So the other lanes have to come first.
            node.backtrack = node.backtrack.or(node.enabled);
        }
        self.path.return_to_last();
    }

    /// Whether the last run was given up. Such a run has no result.
    pub fn was_pruned(&self) -> bool {
        self.pruned
    }

    /// Prepares the next run; `false` if there is none.
    pub fn advance(&mut self) -> bool {
        self.more = if self.restart { self.is_first } else { self.backtrack() };
        if self.restart && self.more {
            self.clear();
        }
        let steps = self.path.nodes.len().saturating_sub(1);
        self.happens_before.truncate(steps);
        self.visited.truncate(steps);
        self.more
    }

    /// Forgets all runs.
    fn clear(&mut self) {
        self.restart = false;
        self.path = Path::default();
        self.happens_before.truncate(0);
        self.visited.restart();
        self.tally = Tally::default();
    }

    /// Goes back to the last state in which something is left to try.
    fn backtrack(&mut self) -> bool {
        while !self.path.nodes.is_empty() {
            if self.go_on() {
                return true;
            }
            if self.path.nodes.len() == self.known.len() + 1 {
                return false;
            }
            self.path.pop();
        }
        false
    }

    /// Goes on to the next step to try in the last node; `false` if there is none.
    fn go_on(&mut self) -> bool {
        while let Some(&(chosen, of)) = self.path.values().last() {
            self.path.answers.pop();
            if chosen + 1 < of {
                self.path.answers.push((chosen + 1, of));
                return true;
            }
        }
        let Some(node) = self.path.nodes.last() else { return false };
        let (lane, next) = (node.lane, node.current + 1);
        if self.path.take(lane, next, self.cpus) {
            return true;
        }
        self.path.put_to_sleep();
        let left = self.path.nodes.last().and_then(Node::next_lane);
        left.is_some_and(|lane| self.path.take(lane, 0, self.cpus))
    }
}

impl Chooser for Search {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let answer = match self.path.answers.get(self.given) {
            Some(&(answer, _)) => answer,
            None => {
                self.path.answers.push((0, choice.of() as u32));
                0
            }
        };
        self.given += 1;
        answer as usize
    }
}
