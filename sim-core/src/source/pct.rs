//! Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010).

use super::priorities::Priorities;
use super::random::Stream;
use crate::choice::{Choice, Chooser};

/// The actor with the highest priority runs. At `depth - 1` random moments, the actor that would run gets the lowest.
///
/// A bug that needs `d` ordered events is found with probability at least 1/(n k^(d-1)) a run,
/// for n actors and k decisions. The code of a CPU, its interrupts, its store buffer and each task to which it could
/// switch are actors of their own.
pub struct Pct {
    stream: Stream,
    priorities: Priorities,
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
        Pct { stream, priorities: Priorities::default(), change_points, decisions: 0, lowest: DRAWN - 1 }
    }
}

impl Chooser for Pct {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let Choice::Transition(enabled) = choice else { return self.stream.below(choice.of()) };
        let Pct { stream, priorities, .. } = self;
        let mut best = priorities.highest(enabled, || stream.next() | DRAWN);
        if self.change_points.contains(&self.decisions) {
            priorities.set(enabled.actor(best), self.lowest);
            self.lowest -= 1;
            best = priorities.highest(enabled, || stream.next() | DRAWN);
        }
        self.decisions += 1;
        best
    }
}
