//! Exhaustive exploration: compares the search of sim-core with one that is written by hand, and with GenMC.

use std::time::{Duration, Instant};

use sim_core::Executor;
use sim_core::source::Source;
use sim_core::systematic::{Reduction, Search, Tally};

use crate::measure::{Engine, Spread, interleave, show};
use crate::twin_dpor::{TwinDpor, Work};
use sim_core_testing::Model;

struct Shape {
    pages: u32,
    threads: usize,
    /// Complete executions, on which GenMC 0.10.3 and Nidhugg agree.
    complete: u64,
    /// Whether its search takes long enough to be timed.
    timed: bool,
    /// Executions a second of GenMC.
    genmc: Option<f64>,
}

const SHAPES: [Shape; 4] = [
    Shape { pages: 1, threads: 3, complete: 16, timed: false, genmc: None },
    Shape { pages: 2, threads: 3, complete: 256, timed: false, genmc: None },
    Shape { pages: 1, threads: 4, complete: 614, timed: true, genmc: None },
    // GenMC 0.10.3 took 29 us an execution, user and system time, on a machine of the kind that
    // docs/performance.md is from.
    Shape { pages: 4, threads: 3, complete: 65_536, timed: true, genmc: Some(1e6 / 29.0) },
];

/// The goal: the executions a second of sim-core as a multiple of the twin's. A step may take 2.5 times as long as the twin's.
const TWIN: f64 = 0.4;

/// The same for GenMC.
const GENMC: f64 = 10.0;

/// Pages and threads whose states are counted. Of 8 pages there are 4 billion traces.
const BY_STATES: [(u32, usize); 2] = [(4, 3), (8, 3)];

/// Shows that both searches run the same executions, and how fast.
pub(crate) fn compare(rounds: usize, slice: Duration, verdict: fn(Spread, f64) -> String) {
    println!("\nAll executions, guard on, by source sets with sleep sets; whole searches, blocked runs included.");
    println!("Each execution runs from the start, and its steps count from there.\n");
    println!("pages threads  executions  steps  engine    executions/s  us/execution  ns/step  sim-core / engine");
    for shape in &SHAPES {
        check(shape);
        if shape.timed {
            time(shape, rounds, slice, verdict);
        }
    }
    println!("\nAll states, guard on: a run ends where it comes to a state that was seen before.\n");
    println!("pages threads    states      runs  seconds");
    for (pages, threads) in BY_STATES {
        let start = Instant::now();
        let (tally, _) = search(&Model::new(pages, threads, true), Reduction::States);
        let (runs, seconds) = (tally.complete + tally.blocked, start.elapsed().as_secs_f64());
        println!("{pages:>5} {threads:>7} {:>9} {runs:>9} {seconds:>8.3}", tally.states);
    }
}

/// Both searches must run the same executions.
fn check(shape: &Shape) {
    let &Shape { pages, threads, complete, .. } = shape;
    let (tally, steps) = search(&Model::new(pages, threads, true), Reduction::Sources);
    let work = Work { complete: tally.complete, blocked: tally.blocked, steps };
    assert_eq!(work.complete, complete, "{pages} pages, {threads} threads");
    assert_eq!(TwinDpor::new(pages, threads).search(), work, "{pages} pages, {threads} threads: the twin");
}

/// Runs the whole search. Answers what was done, and in how many steps.
fn search(model: &Model, reduction: Reduction) -> (Tally, u64) {
    let core = &model.core;
    core.set_source(Source::Systematic(Box::new(Search::new(core, reduction, None))));
    let mut executor = Executor::new(core, model);
    let mut steps = 0;
    loop {
        assert!(!model.run(&mut executor), "the guard does not hold");
        steps += core.steps();
        let done = core.with_source(|source| match source {
            Source::Systematic(search) => (!search.advance()).then(|| search.tally()),
            _ => unreachable!("nobody else took its place"),
        });
        if let Some(tally) = done {
            return (tally, steps);
        }
    }
}

fn time(shape: &Shape, rounds: usize, slice: Duration, verdict: fn(Spread, f64) -> String) {
    let &Shape { pages, threads, complete, genmc, .. } = shape;
    let model = Model::new(pages, threads, true);
    let mut twin = TwinDpor::new(pages, threads);
    // An engine always does whole searches, so each round is the same work.
    let mut engines = [
        Engine::new("sim-core", |_, searches| (0..searches).map(|_| search(&model, Reduction::Sources).1).sum()),
        Engine::new("twin", |_, searches| (0..searches).map(|_| twin.search().steps).sum()),
    ];
    interleave(&mut engines, rounds, slice);

    let executions = complete as f64;
    let row = |engine: &Engine<'_>, comparison: String| {
        let (steps, rate) =
            (engine.steps_per_execution() / executions, engine.executions_per_second() * executions);
        println!(
            "{pages:>5} {threads:>7} {complete:>11} {steps:>6.1}  {:<8} {rate:>13.0} {:>13.2} {:>8.1}  {comparison}",
            engine.name,
            1e6 / rate,
            engine.ns_per_step(),
        );
    };
    let [ours, twin] = &engines;
    let compared = |ratio, goal| format!("{:<28}  {}", show(ratio), verdict(ratio, goal));
    row(ours, String::new());
    row(twin, compared(ours.ratio(twin), TWIN));
    if let Some(rate) = genmc {
        let comparison = compared(ours.times(rate / executions), GENMC);
        let us = 1e6 / rate;
        println!(
            "{pages:>5} {threads:>7} {complete:>11} {:>6}  {:<8} {rate:>13.0} {us:>13.2} {:>8}  {comparison}",
            "", "genmc", ""
        );
    }
}
