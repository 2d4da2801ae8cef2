//! Reads what a test asks for. It stands after the code.

use winnow::ascii::{multispace0, space0};
use winnow::combinator::{alt, delimited, opt, preceded, separated};
use winnow::prelude::*;
use winnow::token::take_while;

use super::operand::{name, number};
use super::syntax::Syntax;
use crate::litmus::condition::Condition;
use crate::litmus::test::Test;

/// A register of a thread, or a location.
pub(super) fn observed_name(input: &mut &str) -> ModalResult<String> {
    let register = (take_while(1.., |c: char| c.is_ascii_digit()), ":", opt("%"), name)
        .map(|(thread, _, _, register): (&str, _, _, String)| format!("P{thread}.{register}"));
    alt((register, delimited("[", name, "]"), name)).parse_next(input)
}

fn binding(input: &mut &str) -> ModalResult<(String, u64)> {
    (observed_name, (space0, "=", space0), number).map(|(name, _, value)| (name, value)).parse_next(input)
}

/// Several conditions as one. A single condition stays as it is.
fn list(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}

fn any(input: &mut &str) -> ModalResult<Condition> {
    separated(1.., all, (multispace0, "\\/", multispace0))
        .map(|parts| list(parts, Condition::Any))
        .parse_next(input)
}

fn all(input: &mut &str) -> ModalResult<Condition> {
    separated(1.., one, (multispace0, "/\\", multispace0))
        .map(|parts| list(parts, Condition::All))
        .parse_next(input)
}

fn one(input: &mut &str) -> ModalResult<Condition> {
    let not = preceded((alt(("~", "not")), multispace0), one).map(|part| Condition::Not(Box::new(part)));
    let truth = alt(("true".map(|_| Condition::All(Vec::new())), "false".map(|_| Condition::Any(Vec::new()))));
    let inner = delimited(("(", multispace0), any, (multispace0, ")"));
    alt((inner, not, binding.map(|(name, value)| Condition::Is(name, value)), truth)).parse_next(input)
}

/// Reads what follows the code: `locations`, and what the test asks for.
///
/// # Errors
/// If a part of it is not modelled.
pub(super) fn condition(tail: &str, syntax: Syntax, test: &mut Test) -> Result<(), String> {
    let mut rest = tail.trim();
    let mut listed = Vec::new();
    if let Some(list) = rest.strip_prefix("locations") {
        let (list, after) = list
            .trim_start()
            .strip_prefix('[')
            .and_then(|list| list.split_once(']'))
            .ok_or("`locations` has no list in brackets")?;
        for item in list.split(';').map(str::trim).filter(|item| !item.is_empty()) {
            let name = observed_name.parse(item).map_err(|_| format!("locations: `{item}` is not modelled"))?;
            listed.push(syntax.observed(&name));
        }
        rest = after.trim();
    }
    if rest.starts_with("filter") {
        return Err("`filter` is not modelled".to_owned());
    }
    let (kind, text) = ["exists", "~exists", "forall"]
        .into_iter()
        .find_map(|kind| Some((kind, rest.strip_prefix(kind)?)))
        .unwrap_or(("", ""));
    if kind.is_empty() && !rest.is_empty() {
        return Err(format!("`{}` is not modelled", rest.lines().next().unwrap_or_default()));
    }
    if !kind.is_empty() {
        let asked = delimited(multispace0, any, multispace0).parse(text).map_err(|error| {
            format!("condition: what begins with `{}` is not modelled", snippet(text, error.offset()))
        })?;
        let asked = asked.renamed(&|name| syntax.observed(name));
        (test.condition, test.is_allowed) = match kind {
            "forall" => (Some(Condition::Not(Box::new(asked))), Some(false)),
            "~exists" => (Some(asked), Some(false)),
            _ => (Some(asked), None),
        };
    }
    test.condition.iter().for_each(|condition| condition.names(&mut |name| listed.push(name.to_owned())));
    listed.iter().for_each(|name| {
        if !test.observe.contains(name) {
            test.observe.push(name.clone());
        }
    });
    if test.observe.is_empty() {
        test.observe = test.everything();
    }
    Ok(())
}

fn snippet(text: &str, at: usize) -> String {
    text.get(at..).unwrap_or_default().chars().take(20).collect()
}
