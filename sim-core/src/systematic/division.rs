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

/// Units that are given out at the same time, at most. As most are small, many are needed for all threads
/// to have something to do.
const AHEAD: usize = 256;

/// Who has a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Nobody: everything was tried there.
    No,
    /// It waits for its unit.
    Waits,
    /// Its unit is given out.
    Out,
}

/// A state in which something was left when a unit ended, or that leads to one.
#[derive(Debug)]
struct State {
    above: Option<usize>,
    /// Answers of the step that leads there from the state above.
    step: Vec<(u32, u32)>,
    left: Left,
    /// Lanes to try that nobody knew of when its unit was given out.
    wanted: Lanes,
    held: Held,
    /// States right below it.
    below: usize,
    /// It is a part of what a lane does in the state above.
    is_part: bool,
}

impl State {
    /// Lanes that are tried there between them.
    fn known(&self) -> Lanes {
        self.left.backtrack.or(self.wanted).without(self.left.asleep)
    }
}

/// A unit that is given out.
#[derive(Debug)]
struct Out {
    number: u64,
    /// Its state; none, if it begins the search.
    state: Option<usize>,
    budget: u64,
}

/// A search divided into units.
#[derive(Debug)]
pub struct Division {
    size: u64,
    /// Runs that are neither done nor given out.
    runs: u64,
    /// What it is a division of, if not of a whole search.
    subtree: Option<Subtree>,
    sees: Sees,
    tally: Tally,
    states: Vec<Option<State>>,
    /// Places of states that are no more.
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

    /// About which part of the search is done, 0 to 1. A guess: the lanes of a state are taken to be as much
    /// work each, and more may turn up.
    pub fn progress(&self) -> f64 {
        if self.states.is_empty() {
            return if self.is_over() { 1.0 } else { 0.0 };
        }
        let states = || (0..self.states.len()).filter(|&at| self.states[at].is_some());
        let part = |at: usize| if self.state(at).is_part { 0.5 } else { 1.0 };
        // What is left in a state, and below it right there, in lanes.
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

    /// Gives out a unit, with its number, unless results have to be added first. To be called until it has
    /// none, at the start and after each result.
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
        // Nothing can be wanted above a subtree.
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

    /// The machine did what it was never seen to do: everything was in vain.
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

    /// Forgets a state and those above it as far as nobody needs them.
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
    /// Adds what other schedules came to.
    pub fn add(&mut self, other: Tally) {
        self.complete += other.complete;
        self.blocked += other.blocked;
        self.cut += other.cut;
        self.states += other.states;
    }
}
