//! States that were seen before.
//!
//! A state is the value of every word, and for each lane everything that the lane has read, taken and chosen. The
//! code of a lane is a function of that, so two runs in the same state have the same future. State outside words
//! is identified by who changed it, by what that lane knew, and by the order of the changes. So two different
//! states are never taken for one, unless two 128-bit digests are equal by chance. One state may be taken for
//! two, if a lane came to know the same by different ways. Code can prevent that: it says what it
//! [forgets](crate::Cpu::forget_all_but).

use std::collections::BTreeMap;

use super::lanes::Lane;
use crate::choice::Transition;
use crate::footprint::{Touch, Tracker};
use crate::id::CpuId;
use crate::loc::Loc;
use crate::machine::Machine;

type Digest = u128;

fn mix(digest: Digest, word: u64) -> Digest {
    // The constant that is added keeps zero from staying zero.
    let salted = (digest ^ Digest::from(word)).wrapping_add(0xbb67_ae85_84ca_a73b_3c6e_f372_fe94_f82b);
    let mixed = salted.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    mixed ^ mixed >> 67 ^ mixed >> 31
}

fn digest_of(words: [u64; 2]) -> Digest {
    mix(mix(0, words[0]), words[1])
}

/// What is needed to go back to the state before a step.
struct Undo {
    lane: Lane,
    lane_before: Digest,
    shared_before: Digest,
    outside: usize,
}

/// The present state, and the states that were seen before.
#[derive(Default)]
pub(super) struct Visited {
    /// For each lane, a digest of everything that it knows.
    lanes: Vec<Digest>,
    /// A digest of the shared words. It is a sum over the words, so an update costs only as much as the step changed.
    shared: Digest,
    /// The history of each place outside words.
    histories: Vec<Digest>,
    undo: Vec<Undo>,
    undo_outside: Vec<(Loc, Digest)>,
    /// The states that were seen, each with the fewest preemptions by which it was reached.
    seen: BTreeMap<Digest, u32>,
}

impl Visited {
    pub(super) fn new(lanes: usize, places: usize) -> Visited {
        Visited { lanes: vec![0; lanes], histories: vec![0; places], ..Visited::default() }
    }

    /// Number of states seen.
    pub(super) fn len(&self) -> u64 {
        self.seen.len() as u64
    }

    /// A step of a lane was taken, with these answers about values.
    pub(super) fn note(
        &mut self,
        machine: &Machine,
        lane: Lane,
        transition: Transition,
        values: &[(u32, u32)],
        step: &Tracker,
    ) {
        self.undo.push(Undo {
            lane,
            lane_before: self.lanes[lane.index()],
            shared_before: self.shared,
            outside: self.undo_outside.len(),
        });
        let label = match transition {
            Transition::Step(_) => 0,
            Transition::Drain(_) => 1,
            Transition::Interrupt(_, vector) => 256 | u64::from(vector.0),
            Transition::Switch(_, task) => 512 | u64::from(task.0),
        };
        let mut knows = mix(self.lanes[lane.index()], label);
        for &(loc, value) in &step.looks {
            knows = mix(mix(knows, u64::from(loc.0)), value);
        }
        // The word of an object holds only the number of its changes. So its history stands for its value.
        let words = machine.memory.len() as u32;
        let objects = step.outside().iter().filter(|(loc, _)| loc.0 < words);
        for &(loc, _) in objects.clone() {
            knows = self.learn(knows, loc);
        }
        for touch in step.touches.iter().filter(|touch| touch.loc.0 >= words) {
            knows = self.learn(knows, touch.loc);
        }
        for &(chosen, _) in values {
            knows = mix(knows, u64::from(chosen));
        }
        self.lanes[lane.index()] = knows;
        for &(loc, _) in objects.filter(|(_, writes)| *writes) {
            self.write_outside(loc, knows);
        }
        for touch in step.touches.iter().filter(|touch| touch.writes) {
            self.write(machine, words, touch, knows);
        }
        if let Some(summary) = step.forgets {
            self.lanes[lane.index()] = digest_of([!0, summary]);
        }
    }

    fn learn(&self, knows: Digest, loc: Loc) -> Digest {
        let history = self.histories[loc.0 as usize];
        mix(mix(mix(knows, u64::from(loc.0)), history as u64), (history >> 64) as u64)
    }

    fn write(&mut self, machine: &Machine, words: u32, touch: &Touch, knows: Digest) {
        if touch.loc.0 >= words {
            self.write_outside(touch.loc, knows);
            return;
        }
        let (at, now) = (u64::from(touch.loc.0), machine.memory.word(touch.loc));
        self.shared ^= digest_of([at, touch.old]) ^ digest_of([at, now]);
    }

    fn write_outside(&mut self, loc: Loc, knows: Digest) {
        let history = &mut self.histories[loc.0 as usize];
        self.undo_outside.push((loc, *history));
        let new = mix(mix(*history, knows as u64), (knows >> 64) as u64);
        let part = |history: Digest| mix(mix(history, u64::from(loc.0)), !0);
        self.shared ^= part(*history) ^ part(new);
        *history = new;
    }

    /// Whether the present state is new, or was never reached with so few preemptions. If preemptions count, the CPU that
    /// ran last is a part of the state.
    pub(super) fn is_new(&mut self, machine: &Machine, preemptions: u32, last: Option<Lane>) -> bool {
        let mut state = self.shared;
        for (lane, &knows) in self.lanes.iter().enumerate() {
            state ^= mix(mix(knows, lane as u64), 1);
        }
        for cpu in CpuId::all(machine.cpus.len()) {
            state = mix(state, u64::from(machine.cpus[cpu.index()].pending.get()));
        }
        state = mix(state, last.map_or(u64::MAX, |lane| u64::from(lane.0)));
        let before = self.seen.get(&state).copied();
        if before.is_some_and(|fewest| fewest <= preemptions) {
            return false;
        }
        self.seen.insert(state, preemptions);
        true
    }

    /// Forgets everything.
    pub(super) fn restart(&mut self) {
        self.truncate(0);
        self.seen.clear();
    }

    /// Goes back to the state before step `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.undo.len() > len {
            let Some(undo) = self.undo.pop() else { return };
            for (loc, history) in self.undo_outside.drain(undo.outside..).rev() {
                self.histories[loc.0 as usize] = history;
            }
            self.lanes[undo.lane.index()] = undo.lane_before;
            self.shared = undo.shared_before;
        }
    }
}
