//! A cell of the matrix: what exploring one race under the kernel of one release found.

use std::sync::atomic::AtomicBool;

use sim_mm::{KernelConfig, Release};

use super::Race;
use crate::explain::explain;
use crate::explore::{Campaign, Explored, Goal, Strategy, Trace};
use crate::oracle::Finding;
use crate::scenario::KernelSpec;
use crate::shrink::simplify;
use crate::world::SetupError;

/// What was found in one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The release cannot run the scenario, for this reason: it is older than one of its operations, say.
    NotThere(String),
    /// No violation in so many runs.
    Clean(u64),
    /// A violation.
    Hit(Hit),
}

/// A violation of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What it is.
    pub title: String,
    /// Whether some case of the scenario knows the race by the oracle that found it.
    pub is_known: bool,
    /// The number of runs up to it.
    pub runs: u64,
    /// Its diagram, if it was asked for.
    pub diagram: Option<String>,
}

impl Cell {
    /// Whether the release has the race.
    pub fn is_hit(&self) -> bool {
        matches!(self, Cell::Hit(hit) if hit.is_known)
    }

    /// The character that stands for it in a table: `#` for the race, `o` for another violation, `.` for none, and a blank if it cannot be run.
    pub fn mark(&self) -> char {
        match self {
            Cell::NotThere(_) => ' ',
            Cell::Clean(_) => '.',
            Cell::Hit(hit) if hit.is_known => '#',
            Cell::Hit(_) => 'o',
        }
    }

    /// Explores a race under the kernel of a release. `None`, if it was stopped.
    pub(super) fn explore(
        race: &Race<'_>,
        release: Release,
        runs: u64,
        draws: bool,
        stop: &AtomicBool,
    ) -> Option<Cell> {
        let kernel = KernelSpec { version: Some(release), ..KernelSpec::default() }.resolve();
        match found(race, kernel, runs, stop) {
            Err(error) => Some(Cell::NotThere(error.why.to_string())),
            Ok((explored, _)) if explored.interrupted => None,
            Ok((explored, None)) => Some(Cell::Clean(explored.runs)),
            Ok((explored, Some(trace))) => {
                let finding = of_race(race, &trace).or(trace.findings.first())?.clone();
                let diagram = draws.then(|| drawn(race, kernel, trace, &finding)).and_then(Result::ok);
                let is_known = race.is_known_by(finding.oracle().name());
                Some(Cell::Hit(Hit { title: finding.title(), is_known, runs: explored.runs, diagram }))
            }
        }
    }
}

/// Looks for the first violation. One that no case knows ends the search as well, for it may come in each run.
fn found(
    race: &Race<'_>,
    kernel: KernelConfig,
    runs: u64,
    stop: &AtomicBool,
) -> Result<(Explored, Option<Trace>), SetupError> {
    let campaign = Campaign::new(race.scenario, race.machine, kernel, Strategy::Portfolio, runs);
    let mut explored = campaign.explore(Goal::First(&|_| true), stop, &|_| ())?;
    let trace = campaign.first(&mut explored)?;
    Ok((explored, trace))
}

fn of_race<'t>(race: &Race<'_>, trace: &'t Trace) -> Option<&'t Finding> {
    trace.findings.iter().find(|finding| race.is_known_by(finding.oracle().name()))
}

fn drawn(
    race: &Race<'_>,
    kernel: KernelConfig,
    mut trace: Trace,
    finding: &Finding,
) -> Result<String, SetupError> {
    let campaign = Campaign::new(race.scenario, race.machine, kernel, Strategy::Portfolio, 1);
    let world = campaign.world()?;
    trace.put_first(&finding.title());
    let simple = simplify(&world, &mut world.executor(), trace);
    let first = simple.findings.first().unwrap_or(finding);
    Ok(explain(&world, &simple, first, &[(1, simple.steps)]))
}
