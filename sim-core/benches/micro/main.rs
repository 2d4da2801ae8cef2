//! Compares sim-core with Shuttle, with Loom and with state machines that are written by hand. All take the same steps.
//!
//! `cargo bench -p sim-core --bench micro`. Without `--bench`, as under `cargo test --benches`, it
//! takes one short round and only shows that everything runs.

// A benchmark reads the host's clock and prints.
#![allow(clippy::disallowed_types, clippy::print_stdout)]

mod dpor;
mod first;
mod loom;
mod measure;
mod program;
mod shuttle;
mod twin;
mod twin_dpor;

use std::time::Duration;

use measure::{Engine, Spread, interleave, show};
use sim_core::source::{Random, Source};
use sim_core::{Executor, Loc};
use sim_core_testing::Model;
use twin::{Run, Twin};

struct Shape {
    pages: u32,
    threads: usize,
    /// How many times Shuttle's executions a second sim-core is to make.
    shuttle: Option<f64>,
}

const SHAPES: [Shape; 3] = [
    Shape { pages: 1, threads: 3, shuttle: Some(10.0) },
    Shape { pages: 4, threads: 3, shuttle: None },
    Shape { pages: 8, threads: 4, shuttle: Some(3.0) },
];

/// The same for Loom, at every shape.
const LOOM: f64 = 20.0;

const CAMPAIGNS: u64 = 21;

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let (rounds, slice) = if full { (7, Duration::from_millis(200)) } else { (1, Duration::from_millis(2)) };
    for shape in &SHAPES {
        check_twin(shape, true);
        check_twin(shape, false);
    }
    println!("Executions a second, guard on. Medians of {rounds} rounds of {slice:?} an engine; the ratios are");
    println!("sim-core's executions a second over the other's, round by round: median (least to greatest).\n");
    println!("pages threads  steps  engine    executions/s  ns/step  sim-core / engine             goal");
    let verdict = if full { judge } else { |_, goal| format!(">= {goal}: too short to tell") };
    for shape in &SHAPES {
        compare(shape, rounds, slice, verdict);
    }
    println!("\nExecutions to the first violation, guard off, 1 page, 3 threads, {CAMPAIGNS} campaigns.\n");
    println!("strategy       median     least  greatest");
    for (name, source) in first::STRATEGIES {
        let counts = first::violations(source, CAMPAIGNS);
        println!("{name:<12} {:>8}  {:>8}  {:>8}", counts[counts.len() / 2], counts[0], counts[counts.len() - 1]);
    }
    dpor::compare(rounds, slice, verdict);
}

/// With the same decisions, the twin must come to the same end.
fn check_twin(shape: &Shape, guard: bool) {
    let model = Model::new(shape.pages, shape.threads, guard);
    let mut executor = Executor::new(&model.core, &model);
    let mut twin = Twin::new(shape.pages, shape.threads, guard);
    for seed in 0..2_000 {
        model.core.set_source(Source::Random(Random::new(seed)));
        let violated = model.run(&mut executor);
        let run = Run { steps: model.core.steps(), violated };
        assert_eq!(twin.run(seed), run, "{} pages, seed {seed}", shape.pages);
        assert!(!(guard && violated), "{} pages, seed {seed}: the guard does not hold", shape.pages);
        let words = twin.words().iter().enumerate();
        assert!(words.into_iter().all(|(loc, &word)| model.core.memory.get(Loc(loc as u32)) == word));
    }
}

fn compare(shape: &Shape, rounds: usize, slice: Duration, verdict: fn(Spread, f64) -> String) {
    let &Shape { pages, threads, shuttle } = shape;
    let model = Model::new(pages, threads, true);
    let mut executor = Executor::new(&model.core, &model);
    let mut twin = Twin::new(pages, threads, true);
    let mut engines = [
        Engine::new("sim-core", |seed, executions| {
            let steps = |seed| {
                model.core.set_source(Source::Random(Random::new(seed)));
                model.run(&mut executor);
                model.core.steps()
            };
            (seed..seed + executions).map(steps).sum()
        }),
        Engine::new("shuttle", |seed, executions| self::shuttle::run(pages, threads, seed, executions)),
        Engine::new("loom", |_, executions| loom::run(pages, threads, executions)),
        Engine::new("twin", |seed, executions| (seed..seed + executions).map(|seed| twin.run(seed).steps).sum()),
    ];
    interleave(&mut engines, rounds, slice);

    let ours = &engines[0];
    for engine in &engines {
        let goal = match engine.name {
            "shuttle" => shuttle,
            "loom" => Some(LOOM),
            _ => None,
        };
        let ratio = ours.ratio(engine);
        println!(
            "{pages:>5} {threads:>7} {:>6.1}  {:<8} {:>13.0} {:>8.1}  {:<28}  {}",
            engine.steps_per_execution(),
            engine.name,
            engine.executions_per_second(),
            engine.ns_per_step(),
            if engine.name == ours.name { String::new() } else { show(ratio) },
            goal.map_or(String::new(), |goal| verdict(ratio, goal)),
        );
    }
}

fn judge(ratio: Spread, goal: f64) -> String {
    let verdict = if ratio.median >= goal { "met" } else { "MISSED" };
    format!(">= {goal}: {verdict}")
}
