//! Exhaustive exploration of the state machines that are written by hand. It shows the cost of a search that can do
//! nothing else.
//!
//! It uses source sets with sleep sets, as `sim_core::systematic` does. It serves for at most four threads that never wait,
//! and for steps that touch one word each. It makes the same decisions as sim-core. So both run the same executions in the
//! same order, each from the start.

use crate::twin::{Access, Twin};

const THREADS: usize = 4;
const NONE: u8 = u8::MAX;

/// Threads, a bit each.
type Set = u8;
/// For each thread, the number of its steps that happened before a step. The step itself counts too.
type Clock = [u8; THREADS];

/// A state of the run at hand.
#[derive(Clone, Copy)]
struct Node {
    live: Set,
    backtrack: Set,
    done: Set,
    asleep: Set,
    /// What each thread that sleeps does next.
    sleepers: [Access; THREADS],
    /// What goes next here.
    thread: u8,
}

/// A step of the run at hand.
#[derive(Clone, Copy)]
struct Event {
    thread: u8,
    access: Access,
    clock: Clock,
    /// The event before it that touched the same word.
    previous: u8,
    /// The event of its thread before it.
    before: u8,
}

impl Event {
    fn is_before(&self, clock: &Clock) -> bool {
        let thread = usize::from(self.thread);
        clock[thread] >= self.clock[thread]
    }
}

/// What a search has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) complete: u64,
    pub(crate) blocked: u64,
    /// Steps of all runs, with those repeated from the run before.
    pub(crate) steps: u64,
}

pub(crate) struct TwinDpor {
    twin: Twin,
    all: Set,
    nodes: Vec<Node>,
    events: Vec<Event>,
    /// The last event that touched each word.
    heads: Vec<u8>,
    /// The last event of each thread.
    last: [u8; THREADS],
}

impl TwinDpor {
    pub(crate) fn new(pages: u32, threads: usize) -> TwinDpor {
        assert!(threads <= THREADS, "a clock has room for {THREADS} threads");
        let twin = Twin::new(pages, threads, true);
        let heads = vec![NONE; twin.words().len()];
        let all = (1 << threads) - 1;
        TwinDpor { twin, all, nodes: Vec::new(), events: Vec::new(), heads, last: [NONE; THREADS] }
    }

    /// Goes through all executions.
    pub(crate) fn search(&mut self) -> Work {
        let mut work = Work::default();
        loop {
            if self.run() {
                work.complete += 1
            } else {
                work.blocked += 1
            }
            work.steps += self.nodes.len() as u64;
            if !self.backtrack() {
                return work;
            }
        }
    }

    /// Does one execution. Answers whether it came to its end.
    fn run(&mut self) -> bool {
        self.twin.restart();
        let mut live = self.all;
        if let Some((branch, prefix)) = self.nodes.split_last() {
            for node in prefix {
                self.twin.step(usize::from(node.thread));
            }
            live = branch.live;
        }
        let mut next = self.nodes.last().copied();
        loop {
            let node = match next.take() {
                Some(branch) => branch,
                None if live == 0 => {
                    assert!(!self.twin.violated(), "the guard does not hold");
                    return true;
                }
                None => match self.open(live) {
                    Some(node) => node,
                    None => return false,
                },
            };
            let access = self.twin.next_access(usize::from(node.thread));
            self.push(node.thread, access);
            if self.twin.step(usize::from(node.thread)) {
                live &= !(1 << node.thread);
            }
        }
    }

    /// Adds the present state, with one thread to try there. `None`, if all of them sleep.
    fn open(&mut self, live: Set) -> Option<Node> {
        let mut node =
            Node { live, backtrack: 0, done: 0, asleep: 0, sleepers: [Access::default(); THREADS], thread: 0 };
        if let (Some(before), Some(event)) = (self.nodes.last(), self.events.last()) {
            node.sleepers = before.sleepers;
            for thread in members(before.asleep & !(1 << event.thread)) {
                let sleeps_on = !event.access.conflicts(before.sleepers[thread]);
                node.asleep |= Set::from(sleeps_on) << thread;
            }
            node.thread = event.thread;
        }
        let awake = live & !node.asleep;
        if awake == 0 {
            return None;
        }
        if awake & 1 << node.thread == 0 {
            node.thread = awake.trailing_zeros() as u8;
        }
        node.backtrack = 1 << node.thread;
        self.nodes.push(node);
        Some(node)
    }

    /// Adds the step that follows the last state, and makes sure that its races are reversed.
    fn push(&mut self, thread: u8, access: Access) {
        let id = self.events.len() as u8;
        let before = self.last[usize::from(thread)];
        let mut clock = if before == NONE { Clock::default() } else { self.events[usize::from(before)].clock };
        let head = &mut self.heads[usize::from(access.loc)];
        let previous = std::mem::replace(head, id);
        self.last[usize::from(thread)] = id;

        let mut races = [0; THREADS];
        let mut found = 0;
        let mut at = previous;
        while at != NONE {
            let event = &self.events[usize::from(at)];
            if access.conflicts(event.access) && !event.is_before(&clock) {
                clock.iter_mut().zip(event.clock).for_each(|(mine, theirs)| *mine = (*mine).max(theirs));
                // An event that happened before a later one is no race. So there is at most one event of each thread.
                races[found] = at;
                found += 1;
            }
            if event.access.writes {
                break;
            }
            at = event.previous;
        }
        clock[usize::from(thread)] += 1;
        self.events.push(Event { thread, access, clock, previous, before });
        for &first in &races[..found] {
            self.reverse(usize::from(first));
        }
    }

    /// Makes sure that a run is tried in which the last event comes before `first`.
    fn reverse(&mut self, first: usize) {
        let node = &mut self.nodes[first];
        let covered = node.backtrack | node.asleep;
        let mut initials = 0;
        // The number of the first event of each thread that has one.
        let mut begun = [NONE; THREADS];
        let (earlier, rest) = self.events[first..].split_first().expect("a race has a first event");
        for (i, event) in rest.iter().enumerate() {
            // The last event is the second of the race. It belongs to the reversed run, although it happens after the first.
            if i + 1 < rest.len() && earlier.is_before(&event.clock) {
                continue;
            }
            let thread = usize::from(event.thread);
            if begun[thread] != NONE {
                continue;
            }
            if event.clock.iter().zip(begun).all(|(&seen, begun)| seen < begun) {
                initials |= 1 << thread;
                if initials & covered != 0 {
                    return;
                }
            }
            begun[thread] = event.clock[thread];
        }
        let second = 1 << self.events[self.events.len() - 1].thread;
        let possible = initials & node.live;
        node.backtrack |= if possible & second != 0 { second } else { possible & possible.wrapping_neg() };
    }

    /// Goes back to the last state in which a thread is left to try.
    fn backtrack(&mut self) -> bool {
        while let Some(node) = self.nodes.last_mut() {
            let event = self.events.pop().expect("each state is followed by a step");
            self.heads[usize::from(event.access.loc)] = event.previous;
            self.last[usize::from(event.thread)] = event.before;

            node.done |= 1 << event.thread;
            node.asleep |= 1 << event.thread;
            node.sleepers[usize::from(event.thread)] = event.access;
            let left = node.backtrack & !node.done & !node.asleep;
            if left != 0 {
                node.thread = left.trailing_zeros() as u8;
                return true;
            }
            self.nodes.pop();
        }
        false
    }
}

fn members(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = set.trailing_zeros() as usize;
        (set != 0).then(|| {
            set &= set - 1;
            first
        })
    })
}
