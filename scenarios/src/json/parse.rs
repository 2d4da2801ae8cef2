//! Reading the text of a file: strict JSON, within bounds.

use std::ops::Range;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::de::IgnoredAny;

use super::error::{LoadErrors, Problem};
use super::node::{Node, Notes};

/// The most bytes of a file.
const MAX_BYTES: usize = 1 << 18;

/// The options of the parser: JSON, and no extension of it.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads a file. The answer is what `decode` makes of it, or all errors that it notes.
pub(crate) fn decode<T>(
    file_name: &str,
    text: &str,
    decode: impl FnOnce(&Node<'_>) -> Option<T>,
) -> Result<T, LoadErrors> {
    decode_with_notes(file_name, text, |root, _| decode(root))
}

/// Reads a file in the same way, for code that notes errors without the cursor.
pub(crate) fn decode_with_notes<T>(
    file_name: &str,
    text: &str,
    decode: impl FnOnce(&Node<'_>, &Notes) -> Option<T>,
) -> Result<T, LoadErrors> {
    let all = |problems| LoadErrors::locate(file_name, text, problems);
    let value = parse(text).map_err(|problem| all(vec![problem]))?;
    let notes = Notes::default();
    let decoded = decode(&Node::root(&value, &notes), &notes);
    let problems = notes.into_problems();
    match decoded {
        Some(decoded) if problems.is_empty() => Ok(decoded),
        _ => Err(all(problems)),
    }
}

/// The place of the value of a key of an object: line and column, from 1.
pub(crate) fn place_of(text: &str, key: &str) -> Option<(usize, usize)> {
    let start = range_of(text, key)?.start;
    let before = text.get(..start)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
}

/// The bytes of the value of a key of an object.
fn range_of(text: &str, key: &str) -> Option<Range<usize>> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT).ok()?.value?;
    let value = &parsed.as_object()?.get(key)?.value;
    Some(value.start()..value.end())
}

/// The value of a key of an object, without the rest of the file. It stands at the same line and column as in `text`.
pub(crate) fn part_in_place(text: &str, key: &str) -> Option<String> {
    let range = range_of(text, key)?;
    let before = text.get(..range.start)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let lines = "\n".repeat(before.matches('\n').count());
    let columns = " ".repeat(before[line_start..].chars().count());
    Some(lines + &columns + text.get(range)?)
}

fn parse(text: &str) -> Result<Value<'_>, Problem> {
    let problem = |range, message| Problem { range, path: String::new(), message, help: None };
    if text.len() > MAX_BYTES {
        return Err(problem(0..0, format!("the file has {} bytes, and may have {MAX_BYTES}", text.len())));
    }
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT)
        .map_err(|error| problem(error.range().start..error.range().end, wording(error.kind())))?;
    let value = parsed.value.ok_or_else(|| problem(0..0, "the file is empty: expected an object".to_owned()))?;
    strictly(text).map_err(|(at, message)| problem(at..at, message))?;
    Ok(value)
}

/// Refuses what the parser accepts and JSON does not: control characters in strings, and other white space.
fn strictly(text: &str) -> Result<(), (usize, String)> {
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| {
        let line_start: usize = text.split_inclusive('\n').take(error.line() - 1).map(str::len).sum();
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        (line_start + error.column().saturating_sub(1), message.trim_end_matches(&place).to_owned())
    })
}

/// The message of the parser, in the words of the other messages.
fn wording(kind: &ParseErrorKind) -> String {
    match kind {
        ParseErrorKind::UnterminatedObject => "this object has no end".to_owned(),
        ParseErrorKind::UnterminatedArray => "this array has no end".to_owned(),
        ParseErrorKind::MultipleRootJsonValues => "expected the end of the file".to_owned(),
        ParseErrorKind::NestingDepthExceeded => "nested too deep".to_owned(),
        ParseErrorKind::UnexpectedWord => "unexpected word: strings stand between double quotes".to_owned(),
        other => {
            let text = other.to_string();
            let mut letters = text.chars();
            letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let errors =
            decode("f.json", text, |root| root.object(&[]).map(drop)).expect_err("the text is no object").errors;
        format!("{}:{}: {}", errors[0].line, errors[0].column, errors[0].message)
    }

    #[test]
    fn only_strict_json_is_json() {
        for (text, expected) in [
            ("", "1:1: the file is empty: expected an object"),
            (" \n ", "1:1: the file is empty: expected an object"),
            ("{", "1:1: this object has no end"),
            ("[1, 2", "1:1: this array has no end"),
            ("{} {}", "1:4: expected the end of the file"),
            ("{}\n// x", "2:1: comments are not allowed"),
            ("{ \"a\": 1, }", "1:9: trailing commas are not allowed"),
            ("{ a: 1 }", "1:3: expected string for object property"),
            ("{ \"a\": 0x10 }", "1:8: hexadecimal numbers are not allowed"),
            ("{ \"a\": yes }", "1:8: unexpected word: strings stand between double quotes"),
            ("{ \"a\":\n\"b\nc\" }", "2:2: control character (\\u0000-\\u001F) found while parsing a string"),
            ("{\u{a0}}", "1:2: key must be a string"),
            ("\u{feff}{}", "1:1: unexpected token"),
        ] {
            assert_eq!(message(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_part_of_a_file_keeps_its_place() {
        let text = "{ \"a\": 1,\n  \"b\": [\n  2 ] }";
        assert_eq!(part_in_place(text, "b").as_deref(), Some("\n       [\n  2 ]"));
        assert_eq!(place_of(text, "b"), Some((2, 8)));
        assert_eq!(part_in_place(text, "c"), None);
    }

    #[test]
    fn absurd_files_are_errors() {
        for open in ["[", "{\"a\":", "{\"threads\":["] {
            let text = open.repeat(100_000);
            let text = &text[..text.len().min(MAX_BYTES)];
            assert!(message(text).ends_with("nested too deep"), "{open}");
        }
        assert!(message(&"[]".repeat(MAX_BYTES)).contains("the file has 524288 bytes"));
        assert!(message(&"9".repeat(MAX_BYTES)).len() < 200);
        assert_eq!(message("[[]]"), "1:1: expected an object, found an array");
    }
}
