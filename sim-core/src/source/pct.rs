//! Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010).

use super::random::Stream;
use crate::choice::{Choice, Chooser, Transition};

/// The highest priority runs; at `depth - 1` random moments the one that would run becomes the lowest.
///
/// A bug that needs `d` ordered events is found with probability at least 1/(n k^(d-1)) a run,
/// for n actors and k decisions. A CPU's code, its interrupts, its store buffer and its scheduler are
/// actors of their own.
pub struct Pct {
    stream: Stream,
    /// Of each actor; drawn when the actor first shows.
    priority: Vec<u64>,
    change_points: Vec<u64>,
    decisions: u64,
    lowest: u64,
}

/// Priorities drawn at the start lie above those given at change points.
const DRAWN: u64 = 1 << 63;

impl Pct {
    /// The run of a seed, for bugs of `depth` events in runs of about `decisions` decisions.
    pub fn new(seed: u64, depth: u32, decisions: u64) -> Pct {
        let mut stream = Stream::new(seed);
        let horizon = usize::try_from(decisions.max(1)).unwrap_or(usize::MAX);
        let change_points = (1..depth).map(|_| stream.below(horizon) as u64).collect();
        Pct { stream, priority: Vec::new(), change_points, decisions: 0, lowest: DRAWN - 1 }
    }
}

impl Chooser for Pct {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let Choice::Transition(enabled) = choice else { return self.stream.below(choice.of()) };
        let cpus = enabled.cpus();
        if self.priority.is_empty() {
            self.priority.extend((0..Transition::ACTORS * cpus).map(|_| self.stream.next() | DRAWN));
        }
        let highest =
            |priority: &[u64]| (0..enabled.len()).max_by_key(|&i| priority[enabled.actor(i)]).unwrap_or(0);
        let mut best = highest(&self.priority);
        if self.change_points.contains(&self.decisions) {
            self.priority[enabled.actor(best)] = self.lowest;
            self.lowest -= 1;
            best = highest(&self.priority);
        }
        self.decisions += 1;
        best
    }
}
