//! All cells of the matrix.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sim_mm::Release;

use super::{Cell, Race};
use crate::in_order::in_order;

/// A race with its cells, one for each release.
#[derive(Clone, Debug)]
pub struct Row<'l> {
    /// The race.
    pub race: Race<'l>,
    /// Its cells, in the order of the releases.
    pub cells: Vec<Cell>,
}

/// Races against releases.
#[derive(Clone, Debug)]
pub struct Grid<'l> {
    /// The releases, the oldest first.
    pub releases: Vec<Release>,
    /// The races, by topic.
    pub rows: Vec<Row<'l>>,
}

/// How the cells are explored.
#[derive(Clone, Copy)]
pub struct Wanted<'w> {
    /// Runs of a cell at the most.
    pub runs: u64,
    /// Whether each violation is drawn.
    pub draws: bool,
    /// Threads. Their number changes nothing.
    pub jobs: usize,
    /// If this is set, there is no grid.
    pub stop: &'w AtomicBool,
    /// This hears how many cells are done.
    pub progress: &'w (dyn Fn(usize) + Sync),
}

impl Row<'_> {
    /// The releases that have the race, as ranges from the first to the last one that does.
    pub fn vulnerable(&self, releases: &[Release]) -> Vec<(Release, Release)> {
        let hits: Vec<(&Release, bool)> = releases.iter().zip(self.cells.iter().map(Cell::is_hit)).collect();
        let runs = hits.chunk_by(|one, next| one.1 == next.1).filter(|run| run[0].1);
        runs.map(|run| (*run[0].0, *run[run.len() - 1].0)).collect()
    }
}

/// Explores every race under the kernel of every release. `None`, if it was stopped.
pub fn grid<'l>(races: Vec<Race<'l>>, releases: Vec<Release>, wanted: Wanted<'_>) -> Option<Grid<'l>> {
    let places: Vec<(&Race<'_>, Release)> =
        races.iter().flat_map(|race| releases.iter().map(move |release| (race, *release))).collect();
    let done = AtomicUsize::new(0);
    let explored = in_order(
        &places,
        wanted.jobs,
        wanted.stop,
        || (),
        |(), (race, release)| {
            let cell = Cell::explore(race, *release, wanted.runs, wanted.draws, wanted.stop);
            (wanted.progress)(done.fetch_add(1, Ordering::Relaxed) + 1);
            cell
        },
    );
    let cells: Vec<Cell> = explored.into_iter().map(Option::flatten).collect::<Option<_>>()?;
    let mut cells = cells.into_iter();
    let rows = races.into_iter().map(|race| Row { race, cells: cells.by_ref().take(releases.len()).collect() });
    Some(Grid { rows: rows.collect(), releases })
}
