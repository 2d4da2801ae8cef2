//! Does an item: explores a case, or replays a record.

use std::path::PathBuf;
use std::sync::Arc;

use super::evidence::{Evidence, Explored, Hit};
use super::pieces::{Piece, Search};
use super::plan::{Item, Kind, Options};
use super::shard::Shard;
use super::stop::Stop;
use crate::case::{Budget, Report, Verdict, configuration, judge};
use crate::explore::{self, Campaign, Extent, Strategy, Trace};
use crate::json::EXCERPT;
use crate::library::Loaded;
use crate::oracle::Finding;
use crate::record::{Provenance, Record};
use crate::scenario::Case;
use crate::shrink::simplify;
use crate::world::{SetupError, World, told_unchecked};

/// The work for an item of a plan.
#[derive(Clone, Debug)]
pub enum Work {
    /// A case of a scenario.
    Case(Arc<Loaded>, Box<Case>),
    /// A record, and the file that it was read from.
    Record(PathBuf, Box<Record>),
    /// Nothing can be done.
    Nothing,
}

impl Work {
    /// Does a shard's part of the item on `jobs` threads.
    pub(super) fn perform(
        &self,
        item: &Item,
        options: &Options,
        shard: Shard,
        jobs: usize,
        stop: &Stop,
    ) -> Evidence {
        let done = match (self, &item.kind) {
            (_, Kind::Bad { error }) => Err(error.clone()),
            (Work::Case(loaded, case), kind) => explore(loaded, case, kind, options, shard, jobs, stop),
            (Work::Record(path, record), _) => replay(record, &path.display().to_string()),
            (Work::Nothing, _) => Err("there is nothing to do".to_owned()),
        };
        done.unwrap_or_else(|error| Evidence::Bad { error })
    }
}

fn explore(
    loaded: &Loaded,
    case: &Case,
    kind: &Kind,
    options: &Options,
    shard: Shard,
    jobs: usize,
    stop: &Stop,
) -> Result<Evidence, String> {
    let budget = match kind {
        Kind::Sampled { runs } => Budget {
            runs: Some(shard.share(*runs)),
            seed: options.seed + shard.index() - 1,
            stride: shard.of(),
            jobs,
        },
        Kind::Exhaustive => {
            Budget { runs: options.runs, seed: options.seed + shard.index() - 1, stride: shard.of(), jobs }
        }
        _ => Budget { runs: options.runs, seed: options.seed, stride: 1, jobs },
    };
    let runs = budget.runs_for(case);
    let report = judge(&loaded.scenario, case, budget, stop.flag(), &|_| ()).map_err(|e| e.to_string())?;
    let cut = report.explored.interrupted.then(|| stop.why());
    let hit = hit(loaded, case, &report).map_err(|error| error.to_string())?;
    if report.explored.searched.is_some() {
        // Its runs are no part of a sample, and every shard did the same search.
        return Ok(Evidence::Explored(Box::new(Explored {
            searched: hit,
            ..Explored::of_nothing(report.verdict)
        })));
    }
    let (failed, whole_runs) = (report.explored.tally.failed_how(&loaded.scenario), report.explored.tally.runs);
    let unchecked = report.explored.tally.unchecked();
    let unchecked = unchecked.into_iter().map(|check| told_unchecked(&loaded.scenario, check)).collect();
    let extent = report.explored.extent;
    let search = search(loaded, &report, runs).filter(|_| shard.of() > 1);
    let exhaustive = (extent != Extent::Sampled).then(|| match &search {
        Some(part) => part.to_string(),
        None => extent.to_string(),
    });
    Ok(Evidence::Explored(Box::new(Explored {
        verdict: report.verdict,
        runs: report.explored.runs,
        found: report.explored.found.into_iter().map(|found| (found.run, found.title)).collect(),
        hit,
        cut,
        exhaustive,
        unchecked,
        failed,
        whole_runs,
        search,
        searched: None,
    })))
}

/// The part of a shard in a search, if the search was divided.
fn search(loaded: &Loaded, report: &Report, budget: u64) -> Option<Search> {
    let piece = |piece: &explore::Piece| {
        let explore::Piece { subtree, explored, tally, progress } = piece;
        let checks = explored.tally.unchecked();
        let unchecked = checks.into_iter().map(|check| told_unchecked(&loaded.scenario, check)).collect();
        Piece {
            subtree: *subtree,
            progress: *progress,
            runs: explored.runs,
            complete: tally.complete,
            blocked: tally.blocked,
            cut: tally.cut,
            hit: explored.first,
            found: explored.found.iter().map(|found| (found.run, found.title.clone())).collect(),
            unchecked: explored.tally.has_ended().then_some(unchecked),
            failed: explored.tally.failed_how(&loaded.scenario),
            whole_runs: explored.tally.runs,
        }
    };
    let explored = &report.explored;
    let pieces = explored.pieces.iter().map(piece).collect();
    (explored.subtrees > 0).then_some(Search { budget, subtrees: explored.subtrees, pieces })
}

/// The finding that decided, with a record if nobody expected it.
fn hit(loaded: &Loaded, case: &Case, report: &Report) -> Result<Option<Hit>, SetupError> {
    let (Some(trace), Some(finding), Some(run)) = (&report.trace, &report.finding, report.explored.first) else {
        return Ok(None);
    };
    let unexpected = report.verdict == Verdict::Violation;
    let strategy = report.explored.by(case.explore.into());
    let record = unexpected.then(|| record(loaded, case, (strategy, run), trace.clone(), finding)).transpose()?;
    let message = record.as_ref().map_or_else(|| finding.violation.to_string(), |record| record.message.clone());
    Ok(Some(Hit { run, title: finding.title(), message, record }))
}

/// The record of a run, made simpler.
fn record(
    loaded: &Loaded,
    case: &Case,
    (strategy, run): (Strategy, u64),
    mut trace: Trace,
    finding: &Finding,
) -> Result<Record, SetupError> {
    let (machine, kernel) = configuration(&loaded.scenario, case);
    let campaign = Campaign { seed: run, ..Campaign::new(&loaded.scenario, machine, kernel, strategy, 1) };
    let world = campaign.world()?;
    let mut executor = world.executor();
    trace.put_first(&finding.title());
    let simple = simplify(&world, &mut executor, trace);
    let provenance = Provenance::of(Some(case.name.clone()), campaign.strategy, run);
    Ok(Record::new(&world, machine, &simple, &loaded.text, provenance))
}

fn replay(record: &Record, file: &str) -> Result<Evidence, String> {
    let (scenario, machine, kernel) = record.open(file).map_err(|error| format!("{error:.EXCERPT$}"))?;
    let source = record.source().map_err(|what| format!("{file}: {what}"))?;
    let world = World::new(&scenario, machine, kernel).map_err(|error| error.to_string())?;
    let mut executor = world.executor();
    let mut trace = Trace::record(&world, &mut executor, source);
    trace.put_first(&record.expect);
    let difference = record.difference(&trace);
    if difference.is_none() {
        record.verify(file, &world, &mut executor, &trace).map_err(|error| error.to_string())?;
    }
    Ok(Evidence::Replayed { steps: trace.steps, difference })
}
