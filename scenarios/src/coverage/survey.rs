//! Surveying a campaign: each of its runs traced, on any number of threads, with one result.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Coverage;
use super::reading::Reader;
use super::schedules::Schedules;
use crate::explore::Campaign;
use crate::world::{STEP_BOUND, SetupError, World};

/// Runs that a thread takes at a time.
const BLOCK: u64 = 64;

/// What the runs of a campaign covered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The part that adds up over campaigns.
    pub coverage: Coverage,
    /// The schedules of its runs.
    pub schedules: Schedules,
}

/// Traces the runs of the campaign. `progress` hears of runs that are done. `stop` may end it at any time. Then the survey
/// has the runs before the first that is missing.
///
/// # Errors
/// As [`World::new`].
pub fn survey(
    campaign: &Campaign<'_>,
    stop: &AtomicBool,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Survey, SetupError> {
    let next = AtomicU64::new(0);
    let blocks = Mutex::new(BTreeMap::new());
    let work = || -> Result<(), SetupError> {
        let world = campaign.world()?;
        let horizon = Campaign::horizon(&world);
        world.set_traced(true);
        loop {
            let start = next.fetch_add(BLOCK, Ordering::Relaxed);
            if start >= campaign.runs || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let block = survey_block(campaign, &world, horizon, start);
            progress(block.coverage.runs);
            blocks.lock().expect("no thread panics with it").insert(start, block);
        }
    };
    let results: Vec<Result<(), SetupError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..campaign.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a panic was reported by its thread")).collect()
    });
    results.into_iter().collect::<Result<(), SetupError>>()?;
    let mut whole = Survey::default();
    for (n, (start, block)) in (0..).zip(blocks.into_inner().expect("all threads are done")) {
        if start != n * BLOCK {
            break;
        }
        whole.coverage.add(&block.coverage);
        whole.schedules.append(block.schedules);
    }
    Ok(whole)
}

fn survey_block(campaign: &Campaign<'_>, world: &World<'_>, horizon: u64, start: u64) -> Survey {
    let mut executor = world.executor();
    let mut reader = Reader::new(world);
    let mut block = Survey::default();
    for index in start..(start + BLOCK).min(campaign.runs) {
        world.kernel().core().set_source(campaign.strategy.source(campaign.number(index), horizon));
        let summary = world.run(&mut executor, STEP_BOUND);
        let Survey { coverage, schedules } = &mut block;
        coverage.runs += 1;
        coverage.steps += summary.steps;
        coverage.violations += u64::from(summary.violation);
        coverage.safeguards.note(world.kernel());
        schedules.push(reader.read(&world.watch().take_log(), coverage));
    }
    executor.clear();
    block
}
