//! Exhaustive exploration of the micro-model (`sim-core-testing`): it has the counts that other checkers have.

use sim_core::source::Source;
use sim_core::systematic::{Reduction, Search, Tally};
use sim_core::{Executor, Outcome};
use sim_core_testing::Model;

/// Runs every schedule; answers what was done, and whether one of them violated.
fn search(model: &Model, reduction: Reduction, preemptions: Option<u32>) -> (Tally, bool) {
    let core = &model.core;
    core.set_source(Source::Systematic(Box::new(Search::new(core, reduction, preemptions))));
    let mut executor = Executor::new(core, model);
    let mut violated = false;
    loop {
        let outcome = model.outcome(&mut executor);
        violated |= matches!(outcome, Outcome::Stopped);
        let advance = |source: &mut Source| match source {
            Source::Systematic(search) => (search.advance(), search.tally()),
            _ => unreachable!("nobody else took its place"),
        };
        let (more, tally) = core.with_source(advance);
        if !more {
            return (tally, violated);
        }
    }
}

/// Complete executions on which GenMC 0.10.3 and Nidhugg agree.
#[test]
fn traces() {
    for (pages, threads, complete) in [(1, 2, 7), (1, 3, 16), (2, 3, 256), (1, 4, 614), (4, 3, 65_536)] {
        let (tally, violated) = search(&Model::new(pages, threads, true), Reduction::Sources, None);
        assert_eq!((tally.complete, violated), (complete, false), "of {pages} pages and {threads} threads");
    }
}

#[test]
fn interleavings() {
    for (pages, threads, complete) in [(1, 2, 299), (1, 3, 4_026)] {
        let (tally, violated) = search(&Model::new(pages, threads, true), Reduction::None, None);
        assert_eq!((tally.complete, violated), (complete, false), "of {pages} pages and {threads} threads");
    }
}

/// The number of traces is multiplied by each page, and the number of states is not, because the frames of different pages
/// have nothing in common.
#[test]
fn states() {
    for (pages, threads, states) in [(1, 2, 85), (1, 3, 211), (2, 3, 1_368), (1, 4, 6_339), (4, 3, 16_948)] {
        let (tally, violated) = search(&Model::new(pages, threads, true), Reduction::States, None);
        assert_eq!((tally.states, violated), (states, false), "of {pages} pages and {threads} threads");
    }
}

/// Without the guard every search comes to the violation.
#[test]
fn violations() {
    let model = Model::new(1, 3, false);
    for (reduction, preemptions) in [
        (Reduction::None, None),
        (Reduction::Sources, None),
        (Reduction::States, None),
        (Reduction::States, Some(2)),
    ] {
        assert!(search(&model, reduction, preemptions).1, "by {reduction:?}");
    }
    // It takes a preemption after the entry was read, and another after the reference was taken.
    assert!(!search(&model, Reduction::States, Some(0)).1);
}
