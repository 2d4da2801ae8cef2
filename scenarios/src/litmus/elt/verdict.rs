//! What source and SDM say about a program: the outcomes that the machine must have, and those in which the two differ.

use std::collections::BTreeSet;

use super::execution::{Execution, Space};
use super::program::Program;
use super::shape::Shape;
use crate::litmus::condition::Condition;
use crate::litmus::rule::{DIRTY, FLUSH, Rule, Rules, STALE, WALK};
use crate::litmus::test::{Difference, Test};

type Outcomes = BTreeSet<Vec<u64>>;

/// The outcomes of a program by the model of the source.
#[derive(Default)]
struct BySource {
    /// The outcomes of all executions that the model allows.
    allowed: Outcomes,
    /// The outcomes of those of them that the row is about.
    allowed_in_shape: Outcomes,
    /// Other outcomes of executions that the row is about. No execution that the model allows has them.
    forbidden_in_shape: Outcomes,
}

fn by_source(program: &Program, shape: &Shape) -> Result<BySource, String> {
    let mut outcomes = BySource::default();
    let space = Space { shared_walks: true, locked_dirty: false };
    // An execution that is forbidden before the values of loads are known stays forbidden with them, because they only add to
    // the relations.
    Execution::each(
        program,
        space,
        &mut |execution| execution.is_candidate() && execution.source_allows(),
        &mut |execution| {
            if execution.source_allows() {
                outcomes.allowed.insert(execution.outcome());
                if shape.has(execution) {
                    outcomes.allowed_in_shape.insert(execution.outcome());
                }
            }
        },
    )?;
    // An outcome depends on frames, D and data alone. So one execution for each choice of frames and D is enough.
    let mut seen = BTreeSet::new();
    Execution::each(
        program,
        space,
        &mut |execution| {
            execution.is_candidate()
                && shape.has(execution)
                && seen.insert((execution.frame.clone(), execution.dirty()))
        },
        &mut |execution| {
            outcomes.forbidden_in_shape.insert(execution.outcome());
        },
    )?;
    outcomes.forbidden_in_shape = &outcomes.forbidden_in_shape - &outcomes.allowed;
    Ok(outcomes)
}

fn by_sdm(program: &Program, rules: Rules) -> Result<Outcomes, String> {
    let mut outcomes = Outcomes::new();
    let space = Space { shared_walks: false, locked_dirty: rules.dirty };
    Execution::each(program, space, &mut |execution| execution.sdm_allows(rules), &mut |execution| {
        if execution.sdm_allows(rules) {
            outcomes.insert(execution.outcome());
        }
    })?;
    Ok(outcomes)
}

/// The test of a program.
///
/// # Errors
/// If it has too many executions, or the two models differ where no rule says why.
pub(super) fn test(
    name: &str,
    shape: &Shape,
    program: &Program,
    is_allowed: Option<bool>,
) -> Result<Test, String> {
    let source = by_source(program, shape)?;
    let sdm = by_sdm(program, Rules::SDM)?;
    let mut differs = Vec::new();
    if source.allowed != sdm {
        let forbidding = [FLUSH, WALK, DIRTY];
        let without = |rule: &Rule| Ok((*rule, by_sdm(program, Rules::without(*rule))?));
        let without = forbidding.iter().map(without).collect::<Result<Vec<_>, String>>()?;
        for outcome in &source.allowed - &sdm {
            let by = without.iter().filter(|(_, outcomes)| outcomes.contains(&outcome)).map(|(rule, _)| *rule);
            let by: Vec<Rule> = by.collect();
            // One rule may not be enough: then all of them together.
            let rules = if by.is_empty() { forbidding.to_vec() } else { by };
            differs.push(Difference { outcome, source_allows: true, rules });
        }
        let strict = by_sdm(program, Rules::without(STALE))?;
        for outcome in &sdm - &source.allowed {
            if strict.contains(&outcome) {
                return Err(format!("{outcome:?}: the source forbids it, and no rule of the SDM allows it"));
            }
            differs.push(Difference { outcome, source_allows: false, rules: vec![STALE] });
        }
    }
    let observe = program.observes();
    let asked = match is_allowed {
        Some(false) => &source.forbidden_in_shape - &sdm,
        _ => &source.allowed_in_shape & &sdm,
    };
    let all = |outcome: &Vec<u64>| {
        let values = observe.iter().zip(outcome);
        Condition::All(values.map(|(name, value)| Condition::Is(name.clone(), *value)).collect())
    };
    let condition = (!asked.is_empty()).then(|| Condition::Any(asked.iter().map(all).collect()));
    let test = Test {
        name: name.to_owned(),
        threads: program.instructions(),
        pages: Some(program.pages()),
        is_allowed,
        condition,
        observe,
        all_outcomes: Some(sdm),
        differs,
        ..Test::default()
    };
    test.check()?;
    Ok(test)
}
