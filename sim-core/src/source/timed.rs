//! The order of events on a real machine: the CPU whose clock is earliest goes next.

use super::random::Stream;
use crate::choice::{Choice, Chooser, Enabled, Transition};

/// The cycles that a store stays in the buffer while the CPU goes on. To fetch its line takes about as long.
const BUFFERED: u64 = 40;

/// The CPU with the earliest clock goes next. If several have the same clock, the one that ran last goes first, and then
/// the one with the lowest number.
///
/// - An interrupt that has arrived is taken before the CPU's next access.
/// - A buffered store reaches memory some cycles after it entered the buffer.
/// - A task is left only when it cannot go on, because no run is as long as a time slice.
/// - If the machine allows several values, the first is taken.
///
/// Clocks advance by waiting only under a cost model ([`Core::set_costs`](crate::Core::set_costs)). Without one, the
/// clock of a CPU that waited stays behind.
///
/// With jitter, each actor (a CPU's code, its interrupts, its store buffer) is late by a random number of
/// cycles, which is drawn anew each time the actor has acted. The delay decides who goes first, and is added to no clock.
///
/// A race whose window is a few cycles wide is met as seldom as on the machine. So this is no way to find such a race.
pub struct Timed {
    stream: Stream,
    jitter: usize,
    starts_within: usize,
    /// By how many cycles each actor is late. The list is empty without jitter.
    late: Vec<u64>,
    /// The time at which the oldest store of each buffer reaches memory, if there is one.
    due: Vec<Option<u64>>,
}

impl Timed {
    /// The run of a seed, with jitter of up to so many cycles. Without jitter all seeds give the same run.
    pub fn new(seed: u64, jitter: u32) -> Timed {
        let stream = Stream::new(seed);
        Timed { stream, jitter: jitter as usize, starts_within: 0, late: Vec::new(), due: Vec::new() }
    }

    /// The same, with clocks that start at random, up to so many cycles apart. On a real machine, threads that are
    /// released together do not begin together either.
    #[must_use]
    pub fn starting_within(self, cycles: u32) -> Timed {
        Timed { starts_within: cycles as usize, ..self }
    }

    /// The run in which nobody is ever late.
    pub fn exact() -> Timed {
        Timed::new(0, 0)
    }

    /// When the next of the CPUs starts.
    pub(crate) fn draw_start(&mut self) -> u64 {
        match self.starts_within {
            0 => 0,
            within => self.stream.below(within + 1) as u64,
        }
    }

    fn draw(&mut self) -> u64 {
        self.stream.below(self.jitter + 1) as u64
    }

    /// By how much an actor is late.
    fn lateness(&mut self, actor: usize) -> u64 {
        if self.jitter == 0 {
            return 0;
        }
        while self.late.len() <= actor {
            let late = self.draw();
            self.late.push(late);
        }
        self.late[actor]
    }

    /// Notes when the stores that entered a buffer since the last decision are due.
    fn note_drains(&mut self, enabled: &Enabled<'_>) {
        let before = std::mem::replace(&mut self.due, vec![None; enabled.cpus()]);
        for i in 0..enabled.len() {
            if let Transition::Drain(cpu) = enabled.get(i) {
                let noted = before.get(cpu.index()).copied().flatten();
                self.due[cpu.index()] = noted.or(Some(enabled.time(i) + BUFFERED));
            }
        }
    }

    /// When transition `i` would happen. Among those of one moment interrupts come first.
    fn moment(&mut self, enabled: &Enabled<'_>, i: usize) -> (u64, bool) {
        let late = self.lateness(enabled.actor(i));
        let time = enabled.time(i);
        match enabled.get(i) {
            Transition::Step(_) => (time + late, true),
            Transition::Interrupt(..) => (time + late, false),
            Transition::Switch(..) if enabled.preempts(i) => (u64::MAX, true),
            Transition::Switch(..) => (time + late, true),
            Transition::Drain(cpu) => (self.due[cpu.index()].unwrap_or(time) + late, true),
        }
    }
}

impl Chooser for Timed {
    // The other sources are inlined into the loop of the executor, and they are faster if this one is not.
    #[inline(never)]
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let Choice::Transition(enabled) = choice else { return 0 };
        if enabled.drains() || !self.due.is_empty() {
            self.note_drains(enabled);
        }
        let mut first = (self.moment(enabled, 0), 0);
        for i in 1..enabled.len() {
            first = first.min((self.moment(enabled, i), i));
        }
        let (_, chosen) = first;
        if self.jitter > 0 {
            self.late[enabled.actor(chosen)] = self.draw();
        }
        if let Transition::Drain(cpu) = enabled.get(chosen) {
            self.due[cpu.index()] = None;
        }
        chosen
    }
}
