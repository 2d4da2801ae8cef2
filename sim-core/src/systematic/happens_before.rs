//! The happens-before relation of the run under way. It is kept from one run to the next as far as the two agree.
//!
//! An event is one step. It happens after the earlier events of its own lane, and after each earlier event with
//! which it conflicts. Two events conflict if they touch the same place and at least one of them changes it.
//! Vector clocks hold the transitive closure.
//!
//! A release of a lock comes before the acquisition that it makes possible, but the two are no race, because they
//! cannot change places. The acquisition *before* that release can change places with the later one. So that is
//! the race.

use super::lanes::{Lane, Lanes};
use crate::footprint::{How, Touch};
use crate::gate::Gate;
use crate::loc::Loc;

/// The number of an event, from 0: the steps taken before it.
pub(super) type EventId = u32;

const NONE: u32 = u32::MAX;

struct Event {
    lane: Lane,
    /// Its number among the events of its lane, from 1.
    number: u32,
    /// The event of its lane before it.
    previous: u32,
    /// Its first touch.
    touches: u32,
}

/// A touch and its place in the history of what it touched.
struct Touched {
    loc: Loc,
    event: EventId,
    writes: bool,
    old: u64,
    /// The touch of the same place before it.
    previous: u32,
    /// The last write to the place before it.
    write: u32,
}

/// Two steps in a race. They conflict, no third step stands between them in the order of happens-before, and each can
/// come first.
pub(super) struct Race {
    pub(super) first: EventId,
    /// The second may be unable to come right before the first, and yet able to come before the steps that led to it.
    pub(super) is_wide: bool,
    /// The lanes that can begin a run in which the second comes before the first, and nothing else changes.
    pub(super) initials: Lanes,
}

/// How an event comes after another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    /// It could not come before the other.
    Must,
    /// The two are a race.
    Race,
    /// The two are a race that [is wide](Race::is_wide).
    WideRace,
}

/// Events of the run so far.
pub(super) struct HappensBefore {
    lanes: usize,
    events: Vec<Event>,
    touched: Vec<Touched>,
    /// A clock of `lanes` numbers for each event: for each lane, how many of its events happened before this event. The
    /// event itself counts too.
    clocks: Vec<u32>,
    /// The last touch of each place.
    heads: Vec<u32>,
    /// The last event of each lane.
    last: Vec<u32>,
    /// Scratch: the events that may be in a race with the new event, and those that must come before it.
    before: Vec<(EventId, Order)>,
    closers: Vec<EventId>,
    base: Vec<u32>,
    begun: Vec<u32>,
}

impl HappensBefore {
    /// An empty trace of a machine with so many lanes and places.
    pub(super) fn new(lanes: usize, places: usize) -> HappensBefore {
        HappensBefore {
            lanes,
            events: Vec::new(),
            touched: Vec::new(),
            clocks: Vec::new(),
            heads: vec![NONE; places],
            last: vec![NONE; lanes],
            before: Vec::new(),
            closers: Vec::new(),
            base: vec![0; lanes],
            begun: vec![0; lanes],
        }
    }

    /// Forgets the events from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.events.len() > len {
            let Some(event) = self.events.pop() else { return };
            for touched in self.touched.drain(event.touches as usize..).rev() {
                self.heads[touched.loc.0 as usize] = touched.previous;
            }
            self.last[event.lane.index()] = event.previous;
        }
        self.clocks.truncate(len * self.lanes);
    }

    fn clock(&self, event: EventId) -> &[u32] {
        &self.clocks[event as usize * self.lanes..][..self.lanes]
    }

    fn happened_before(&self, event: EventId, clock: &[u32]) -> bool {
        let event = &self.events[event as usize];
        clock[event.lane.index()] >= event.number
    }

    /// The clock of the last event of a lane.
    fn load_base(&mut self, lane: Lane) {
        match self.last[lane.index()] {
            NONE => self.base.fill(0),
            last => self.base.copy_from_slice(&self.clocks[last as usize * self.lanes..][..self.lanes]),
        }
    }

    /// Adds the event of a lane with its touches. Tells of the races in which it is the second.
    pub(super) fn push(&mut self, lane: Lane, touches: &[Touch], mut tell: impl FnMut(Race)) {
        self.collect(touches);
        let event = self.events.len() as EventId;
        match self.last[lane.index()] {
            NONE => self.clocks.resize(self.clocks.len() + self.lanes, 0),
            last => {
                let from = last as usize * self.lanes;
                self.clocks.extend_from_within(from..from + self.lanes);
            }
        }
        // The latest comes first. An event that happened before a later one is no race, because that one stands between.
        if self.before.len() > 1 {
            self.before.sort_unstable_by(|a, b| b.cmp(a));
        }
        if !self.closers.is_empty() {
            self.load_base(lane);
        }
        let mut races = 0;
        for i in 0..self.before.len() {
            let (first, order) = self.before[i];
            let (earlier, clock) = self.clocks.split_at_mut(event as usize * self.lanes);
            let Event { lane: by, number, .. } = self.events[first as usize];
            if clock[by.index()] >= number {
                continue;
            }
            let of_first = &earlier[first as usize * self.lanes..][..self.lanes];
            clock.iter_mut().zip(of_first).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
            if order != Order::Must {
                self.before[races] = (first, order);
                races += 1;
            }
        }
        let number = &mut self.clocks[event as usize * self.lanes + lane.index()];
        *number += 1;
        let number = *number;
        self.record(lane, number, touches);
        for i in 0..races {
            let (first, order) = self.before[i];
            self.begun.fill(0);
            let initials = self.initials(first, event, lane, true);
            tell(Race { first, is_wide: order == Order::WideRace, initials });
        }
        self.tell_closers(event, lane, &mut tell);
    }

    /// Tells of the races of a step that a lane cannot take, because it waits for these gates.
    pub(super) fn push_blocked(&mut self, lane: Lane, gates: &[Gate], mut tell: impl FnMut(Race)) {
        self.load_base(lane);
        self.closers.clear();
        for &gate in gates {
            if let Some(loc) = gate.word() {
                self.find_closer(loc, gate);
            }
        }
        self.tell_closers(self.events.len() as EventId, lane, &mut tell);
    }

    /// Tells of races with the events that closed the gates for which a step of `lane` waited.
    fn tell_closers(&mut self, second: EventId, lane: Lane, tell: &mut impl FnMut(Race)) {
        for i in 0..self.closers.len() {
            let first = self.closers[i];
            if !self.happened_before(first, &self.base) {
                self.begun.fill(0);
                let initials = self.initials(first, second, lane, false);
                tell(Race { first, is_wide: false, initials });
            }
        }
    }

    /// Finds, for each touch, the events that it comes right after.
    fn collect(&mut self, touches: &[Touch]) {
        self.before.clear();
        self.closers.clear();
        for touch in touches {
            let mut at = self.heads[touch.loc.0 as usize];
            while at != NONE && !self.touched[at as usize].writes {
                if touch.writes {
                    self.before.push((self.touched[at as usize].event, Order::Race));
                }
                at = if touch.writes {
                    self.touched[at as usize].previous
                } else {
                    self.touched[at as usize].write
                };
            }
            if at == NONE {
                continue;
            }
            let write = &self.touched[at as usize];
            let was_open = |gate: Gate| gate.is_open(|_| write.old, || true);
            let order = match touch.how {
                How::Plain | How::Instead(_) => Order::Race,
                How::Drained => Order::WideRace,
                How::Gate { gate, or_else } if or_else || was_open(gate) => Order::Race,
                How::After | How::Gate { .. } => Order::Must,
            };
            self.before.push((write.event, order));
            match touch.how {
                How::Gate { gate, .. } if !was_open(gate) => self.find_closer(touch.loc, gate),
                How::Instead(gate) => self.find_closer(touch.loc, gate),
                How::Plain | How::After | How::Drained | How::Gate { .. } => {}
            }
        }
    }

    /// Finds the event that closed a gate. The gate was closed before the last write to its word, or is closed now.
    fn find_closer(&mut self, loc: Loc, gate: Gate) {
        let mut at = self.heads[loc.0 as usize];
        while at != NONE {
            let touched = &self.touched[at as usize];
            if touched.writes && gate.is_open(|_| touched.old, || true) {
                self.closers.push(touched.event);
                return;
            }
            at = touched.write;
        }
    }

    fn record(&mut self, lane: Lane, number: u32, touches: &[Touch]) {
        let event = self.events.len() as EventId;
        let previous = self.last[lane.index()];
        self.events.push(Event { lane, number, previous, touches: self.touched.len() as u32 });
        self.last[lane.index()] = event;
        for touch in touches {
            let head = &mut self.heads[touch.loc.0 as usize];
            let previous = *head;
            *head = self.touched.len() as u32;
            let write = match previous {
                NONE => NONE,
                at if self.touched[at as usize].writes => at,
                at => self.touched[at as usize].write,
            };
            self.touched.push(Touched {
                loc: touch.loc,
                event,
                writes: touch.writes,
                old: touch.old,
                previous,
                write,
            });
        }
    }

    /// Takes the events after `first` that do not happen after it, and then `second` of `lane`. Answers the lanes whose
    /// first event among these waits for none of the others.
    fn initials(&mut self, first: EventId, second: EventId, lane: Lane, happened: bool) -> Lanes {
        let mut initials = Lanes::NONE;
        let mut begun = std::mem::take(&mut self.begun);
        let waits = |clock: &[u32], begun: &[u32]| {
            clock.iter().zip(begun).any(|(&seen, &begun)| begun != 0 && seen >= begun)
        };
        let Event { lane: by_first, number, .. } = self.events[first as usize];
        let between = first as usize + 1..(second as usize).min(self.events.len());
        let clocks = self.clocks[between.start * self.lanes..].chunks_exact(self.lanes);
        for (event, clock) in self.events[between].iter().zip(clocks) {
            let by = event.lane;
            // Only the first event of a lane can wait for no other event.
            if begun[by.index()] != 0 || clock[by_first.index()] >= number {
                continue;
            }
            if !waits(clock, &begun) {
                initials = initials.with(by);
            }
            begun[by.index()] = event.number;
        }
        let clock = if happened { self.clock(second) } else { &self.base };
        if !waits(clock, &begun) {
            initials = initials.with(lane);
        }
        self.begun = begun;
        initials
    }
}
