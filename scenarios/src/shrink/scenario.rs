//! A simpler scenario, and with it a simpler schedule.
//!
//! One thing is removed at a time: a thread, a process, an operation, pages, CPUs. The old course says how to run
//! what is left. If that run does not end in the finding, a short search by the usual strategies looks for one
//! that does. In both cases its schedule is made simpler before the two runs are compared. After each success all
//! edits are tried from the start again, until no edit helps. If a check of the scenario made the finding, only
//! the schedule is made simpler.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use sim_core::source::Source;
use sim_mm::KernelConfig;

use super::edit::{Edit, edits};
use super::schedule::follow;
use super::{Size, simplify};
use crate::course::{Course, Follow};
use crate::explore::{Campaign, Goal, Strategy, Trace};
use crate::oracle::{Finding, OracleId};
use crate::scenario::{MachineSpec, Scenario, load};
use crate::world::{SetupError, World};

/// A scenario on one machine under one kernel.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its JSON.
    pub json: Value,
    /// The scenario that it says.
    pub scenario: Scenario,
    /// The machine.
    pub machine: MachineSpec,
    /// The kernel.
    pub kernel: KernelConfig,
}

/// A subject with a run of it that ends in a finding.
#[derive(Clone, Debug)]
pub struct Shrinking {
    /// What is run.
    pub subject: Subject,
    /// The run.
    pub trace: Trace,
    /// The size of both.
    pub size: Size,
}

/// About how many steps the search for one candidate may take.
const STEPS: u64 = 1_000_000;

/// The runs that the search for one candidate gets, if `shrink` gets no other number.
pub const RUNS: u64 = 2_000;

/// Shrinks a scenario, and the run of it that ends in the first finding of `trace`. `runs` is the largest number of runs of
/// the search for one candidate. `progress` hears of each candidate: its number, and the size that was reached.
///
/// # Errors
/// As [`World::new`], for the scenario as it is given.
pub fn shrink(
    subject: Subject,
    trace: Trace,
    runs: u64,
    stop: &AtomicBool,
    progress: &dyn Fn(u64, Size),
) -> Result<Shrinking, SetupError> {
    let _shrink = tracing::info_span!("shrink", scenario = subject.scenario.name).entered();
    let start = Size::of(&subject.scenario, subject.machine, &trace);
    let mut best = {
        let world = World::new(&subject.scenario, subject.machine, subject.kernel)?;
        let mut executor = world.executor();
        let trace = simplify(&world, &mut executor, trace);
        let size = Size::of(&subject.scenario, subject.machine, &trace);
        Shrinking { subject: subject.clone(), trace, size }
    };
    let mut tried = 0;
    'again: loop {
        let Some(finding) = best.trace.findings.first().cloned() else { return Ok(best) };
        // A check is about its own scenario, and says nothing about a smaller one.
        if finding.oracle() == OracleId::Check {
            return Ok(best);
        }
        for edit in edits(&best.subject.scenario, &best.subject.json) {
            if stop.load(Ordering::Relaxed) {
                return Ok(best);
            }
            tried += 1;
            progress(tried, best.size);
            let simpler = |new: &Shrinking| new.size < best.size && new.size.is_within(start);
            if let Some(simpler) = attempt(&best, &edit, &finding, runs).filter(simpler) {
                tracing::info!(candidate = tried, "{}", best.size.to(simpler.size));
                best = simpler;
                continue 'again;
            }
        }
        return Ok(best);
    }
}

/// The smaller failure to which an edit leads, if the finding is still there.
fn attempt(best: &Shrinking, edit: &Edit, finding: &Finding, runs: u64) -> Option<Shrinking> {
    let scenario = load("scenario", &edit.json.to_string()).ok()?;
    let machine =
        MachineSpec { cpus: edit.cpus().unwrap_or(best.subject.machine.cpus).max(1), ..best.subject.machine };
    let subject = Subject { json: edit.json.clone(), scenario, machine, kernel: best.subject.kernel };
    let world = World::new(&subject.scenario, subject.machine, subject.kernel).ok()?;
    let mut executor = world.executor();
    let wanted = |found: &Finding| found.is_like(finding);
    // A livelock repeats itself up to the bound on steps, so that its course says nothing. The search finds it as well.
    let source = match finding.oracle() {
        OracleId::Livelock => Source::First,
        _ => Follow::source(edit.carry(&Course::of(&best.trace)), &world).0,
    };
    let mut trace = follow(&world, &mut executor, source, best.trace.steps);
    if !trace.bring_first(wanted) {
        let scenario = &subject.scenario;
        let runs = runs.min(STEPS / best.trace.steps.max(1)).max(1);
        let (kernel, strategy) = (subject.kernel, Strategy::Portfolio);
        let campaign = Campaign::new(scenario, machine, kernel, strategy, runs);
        let found = |trace: &Trace| trace.findings.iter().any(wanted);
        let mut explored = campaign.explore(Goal::First(&found), &AtomicBool::new(false), &|_| ()).ok()?;
        trace = campaign.first(&mut explored).ok()??;
        trace.bring_first(wanted);
    }
    let trace = simplify(&world, &mut executor, trace);
    let size = Size::of(&subject.scenario, subject.machine, &trace);
    drop(executor);
    drop(world);
    Some(Shrinking { subject, trace, size })
}
