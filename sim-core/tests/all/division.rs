//! A search in units has the same ends as a search in one piece, whichever thread does a unit, and at any time.

use std::collections::{BTreeMap, BTreeSet};

use crate::reductions::{End, Program, end_of, ends, machine, programs};
use proptest::prelude::*;
use sim_core::source::Source;
use sim_core::systematic::{Division, Done, Reduction, Search, Subtree, Tally, Unit};
use sim_core::{Core, Executor, Platform};
use sim_core_testing::Model;

fn with_search<R>(core: &Core, ask: impl FnOnce(&mut Search) -> R) -> R {
    core.with_source(|source| match source {
        Source::Systematic(search) => ask(search),
        _ => unreachable!("nobody else took its place"),
    })
}

/// Does a unit on a machine of its own; `run` makes a run from the start.
fn perform<'m, P: Platform<'m>, E>(
    core: &'m Core,
    platform: &'m P,
    reduction: Reduction,
    unit: Unit,
    run: impl Fn(&mut Executor<'m, P>) -> E,
) -> (Done, Vec<E>) {
    let mut search = Search::new(core, reduction, None);
    let budget = unit.budget();
    search.begin(unit);
    core.set_source(Source::Systematic(Box::new(search)));
    let mut executor = Executor::new(core, platform);
    let mut ends = Vec::new();
    for _ in 0..budget {
        let end = run(&mut executor);
        let (pruned, more) = with_search(core, |search| (search.was_pruned(), search.advance()));
        if !pruned {
            ends.push(end);
        }
        if !more {
            break;
        }
    }
    (with_search(core, Search::finish), ends)
}

/// The runs that end less than `depth` steps from the start, and the subtrees there.
fn first_steps<'m, P: Platform<'m>, E>(
    core: &'m Core,
    platform: &'m P,
    depth: usize,
    run: impl Fn(&mut Executor<'m, P>) -> E,
) -> (Tally, Vec<E>, Vec<Subtree>) {
    let mut search = Search::new(core, Reduction::Sources, None);
    search.seek(depth);
    core.set_source(Source::Systematic(Box::new(search)));
    let mut executor = Executor::new(core, platform);
    let mut ends = Vec::new();
    loop {
        let end = run(&mut executor);
        let (pruned, more) = with_search(core, |search| (search.was_pruned(), search.advance()));
        ends.extend(Some(end).filter(|_| !pruned));
        if !more {
            let (tally, subtrees) = with_search(core, |search| (search.tally(), search.take_subtrees()));
            return (tally, ends, subtrees);
        }
    }
}

/// Does a search in units of `size` runs. If `eager`, each unit is done as soon as it is given out, long before it counts.
/// Otherwise it is done when its result is due. Answers what was done, and the ends in the order in which they count.
fn divided<E>(size: u64, eager: bool, perform: impl Fn(Unit) -> (Done, Vec<E>)) -> (Tally, Vec<E>) {
    done_in_units(Division::new(size, u64::MAX), eager, perform)
}

fn done_in_units<E>(
    mut division: Division,
    eager: bool,
    perform: impl Fn(Unit) -> (Done, Vec<E>),
) -> (Tally, Vec<E>) {
    let mut given = BTreeMap::new();
    let mut done = BTreeMap::new();
    let mut ends = Vec::new();
    loop {
        given.extend(std::iter::from_fn(|| division.give()));
        if eager {
            let units = std::mem::take(&mut given).into_iter().rev();
            done.extend(units.map(|(number, unit)| (number, perform(unit))));
        }
        let Some(due) = division.due() else { break };
        let of_due = done.remove(&due).or_else(|| given.remove(&due).map(&perform));
        let (result, of_unit) = of_due.expect("what is due was given out");
        division.add(result);
        ends.extend(of_unit);
    }
    assert!(division.is_over());
    (division.tally(), ends)
}

/// Does such a search for a random program.
fn program_divided(program: &Program, reduction: Reduction, size: u64, eager: bool) -> (Tally, Vec<End>) {
    divided(size, eager, |unit| {
        let machine = machine(program);
        perform(&machine.core, &machine, reduction, unit, |executor| end_of(&machine, executor, program))
    })
}

/// Does such a search, cut into the subtrees that begin so many steps from the start. The last subtree is done first.
fn program_cut(program: &Program, depth: usize, size: u64) -> (u64, Vec<End>) {
    let first = machine(program);
    let (tally, mut all, subtrees) =
        first_steps(&first.core, &first, depth, |executor| end_of(&first, executor, program));
    let mut complete = tally.complete;
    for subtree in subtrees.into_iter().rev() {
        let (tally, ends) = done_in_units(Division::below(size, subtree), true, |unit| {
            let machine = machine(program);
            perform(&machine.core, &machine, Reduction::Sources, unit, |executor| {
                end_of(&machine, executor, program)
            })
        });
        complete += tally.complete;
        all.extend(ends);
    }
    (complete, all)
}

/// Programs with more schedules take too long for a test.
const MANY: u64 = 400;

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ends_in_the_same_ways(program in programs()) {
        let Some((traces, all)) = ends(&program, Reduction::Sources, None) else { return Ok(()) };
        prop_assume!(traces.complete <= MANY);
        for size in [1, 2, 3, 7] {
            let whole = program_divided(&program, Reduction::Sources, size, false);
            prop_assert_eq!(&whole.1.iter().cloned().collect::<BTreeSet<End>>(), &all, "in units of {}", size);
            let ahead = program_divided(&program, Reduction::Sources, size, true);
            prop_assert_eq!(&whole, &ahead, "in units of {}, done before they are due", size);
        }
        prop_assert_eq!(program_divided(&program, Reduction::Sources, u64::MAX, false).0, traces, "in one unit");
    }

    /// Subtrees have nothing to say to each other.
    #[test]
    fn subtrees_end_in_the_same_ways(program in programs()) {
        let Some((traces, all)) = ends(&program, Reduction::Sources, None) else { return Ok(()) };
        prop_assume!(traces.complete <= MANY);
        for (depth, size) in [(1, 7), (2, 1), (5, 3), (9, 7), (30, 2)] {
            let (_, found) = program_cut(&program, depth, size);
            prop_assert_eq!(&found.into_iter().collect::<BTreeSet<End>>(), &all, "below step {}", depth);
        }
    }

    /// If nothing is left out, each interleaving is run exactly once.
    #[test]
    fn every_interleaving_once(program in programs()) {
        let Some((every, all)) = ends(&program, Reduction::None, None) else { return Ok(()) };
        prop_assume!(every.complete <= MANY);
        for size in [1, 3] {
            let (tally, found) = program_divided(&program, Reduction::None, size, true);
            prop_assert_eq!(&found.iter().cloned().collect::<BTreeSet<End>>(), &all, "in units of {}", size);
            prop_assert_eq!(tally, every, "in units of {}", size);
        }
    }
}

/// The executions on which GenMC and Nidhugg agree, each once.
#[test]
fn every_trace_once() {
    for (pages, threads, complete) in [(1, 3, 16), (2, 3, 256), (1, 4, 614)] {
        for size in [1, 3, 50] {
            let (tally, _) = divided(size, true, |unit| {
                let model = Model::new(pages, threads, true);
                perform(&model.core, &model, Reduction::Sources, unit, |executor| model.run(executor))
            });
            assert_eq!(tally.complete, complete, "{pages} pages, {threads} threads, in units of {size}");
        }
    }
}

/// The same if the search is cut into subtrees.
#[test]
fn every_trace_once_in_subtrees() {
    for (pages, threads, complete) in [(1, 3, 16), (2, 3, 256), (1, 4, 614)] {
        for depth in [1, 4, 10, 20] {
            let first = Model::new(pages, threads, true);
            let (tally, _, subtrees) = first_steps(&first.core, &first, depth, |executor| first.run(executor));
            let each = subtrees.into_iter().map(|subtree| {
                done_in_units(Division::below(50, subtree), false, |unit| {
                    let model = Model::new(pages, threads, true);
                    perform(&model.core, &model, Reduction::Sources, unit, |executor| model.run(executor))
                })
            });
            let found = tally.complete + each.map(|(tally, _)| tally.complete).sum::<u64>();
            assert_eq!(found, complete, "{pages} pages, {threads} threads, below step {depth}");
        }
    }
}

/// A search with a limit on its runs makes exactly so many, if there is enough to do, however it is divided.
#[test]
fn runs_at_most() {
    for size in [1, 7, 1_000] {
        let mut division = Division::new(size, 100);
        let mut runs = 0;
        while let Some((_, unit)) = division.give() {
            let model = Model::new(1, 4, true);
            let (done, ends) = perform(&model.core, &model, Reduction::None, unit, |executor| model.run(executor));
            division.add(done);
            runs += ends.len();
        }
        assert_eq!((runs, division.is_over()), (100, false), "in units of {size}");
        assert!(division.progress() > 0.0 && division.progress() < 1.0, "{}", division.progress());
    }
}
