//! Tests as lines of JSON.
//!
//! A line is an object. `threads` has the instructions of each thread in program order: `W x 1` stores, `R x r0` loads,
//! `F` is MFENCE, `X x 1 r0` is XCHG. Locations hold zero at first. `outcome` is the outcome that the test asks for, as values
//! by name. `outcomes_any` has several outcomes, and the test asks for any of them. `verdict` says whether the model allows
//! it. `observe` names the values of an outcome, and `all_outcomes` has every outcome that is allowed. Lines of the kind
//! `elt` are tests of translation: see [`elt`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::condition::Condition;
use super::elt::{self, RawShape};
use super::test::{Instruction, Test};

#[derive(Deserialize)]
struct Row {
    id: Option<String>,
    name: Option<String>,
    threads: Option<Vec<Vec<String>>>,
    kind: Option<String>,
    outcome: Option<BTreeMap<String, u64>>,
    outcomes_any: Option<Vec<BTreeMap<String, u64>>>,
    verdict: Option<Answer>,
    observe: Option<Vec<String>>,
    all_outcomes: Option<BTreeSet<Vec<u64>>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Allow,
    Forbid,
}

/// Reads tests, one from each line. A line that is no test gives an error of its own, with its number from 1.
pub fn read_rows(text: &str) -> Vec<(usize, Result<Test, String>)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| (n + 1, read_row(line))).collect()
}

fn read_row(line: &str) -> Result<Test, String> {
    let row: Row = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let name = row.id.or(row.name).ok_or("it has neither `id` nor `name`")?;
    match row.kind.as_deref() {
        None | Some("tso") => {}
        Some("elt") => {
            let shape: RawShape = serde_json::from_str(line).map_err(|error| format!("{name}: {error}"))?;
            let is_allowed = row.verdict.map(|verdict| verdict == Answer::Allow);
            return elt::test(name.clone(), &shape, is_allowed).map_err(|error| format!("{name}: {error}"));
        }
        Some(kind) => {
            return Err(format!("{name}: tests of kind `{kind}` are not modelled: `tso` and `elt` are"));
        }
    }
    let threads: Vec<Vec<Instruction>> = (row.threads.ok_or("it has no `threads`")?.iter())
        .map(|thread| thread.iter().map(|text| instruction(text)).collect())
        .collect::<Result<_, String>>()?;
    let all = |values: BTreeMap<String, u64>| {
        Condition::All(values.into_iter().map(|(name, value)| Condition::Is(name, value)).collect())
    };
    let condition = match (row.outcome, row.outcomes_any) {
        (Some(outcome), _) => Some(all(outcome)),
        (None, Some(any)) => Some(Condition::Any(any.into_iter().map(all).collect())),
        (None, None) => None,
    };
    let mut test = Test { name, threads, condition, ..Test::default() };
    test.is_allowed = row.verdict.map(|verdict| verdict == Answer::Allow);
    test.observe = row.observe.unwrap_or_else(|| test.everything());
    test.all_outcomes = row.all_outcomes;
    if let Some(bad) = test.all_outcomes.iter().flatten().find(|outcome| outcome.len() != test.observe.len()) {
        return Err(format!("an outcome has {} values, and `observe` has {}", bad.len(), test.observe.len()));
    }
    test.check()?;
    Ok(test)
}

fn instruction(text: &str) -> Result<Instruction, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |digits: &str| {
        digits.parse::<u64>().map_err(|_| format!("`{text}`: `{digits}` is not a value: decimal digits are"))
    };
    Ok(match *words.as_slice() {
        ["W", to, value] => Instruction::Store { to: to.to_owned(), value: number(value)? },
        ["R", from, into] => Instruction::Load { from: from.to_owned(), into: into.to_owned() },
        ["F"] => Instruction::Mfence,
        ["X", at, value, into] => {
            Instruction::Xchg { at: at.to_owned(), value: number(value)?, into: into.to_owned() }
        }
        _ => {
            return Err(format!(
                "`{text}` is not an instruction: `W x 1`, `R x r0`, `F` and `X x 1 r0` are modelled"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_test_or_says_why_not() {
        let sb = r#"{"name":"SB","threads":[["W x 1","R y r0"],["W y 1","F","R x r0"]],"outcome":{"P0.r0":0,"P1.r0":0},"verdict":"allow"}"#;
        let test = read_row(sb).expect("a test");
        assert_eq!((test.observe.join(" "), test.is_allowed), ("P0.r0 P1.r0 x y".to_owned(), Some(true)));
        assert_eq!(test.condition.expect("an outcome").to_string(), "P0.r0 = 0 and P1.r0 = 0");
        for (from, to, error) in [
            ("W x 1", "W x", "`W x` is not an instruction"),
            ("W x 1", "W x one", "`one` is not a value"),
            ("\"threads\"", "\"thread\"", "it has no `threads`"),
            ("\"name\":\"SB\",", "", "neither `id` nor `name`"),
            ("\"allow\"", "\"perhaps\"", "unknown variant"),
            ("\"P1.r0\":0", "\"P2.r0\":0", "no thread has the register of `P2.r0`"),
            ("\"name\"", "\"kind\":\"arm\",\"name\"", "tests of kind `arm` are not modelled"),
            ("\"name\"", "\"kind\":\"elt\",\"name\"", "SB: `W x 1` is not modelled: `WPTE e0`"),
        ] {
            let found = read_row(&sb.replacen(from, to, 1)).expect_err(error);
            assert!(found.contains(error), "{found}");
        }
    }
}
