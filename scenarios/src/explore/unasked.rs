//! Exploring when nobody said how: a small scenario is searched completely, and a large one is sampled.

use std::sync::atomic::AtomicBool;

use super::campaign::{Campaign, Explored, Goal};
use super::strategy::{Exhaustive, Strategy};
use crate::world::SetupError;

/// The number of runs of the search that comes first.
pub const RUNS_OF_SMALL: u64 = 2_000;

impl Campaign<'_> {
    /// Explores as [`explore`](Campaign::explore) does, if somebody has `chosen` how.
    ///
    /// Otherwise a search of few runs comes first. If it comes to its end and finds nothing, the result is *verified*, and a
    /// sample would add nothing. If not, the sample decides, so that its runs have the same numbers as always. A finding of
    /// the search is told only if the sample finds nothing.
    ///
    /// # Errors
    /// As [`World::new`](crate::world::World::new).
    pub fn explore_as_asked(
        &self,
        chosen: bool,
        goal: Goal<'_>,
        stop: &AtomicBool,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Explored, SetupError> {
        let mut found = None;
        if !chosen && self.strategy.samples() {
            let strategy = Strategy::Exhaustive(Exhaustive::TRACES);
            let small = Campaign { strategy, seed: 0, stride: 1, runs: RUNS_OF_SMALL, jobs: 1, ..*self };
            let first = match goal {
                Goal::First(accepts) => Goal::First(accepts),
                Goal::All => Goal::First(&|_| true),
            };
            let explored = small.explore(first, stop, &|_| ())?;
            if explored.first.is_none() && explored.extent.is_verified() {
                return Ok(explored);
            }
            found = explored.first.map(|_| Explored { searched: Some(strategy), ..explored });
        }
        let sampled = self.explore(goal, stop, progress)?;
        let nothing = match goal {
            Goal::First(_) => sampled.first.is_none(),
            Goal::All => sampled.found.is_empty(),
        };
        Ok(found.filter(|_| nothing && !sampled.interrupted).unwrap_or(sampled))
    }
}
