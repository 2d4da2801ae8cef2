//! A search divided into units that can be done at the same time, with one result.
//!
//! A unit ends after a number of runs, and the work that it leaves becomes new units. The units, and the order in
//! which their results count, depend on results alone. For that, results are added in the order in which the
//! units were given out. And a unit is given out only when the result of the unit that was given out [`AHEAD`]
//! places before it has been added. So it does not matter which thread does a unit, nor when.
//!
//! Each state has one unit at a time. The unit tries the lanes that are left in the state one after the other. So
//! the search knows what a lane does next before it puts the lane to sleep. A race elsewhere may want another
//! lane to be tried in that state. That lane waits until the unit has ended. Every lane that sleeps in a unit is
//! tried completely by other units, sooner or later.

use std::collections::VecDeque;

use super::Tally;
use super::frontier::Subtree;
use super::lanes::Lanes;
use super::node::Left;
use super::unit::{Done, Handed, Unit};
use crate::footprint::Sees;

/// The most units that are given out at the same time. Most units are small. So many are needed to give all threads
/// something to do.
const AHEAD: usize = 256;

/// Whether a unit does the rest of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// No unit: everything was tried there.
    No,
    /// It waits for its unit.
    Waits,
    /// Its unit is given out.
    Out,
}

/// A state in which something was left when a unit ended, or a state on the way to such a state.
#[derive(Debug)]
struct State {
    above: Option<usize>,
    /// Answers of the step that leads there from the state above.
    step: Vec<(u32, u32)>,
    left: Left,
    /// Lanes to try that were not known when its unit was given out.
    wanted: Lanes,
    held: Held,
    /// The number of states right below it.
    below: usize,
    /// The lane of its step has other things to do in the state above. This state is one part of them.
    is_part: bool,
}

impl State {
    /// All lanes that have been or will be tried there.
    fn known(&self) -> Lanes {
        self.left.backtrack.or(self.wanted).without(self.left.asleep)
    }
}

/// A unit that is given out.
#[derive(Debug)]
struct Out {
    number: u64,
    /// Its state. `None`, if it begins the search.
    state: Option<usize>,
    budget: u64,
}

/// A search divided into units.
#[derive(Debug)]
pub struct Division {
    size: u64,
    /// Runs that are neither done nor given out.
    runs: u64,
    /// The subtree that is divided. `None`, if a whole search is divided.
    subtree: Option<Subtree>,
    sees: Sees,
    tally: Tally,
    states: Vec<Option<State>>,
    /// Free places in the list of states.
    free: Vec<usize>,
    /// Units to give out, the last first.
    waiting: Vec<Option<usize>>,
    out: VecDeque<Out>,
    number: u64,
}

impl Division {
    /// A search of so many runs at most, in units of `size` runs.
    pub fn new(size: u64, runs: u64) -> Division {
        Division {
            size,
            runs,
            subtree: None,
            sees: Sees::default(),
            tally: Tally::default(),
            states: Vec::new(),
            free: Vec::new(),
            waiting: vec![None],
            out: VecDeque::new(),
            number: 0,
        }
    }

    /// A subtree of a search, in units of `size` runs.
    pub fn below(size: u64, subtree: Subtree) -> Division {
        Division { subtree: Some(subtree), sees: Sees::ALL, ..Division::new(size, u64::MAX) }
    }

    /// What was done, as far as results were added.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// About which part of the search is done, from 0 to 1. This is a guess. It takes each lane of a state for the same
    /// amount of work, and more lanes may turn up.
    pub fn progress(&self) -> f64 {
        if self.states.is_empty() {
            return if self.is_over() { 1.0 } else { 0.0 };
        }
        let states = || (0..self.states.len()).filter(|&at| self.states[at].is_some());
        let part = |at: usize| if self.state(at).is_part { 0.5 } else { 1.0 };
        // The lanes that are left in each state, and the states right below it.
        let mut left = vec![0.0; self.states.len()];
        for at in states() {
            left[at] += f64::from(self.state(at).left.lanes().len());
            if let Some(above) = self.state(at).above {
                left[above] += part(at);
            }
        }
        let all = |at: usize| f64::max(left[at], f64::from(self.state(at).known().len().max(1)));
        let rest = |at: usize| {
            let share: f64 = self.way(at).windows(2).map(|pair| part(pair[1]) / all(pair[0])).product();
            share * f64::from(self.state(at).left.lanes().len()) / all(at)
        };
        let rest: f64 = states().map(rest).sum();
        (1.0 - rest).max(0.0)
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.out.is_empty()
    }

    /// The number of the unit whose result is to be added next; `None` if none is given out.
    pub fn due(&self) -> Option<u64> {
        self.out.front().map(|out| out.number)
    }

    /// Gives out a unit with its number, unless results have to be added first. It is called at the start and after each
    /// result, until it gives out no more.
    pub fn give(&mut self) -> Option<(u64, Unit)> {
        let budget = self.size.min(self.runs);
        if self.out.len() == AHEAD || budget == 0 {
            return None;
        }
        let at = self.waiting.pop()?;
        let number = self.number;
        (self.number, self.runs) = (number + 1, self.runs - budget);
        self.out.push_back(Out { number, state: at, budget });
        let mut unit = match &self.subtree {
            Some(subtree) => Unit::of(subtree, budget),
            None => Unit { answers: Vec::new(), known: Vec::new(), left: None, sees: self.sees, budget },
        };
        if let Some(at) = at {
            self.state_mut(at).held = Held::Out;
            for at in self.way(at) {
                let State { step, left, wanted, .. } = self.state(at);
                unit.answers.extend_from_slice(step);
                unit.known.push(left.backtrack.or(left.asleep).or(*wanted));
            }
            unit.known.pop();
            let left = self.state(at).left.clone();
            unit.answers.extend(left.next.iter().flat_map(|next| &next.answers));
            unit.left = Some(left);
        }
        Some((number, unit))
    }

    /// Adds the result of the unit that is [due](Division::due).
    pub fn add(&mut self, done: Done) {
        let Some(out) = self.out.pop_front() else { return };
        self.runs += out.budget.saturating_sub(done.runs);
        self.sees = done.sees;
        if done.anew {
            self.restart();
            return;
        }
        self.tally.add(done.tally);
        let way = out.state.map_or_else(Vec::new, |at| self.way(at));
        // No race can want anything to be tried above a subtree.
        let above = self.subtree.as_ref().map_or(0, |subtree| subtree.depth);
        for (depth, lanes) in done.wanted {
            self.want(way[depth - above], lanes);
        }
        let mut at = out.state;
        for (n, handed) in done.states.into_iter().enumerate() {
            match at {
                Some(own) if n == 0 => self.take_back(own, handed.left),
                above => at = Some(self.insert(above, handed)),
            }
        }
        if let Some(at) = at {
            self.forget(at);
        }
    }

    /// The machine raised its first interrupt or began its first grace period. So the search begins anew.
    fn restart(&mut self) {
        self.runs += self.out.drain(..).map(|out| out.budget).sum::<u64>();
        self.states.clear();
        self.free.clear();
        self.waiting = vec![None];
        self.tally = Tally::default();
    }

    fn state(&self, at: usize) -> &State {
        self.states[at].as_ref().expect("a state is kept while there is one below it")
    }

    fn state_mut(&mut self, at: usize) -> &mut State {
        self.states[at].as_mut().expect("a state is kept while there is one below it")
    }

    /// The states from the start to this one.
    fn way(&self, at: usize) -> Vec<usize> {
        let mut way: Vec<usize> = std::iter::successors(Some(at), |&at| self.state(at).above).collect();
        way.reverse();
        way
    }

    /// A race wants these lanes to be tried.
    fn want(&mut self, at: usize, lanes: Lanes) {
        let state = self.state_mut(at);
        if state.held == Held::Out {
            state.wanted = state.wanted.or(lanes);
        } else {
            state.left.backtrack = state.left.backtrack.or(lanes);
            self.let_wait(at);
        }
    }

    /// The unit of a state has ended.
    fn take_back(&mut self, at: usize, left: Left) {
        let state = self.state_mut(at);
        (state.left, state.held) = (left, Held::No);
        let wanted = std::mem::take(&mut state.wanted);
        self.want(at, wanted);
    }

    fn insert(&mut self, above: Option<usize>, handed: Handed) -> usize {
        let Handed { step, left, is_part } = handed;
        if let Some(above) = above {
            self.state_mut(above).below += 1;
        }
        let state = State { above, step, left, wanted: Lanes::NONE, held: Held::No, below: 0, is_part };
        let at = match self.free.pop() {
            Some(at) => {
                self.states[at] = Some(state);
                at
            }
            None => {
                self.states.push(Some(state));
                self.states.len() - 1
            }
        };
        self.let_wait(at);
        at
    }

    /// Lets a state wait for its unit, if there is something left to try.
    fn let_wait(&mut self, at: usize) {
        let state = self.state_mut(at);
        if state.held == Held::No && !state.left.lanes().is_empty() {
            state.held = Held::Waits;
            self.waiting.push(Some(at));
        }
    }

    /// Forgets a state and the states above it, as far as no unit needs them.
    fn forget(&mut self, at: usize) {
        let mut at = Some(at);
        while let Some(gone) = at {
            let state = self.state(gone);
            if state.held != Held::No || state.below > 0 {
                return;
            }
            at = state.above;
            self.states[gone] = None;
            self.free.push(gone);
            if let Some(above) = at {
                self.state_mut(above).below -= 1;
            }
        }
    }
}

impl Tally {
    /// Adds the results of other schedules.
    pub fn add(&mut self, other: Tally) {
        self.complete += other.complete;
        self.blocked += other.blocked;
        self.cut += other.cut;
        self.states += other.states;
    }
}
