//! Partial order sampling (Yuan, Yang, Gu, CAV 2018).

use super::random::Stream;
use crate::choice::{Choice, Chooser, Transition};

/// The highest priority runs; then it, and every announced operation that races with what it did,
/// draws a new one. So each partial order is about as likely as any other.
pub struct Pos {
    stream: Stream,
    priority: Vec<u64>,
}

impl Pos {
    /// The run of a seed.
    pub fn new(seed: u64) -> Pos {
        Pos { stream: Stream::new(seed), priority: Vec::new() }
    }
}

impl Chooser for Pos {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let Choice::Transition(enabled) = choice else { return self.stream.below(choice.of()) };
        let cpus = enabled.cpus();
        if self.priority.is_empty() {
            self.priority.extend((0..Transition::ACTORS * cpus).map(|_| self.stream.next()));
        }
        let best = (0..enabled.len()).max_by_key(|&i| self.priority[enabled.actor(i)]).unwrap_or(0);
        let performed = enabled.op(best);
        for i in 0..enabled.len() {
            let races = match (performed, enabled.op(i)) {
                (Some(a), Some(b)) => a.conflicts(&b),
                _ => false,
            };
            if i == best || races {
                self.priority[enabled.actor(i)] = self.stream.next();
            }
        }
        best
    }
}
