//! The micro-model (`sim-core-testing`): it has the numbers of interleavings and of Mazurkiewicz traces that other checkers
//! count, and the violation that its guard prevents.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::common::{Explored, Log, explore};
use sim_core::{CpuId, Event, Executor, Loc};
use sim_core_testing::Model;

fn all(model: &Model) -> Explored<bool> {
    let mut executor = Executor::new(&model.core, model);
    explore(&model.core, || model.run(&mut executor))
}

/// Shared accesses are the steps. A compare-and-swap that fails is a step, and so is the one that tries again.
#[test]
fn all_interleavings() {
    for (pages, threads, interleavings) in [(1, 2, 299), (1, 3, 4_026)] {
        let explored = all(&Model::new(pages, threads, true));
        assert_eq!(explored.runs, interleavings, "of {pages} pages and {threads} threads");
        explored.is_exactly("with the guard, whether violated", [false]);
    }
}

#[test]
fn a_violation_without_the_guard() {
    all(&Model::new(1, 3, false)).sometimes("without the guard, whether violated", |violated| *violated);
    // A frame that nobody reuses has no references to take: without the allocator nothing goes wrong.
    all(&Model::new(1, 2, false)).is_exactly("without guard and allocator, whether violated", [false]);
}

/// The order of conflicting accesses to each word: groups of loads, in no order among themselves,
/// between single writes. An access is named by its CPU and its number among that CPU's accesses.
type Conflicts = BTreeMap<Loc, Vec<Vec<(CpuId, usize)>>>;

fn conflicts(events: &[(CpuId, Event)]) -> Conflicts {
    let mut taken = BTreeMap::<CpuId, usize>::new();
    let mut conflicts = Conflicts::new();
    for (cpu, event) in events {
        let Event::Access { kind, loc, .. } = event else { continue };
        let nth = taken.entry(*cpu).or_default();
        *nth += 1;
        let groups = conflicts.entry(*loc).or_insert_with(|| vec![Vec::new()]);
        if kind.writes() {
            groups.extend([vec![(*cpu, *nth)], Vec::new()]);
        } else {
            let loads = groups.last_mut().expect("a word begins with a group of loads");
            loads.push((*cpu, *nth));
            loads.sort_unstable();
        }
    }
    conflicts
}

/// The complete executions of GenMC and Nidhugg are the classes of interleavings in which every
/// conflict has the same order.
#[test]
fn all_traces() {
    for (pages, threads, traces) in [(1, 2, 7), (1, 3, 16)] {
        let model = Model::new(pages, threads, true);
        let log = Rc::new(Log::default());
        model.core.set_observer(Some(log.clone()));
        model.core.set_traced(true);
        let mut executor = Executor::new(&model.core, &model);
        let explored = explore(&model.core, || {
            log.clear();
            model.run(&mut executor);
            conflicts(&log.events())
        });
        assert_eq!(explored.reached.len(), traces, "of {pages} pages and {threads} threads");
    }
}
