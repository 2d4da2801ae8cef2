//! Tests of memory order and translation together: rows of kind `elt`, in the vocabulary of TransForm (ISCA 2020).
//!
//! A row is a shape without values. It becomes a [`Program`](program::Program). All executions of the program are judged
//! twice: by the [model of the source](model), and by the [same model with the rules of the SDM](super::rule::RULES) in which
//! the two differ. So each outcome that the machine must have is known before it runs. For each outcome in which source and
//! SDM differ there is a rule with its section.

mod execution;
mod model;
mod program;
mod reading;
mod shape;
mod verdict;

pub(super) use shape::RawShape;

use super::test::Test;

/// The test that a row becomes.
///
/// # Errors
/// What is wrong with it, or not modelled.
pub(super) fn test(name: String, raw: &RawShape, is_allowed: Option<bool>) -> Result<Test, String> {
    let shape = raw.shape()?;
    let mut programs = shape.programs().into_iter();
    let first = verdict::test(&name, &shape, &programs.next().ok_or("it has no program")?, is_allowed)?;
    if first.condition.is_some() {
        return Ok(first);
    }
    // The first program may have no execution that the row is about. Another may have one.
    for program in programs {
        let other = verdict::test(&name, &shape, &program, is_allowed)?;
        if other.condition.is_some() {
            return Ok(other);
        }
    }
    Ok(first)
}
