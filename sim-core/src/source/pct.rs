//! Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010).

use super::priorities::Priorities;
use super::random::Stream;
use crate::choice::{Choice, Chooser, Enabled};

/// The actor with the highest priority runs. At `depth - 1` random moments, the actor that would run gets the lowest.
///
/// A bug that needs `d` ordered events is found with probability at least 1/(n k^(d-1)) a run,
/// for n actors and k decisions. The code of a CPU, its interrupts, its store buffer and each task to which it could
/// switch are actors of their own.
pub struct Pct {
    stream: Stream,
    priorities: Priorities,
    change_points: Vec<u64>,
    /// The first of the change points that is still to come.
    next_change: Option<u64>,
    decisions: u64,
    lowest: u64,
    /// The CPUs among which the last decision was, if it was among steps only, and the actor that it took.
    settled: Option<(u64, usize)>,
}

/// Priorities drawn at the start lie above those given at change points.
const DRAWN: u64 = 1 << 63;

impl Pct {
    /// The run of a seed, for bugs of `depth` events in runs of about `decisions` decisions.
    pub fn new(seed: u64, depth: u32, decisions: u64) -> Pct {
        let mut stream = Stream::new(seed);
        let horizon = usize::try_from(decisions.max(1)).unwrap_or(usize::MAX);
        let change_points: Vec<_> = (1..depth).map(|_| stream.below(horizon) as u64).collect();
        Pct {
            next_change: change_points.iter().min().copied(),
            stream,
            priorities: Priorities::default(),
            change_points,
            decisions: 0,
            lowest: DRAWN - 1,
            settled: None,
        }
    }

    /// The actor that would run gets the lowest priority.
    #[cold]
    fn change(&mut self, enabled: &Enabled<'_>, best: usize) {
        self.priorities.set(enabled.actor(best), self.lowest);
        self.lowest -= 1;
        self.next_change = self.change_points.iter().filter(|point| **point > self.decisions).min().copied();
    }
}

impl Chooser for Pct {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let Choice::Transition(enabled) = choice else { return self.stream.below(choice.of()) };
        let changes = self.next_change == Some(self.decisions);
        let only_steps = enabled.only_steps();
        // Between two change points nobody gets another priority. So while the same CPUs can step, the same one goes on.
        if !changes
            && let (Some(cpus), Some((among, actor))) = (only_steps, self.settled)
            && cpus == among
            && enabled.actor(0) == actor
        {
            self.decisions += 1;
            return 0;
        }
        let mut best = self.priorities.highest(enabled, || self.stream.next() | DRAWN);
        if changes {
            self.change(enabled, best);
            best = self.priorities.highest(enabled, || self.stream.next() | DRAWN);
        }
        self.settled = only_steps.map(|cpus| (cpus, enabled.actor(best)));
        self.decisions += 1;
        best
    }
}
