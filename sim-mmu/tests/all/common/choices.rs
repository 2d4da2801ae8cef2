//! All runs of a program, over all choices of values that the machine allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use sim_core::Decision;
use sim_core::source::{Replay, Source};

use super::{Machine, lines};

/// The outcomes of runs, each with what happened in the first run that had it.
pub(crate) type Reached<T> = BTreeMap<T, String>;

/// The outcomes of `run` over all choices.
pub(crate) fn over_all_choices<T: Ord>(machine: &Machine, mut run: impl FnMut() -> T) -> Reached<T> {
    let core = &machine.mmu.core;
    core.keep_decisions(true);
    let mut reached = BTreeMap::new();
    let mut prefix: Vec<(u32, u32)> = Vec::new();
    loop {
        machine.rewind();
        core.set_source(Source::Replay(Replay::lenient(prefix.clone())));
        let end = run();
        let decisions = core.decisions();
        reached.entry(end).or_insert_with(|| story(machine, &decisions));
        let Some(last) = decisions.iter().rposition(|decision| decision.chosen + 1 < decision.of) else {
            core.keep_decisions(false);
            return reached;
        };
        prefix = decisions[..=last].iter().map(|decision| (decision.chosen, decision.of)).collect();
        prefix[last].0 += 1;
    }
}

fn story(machine: &Machine, decisions: &[Decision]) -> String {
    let chosen: Vec<String> = decisions.iter().map(Decision::to_string).collect();
    format!("with the choices {chosen:?}:{}", lines(&machine.events()))
}

/// `reached` and `expected` must be the same. If not, this says which outcome is impossible and how it came about, and which
/// outcome is missing.
#[track_caller]
pub(crate) fn assert_exactly<T: Ord + Debug>(what: &str, reached: &Reached<T>, expected: &BTreeSet<T>) {
    let missing: Vec<_> = expected.iter().filter(|end| !reached.contains_key(end)).collect();
    let impossible = reached.iter().filter(|(end, _)| !expected.contains(end));
    let stories: Vec<String> = impossible.map(|(end, story)| format!("\n{end:?} was reached {story}")).collect();
    assert!(
        stories.is_empty() && missing.is_empty(),
        "{what}\n  possible: {expected:?}\n  not reached: {missing:?}\n  impossible, but reached:{}",
        stories.concat()
    );
}
