//! The number of executions up to the first violation, with the guard off.

use sim_core::Executor;
use sim_core::source::{Pct, Pos, Random, Source, Sticky};

use sim_core_testing::Model;

pub(crate) type Strategy = (&'static str, fn(u64) -> Source);

/// The most decisions that a run of one page and three threads takes.
const DECISIONS: u64 = 14;

pub(crate) const STRATEGIES: [Strategy; 5] = [
    ("random", |seed| Source::Random(Random::new(seed))),
    ("sticky", |seed| Source::Sticky(Sticky::new(seed))),
    ("pct depth 2", |seed| Source::Pct(Pct::new(seed, 2, DECISIONS))),
    ("pct depth 3", |seed| Source::Pct(Pct::new(seed, 3, DECISIONS))),
    ("pos", |seed| Source::Pos(Pos::new(seed))),
];

/// The number of executions up to the first violation, of each of `seeds` campaigns, in order of size.
pub(crate) fn violations(source: fn(u64) -> Source, seeds: u64) -> Vec<u64> {
    let model = Model::new(1, 3, false);
    let mut executor = Executor::new(&model.core, &model);
    let mut counts: Vec<_> = (0..seeds)
        .map(|campaign| {
            let mut executions = 0;
            loop {
                model.core.set_source(source(campaign << 32 | executions));
                executions += 1;
                if model.run(&mut executor) {
                    return executions;
                }
            }
        })
        .collect();
    counts.sort_unstable();
    counts
}
