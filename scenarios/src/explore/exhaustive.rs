//! Exploring all schedules of a world.
//!
//! A search that ends after a few runs is one piece of work. Any other search begins anew, and is divided: `subtrees.rs`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sim_core::systematic::{Division, Reduction};

use super::campaign::{Campaign, Explored, Goal};
use super::count::{UNIT, WHOLE_SEARCH};
use super::extent::{Bounds, Extent};
use super::strategy::Exhaustive;
use super::through::Through;
use crate::world::SetupError;

impl Campaign<'_> {
    /// Runs every schedule that can matter, up to the budget of runs.
    pub(super) fn explore_all(
        &self,
        how: Exhaustive,
        goal: Goal<'_>,
        stop: &AtomicBool,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Explored, SetupError> {
        let _search = tracing::info_span!("search").entered();
        let told = AtomicU64::new(0);
        let tell = |now: f64| {
            let now = (now * WHOLE_SEARCH as f64) as u64;
            progress(now.saturating_sub(told.fetch_max(now, Ordering::Relaxed)));
        };
        // A search by states stays in one piece, because no other part would know which states were seen. A search of few
        // runs stays in one piece too.
        let stays_whole = how.reduction == Reduction::States || self.runs <= 2 * UNIT;
        let (runs, first): (u64, &dyn Fn(f64)) =
            // The progress of the first runs is not told, because the search may begin anew.
            if stays_whole { (self.runs, &tell) } else { (UNIT, &|_| ()) };
        let (explored, is_through) = self.explore_in_one(how, runs, goal, stop, first)?;
        if stays_whole || is_through || explored.first.is_some() || explored.interrupted {
            return Ok(explored);
        }
        self.explore_divided(goal, stop, &tell)
    }

    /// Does at most so many runs of a search, in one piece. The answer also says whether that was the whole search.
    fn explore_in_one(
        &self,
        how: Exhaustive,
        runs: u64,
        goal: Goal<'_>,
        stop: &AtomicBool,
        tell: &dyn Fn(f64),
    ) -> Result<(Explored, bool), SetupError> {
        let mut division = Division::new(runs, runs);
        let Some((_, unit)) = division.give() else { return Ok((Explored::default(), false)) };
        let world = self.world()?;
        let part = Through::new(&world, how).perform(unit, goal, stop, tell);
        division.add(part.done);
        let mut explored = part.explored;
        let is_through = division.is_over();
        explored.interrupted &= !is_through && explored.first.is_none();
        let bounds = Bounds { tally: division.tally(), preemptions: how.preemptions };
        explored.extent = if is_through && bounds.tally.cut == 0 {
            Extent::Verified(bounds)
        } else {
            Extent::Cut { bounds, progress: division.progress() }
        };
        Ok((explored, is_through))
    }
}
