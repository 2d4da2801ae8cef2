//! Partial order sampling (Yuan, Yang, Gu, CAV 2018).

use super::priorities::Priorities;
use super::random::Stream;
use crate::choice::{Choice, Chooser};

/// The actor with the highest priority runs. Then it draws a new priority, and so does every actor whose announced
/// operation races with what it did. So orders of racing operations are sampled far more evenly than by a random walk.
pub struct Pos {
    stream: Stream,
    priorities: Priorities,
}

impl Pos {
    /// The run of a seed.
    pub fn new(seed: u64) -> Pos {
        Pos { stream: Stream::new(seed), priorities: Priorities::default() }
    }
}

impl Chooser for Pos {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let Choice::Transition(enabled) = choice else { return self.stream.below(choice.of()) };
        let Pos { stream, priorities } = self;
        let best = priorities.highest(enabled, || stream.next());
        let chosen = enabled.accesses(best);
        for i in 0..enabled.len() {
            // Transitions that are no accesses commute with all others.
            let races = || chosen.zip(enabled.accesses(i)).is_some_and(|(one, other)| one.races(other));
            if i == best || races() {
                priorities.set(enabled.actor(i), stream.next().max(1));
            }
        }
        best
    }
}
