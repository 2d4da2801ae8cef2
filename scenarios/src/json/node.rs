//! A cursor over the parsed file. It notes an error and goes on, so that all errors come at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::{Range as Span, Ranged};

use super::error::Problem;
use super::source::Source;
use super::suggest::{did_you_mean_one_of, quote, quote_all, visible};

/// What decoding finds out beside the values.
#[derive(Default)]
pub(crate) struct Notes {
    problems: RefCell<Vec<Problem>>,
    /// The place of each value that was read, by its path.
    spots: RefCell<BTreeMap<String, Range<usize>>>,
    /// Names that values with errors may define. It is no error to use one.
    forgiven: RefCell<BTreeSet<String>>,
}

/// A value of the file.
pub(crate) struct Node<'a> {
    value: &'a Value<'a>,
    path: String,
    notes: &'a Notes,
}

/// An object with known fields.
pub(crate) struct Fields<'a> {
    object: &'a Object<'a>,
    known: Vec<&'static str>,
    path: String,
    notes: &'a Notes,
}

/// Decoders of `{"tag": body}` by tag.
pub(crate) type Tags<T> = [(&'static str, fn(&Node<'_>) -> Option<T>)];

static EMPTY: Value<'static> = Value::Object(Object { range: Span { start: 0, end: 0 }, properties: Vec::new() });

impl Notes {
    /// Notes an error of the value at a path.
    pub(crate) fn error(&self, path: &str, message: String, help: Option<String>) {
        let range = self.spots.borrow().get(path).cloned().unwrap_or_default();
        self.error_at(range, path.to_owned(), message, help);
    }

    fn error_at(&self, range: Range<usize>, path: String, message: String, help: Option<String>) {
        self.problems.borrow_mut().push(Problem { range, path, message, help });
    }

    /// Whether the file has a value at a path, good or not.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.spots.borrow().contains_key(path)
    }

    /// Whether an unknown name is no error, because an error that is noted already may be the reason for it.
    pub(crate) fn forgives(&self, name: &str) -> bool {
        name.is_empty() || self.forgiven.borrow().contains(name)
    }

    /// The text, with the places of all values that were read.
    pub(crate) fn source(&self, file_name: &str, text: &str) -> Source {
        Source::new(file_name, text, self.spots.borrow().clone())
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

impl<'a> Node<'a> {
    /// The whole file.
    pub(crate) fn root(value: &'a Value<'a>, notes: &'a Notes) -> Node<'a> {
        Node::new(value, String::new(), notes)
    }

    fn new(value: &'a Value<'a>, path: String, notes: &'a Notes) -> Node<'a> {
        notes.spots.borrow_mut().insert(path.clone(), bytes(value));
        Node { value, path, notes }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Notes an error of this value.
    pub(crate) fn error(&self, message: impl Into<String>) {
        self.error_with_help(message, None);
    }

    /// Notes an error of this value, and how to mend it.
    pub(crate) fn error_with_help(&self, message: impl Into<String>, help: Option<String>) {
        self.notes.error_at(bytes(self.value), self.path.clone(), message.into(), help);
    }

    /// Allows the use of all names that this value may have been meant to define.
    pub(crate) fn forgive(&self) {
        let mut forgiven = self.notes.forgiven.borrow_mut();
        let mut rest = vec![self.value];
        while let Some(value) = rest.pop() {
            match value {
                Value::StringLit(text) => {
                    forgiven.insert(text.value.clone().into_owned());
                }
                Value::Array(array) => rest.extend(&array.elements),
                Value::Object(object) => rest.extend(object.properties.iter().map(|property| &property.value)),
                Value::NumberLit(_) | Value::BooleanLit(_) | Value::NullKeyword(_) => {}
            }
        }
    }

    /// An object of these fields. Other fields are errors, and so are duplicates.
    pub(crate) fn object(&self, known: &[&'static str]) -> Option<Fields<'a>> {
        let Value::Object(object) = self.value else {
            return self.expected("an object");
        };
        let mut seen = BTreeSet::new();
        for property in &object.properties {
            let name = property.name.as_str();
            let message = match (known.contains(&name), seen.insert(name)) {
                (true, true) => continue,
                (false, _) => format!("unknown field {}", quote(name)),
                (true, false) => format!("duplicate field {}", quote(name)),
            };
            let help = if known.contains(&name) { None } else { did_you_mean_one_of(name, known) };
            let range = property.name.range();
            self.notes.error_at(range.start..range.end, join(&self.path, name), message, help);
        }
        Some(Fields { object, known: known.to_vec(), path: self.path.clone(), notes: self.notes })
    }

    /// The members of an object whose keys the writer of the file chooses. Duplicates are errors.
    pub(crate) fn members(&self) -> Option<Vec<(&'a str, Node<'a>)>> {
        let Value::Object(object) = self.value else {
            return self.expected("an object");
        };
        let mut seen = BTreeSet::new();
        let mut members = Vec::new();
        for property in &object.properties {
            let name = property.name.as_str();
            if seen.insert(name) {
                members.push((name, Node::new(&property.value, join(&self.path, name), self.notes)));
            } else {
                let range = property.name.range();
                let message = format!("duplicate field {}", quote(name));
                self.notes.error_at(range.start..range.end, join(&self.path, name), message, None);
            }
        }
        Some(members)
    }

    /// The elements of an array.
    pub(crate) fn items(&self) -> Option<Vec<Node<'a>>> {
        let Value::Array(array) = self.value else {
            return self.expected("an array");
        };
        let item = |(i, value)| Node::new(value, format!("{}[{i}]", self.path), self.notes);
        Some(array.elements.iter().enumerate().map(item).collect())
    }

    /// The elements, if it is an array.
    pub(crate) fn elements(&self) -> Vec<Node<'a>> {
        if self.value.as_array().is_some() { self.items().unwrap_or_default() } else { Vec::new() }
    }

    /// The good elements of an array.
    pub(crate) fn list<T>(&self, decode: impl Fn(&Node<'a>) -> Option<T>) -> Option<Vec<T>> {
        Some(self.items()?.iter().filter_map(decode).collect())
    }

    /// `{"tag": body}`, or `"tag"`, which stands for `{"tag": {}}`.
    pub(crate) fn tagged<T>(&self, kind: &str, tags: &Tags<T>) -> Option<T> {
        let (tag, range, body) = match self.value {
            Value::StringLit(text) => (&*text.value, text.range, None),
            Value::Object(object) => match &object.properties[..] {
                [property] => (property.name.as_str(), property.name.range(), Some(&property.value)),
                properties => {
                    let count = if properties.is_empty() { "none" } else { "more than one" };
                    self.error(format!("expected an object with the {kind} as its one key, found {count}"));
                    return None;
                }
            },
            _ => return self.expected(&format!("the {kind} as an object with one key")),
        };
        let path = if body.is_some() { join(&self.path, tag) } else { self.path.clone() };
        let Some((tag, decode)) = tags.iter().find(|(name, _)| *name == tag) else {
            let names: Vec<&str> = tags.iter().map(|(name, _)| *name).collect();
            let help = did_you_mean_one_of(tag, &names);
            self.notes.error_at(range.start..range.end, path, format!("unknown {kind} {}", quote(tag)), help);
            return None;
        };
        if let Some(body) = body {
            return decode(&Node::new(body, path, self.notes));
        }
        // If the object is not there and fields are missing, the error stands at the string.
        let decoded = decode(&Node::root(&EMPTY, &Notes::default()));
        if decoded.is_none() {
            let help = format!("write `{{\"{tag}\": {{...}}}}`");
            self.error_with_help(format!("{kind} `{tag}` needs fields"), Some(help));
        }
        decoded
    }

    /// A string.
    pub(crate) fn string(&self) -> Option<&'a str> {
        match self.value {
            Value::StringLit(text) => Some(&text.value),
            _ => self.expected("a string"),
        }
    }

    /// A string that has something to read.
    pub(crate) fn text(&self) -> Option<String> {
        let text = self.string()?;
        if text.is_empty() {
            self.error("this string is empty");
            return None;
        }
        // A text may have several lines. It may not have characters that nobody sees, or that change a terminal.
        if let Some(hidden) = text.chars().find(|c| !visible(*c) && !matches!(c, '\n' | '\t')) {
            self.error(format!("this string has U+{:04X}, which nobody sees", u32::from(hidden)));
            return None;
        }
        Some(text.to_owned())
    }

    /// The string, if it is one.
    pub(crate) fn as_string(&self) -> Option<&'a str> {
        self.value.as_string_lit().map(|text| &*text.value)
    }

    /// A field, if the value is an object that has the field.
    pub(crate) fn peek(&self, name: &str) -> Option<Node<'a>> {
        field(self.value.as_object()?, name, &self.path, self.notes)
    }

    /// Whether it is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.value.as_object().is_some()
    }

    /// Whether it is an array without elements.
    pub(crate) fn is_empty_array(&self) -> bool {
        self.value.as_array().is_some_and(|array| array.elements.is_empty())
    }

    /// A name that other parts of the file use: it starts with a letter.
    pub(crate) fn name(&self) -> Option<String> {
        let text = self.string()?;
        let rest_is_good = || text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= MAX_NAME && rest_is_good() {
            return Some(text.to_owned());
        }
        let help = format!("a letter, then letters, digits, `-`, `_` or `.`, at most {MAX_NAME} in all");
        self.error_with_help(format!("{} is not a name", quote(text)), Some(help));
        self.forgive();
        None
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::BooleanLit(literal) => Some(literal.value),
            _ => self.expected("`true` or `false`"),
        }
    }

    /// An integer of a range.
    pub(crate) fn integer<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Display + PartialOrd + TryFrom<i128>,
    {
        let good = |digits: &str| digits.parse().ok().and_then(|n: i128| T::try_from(n).ok());
        if let Value::NumberLit(literal) = self.value
            && let Some(number) = good(literal.value)
            && range.contains(&number)
        {
            return Some(number);
        }
        self.expected(&format!("an integer from {} to {}", range.start(), range.end()))
    }

    /// One of some named values. A name that will be modelled `later` gives another error than a wrong name.
    pub(crate) fn named<T: Copy>(&self, kind: &str, names: &[(T, &str)], later: &[&str]) -> Option<T> {
        let text = self.string()?;
        if let Some((value, _)) = names.iter().find(|(_, name)| *name == text) {
            return Some(*value);
        }
        let today: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
        if later.contains(&text) {
            let help = format!("modelled today: {}", quote_all(&today));
            self.error_with_help(format!("{kind} {} is not modelled yet", quote(text)), Some(help));
        } else {
            let help = did_you_mean_one_of(text, &today);
            self.error_with_help(format!("unknown {kind} {}", quote(text)), help);
        }
        None
    }

    /// Notes that the text of this string is not what it should be.
    pub(crate) fn malformed<T>(&self, text: &str, expected: &str) -> Option<T> {
        self.error(format!("expected {expected}, found {}", quote(text)));
        None
    }

    /// Notes that the value is not what it should be.
    pub(crate) fn expected<T>(&self, what: &str) -> Option<T> {
        let found = match self.value {
            Value::NumberLit(literal) => quote(literal.value),
            Value::StringLit(_) => "a string".to_owned(),
            Value::BooleanLit(literal) => quote(&literal.value.to_string()),
            Value::Object(_) => "an object".to_owned(),
            Value::Array(_) => "an array".to_owned(),
            Value::NullKeyword(_) => "`null`".to_owned(),
        };
        self.error(format!("expected {what}, found {found}"));
        None
    }
}

/// The most characters of a name. Diagrams have 75 columns.
pub(crate) const MAX_NAME: usize = 48;

impl<'a> Fields<'a> {
    /// The value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<Node<'a>> {
        debug_assert!(self.known.contains(&name), "`{name}` is not among the known fields");
        field(self.object, name, &self.path, self.notes)
    }

    /// A field that must be there.
    pub(crate) fn required<T>(&self, name: &str, decode: impl FnOnce(&Node<'a>) -> Option<T>) -> Option<T> {
        let Some(node) = self.get(name) else {
            self.missing(name);
            return None;
        };
        decode(&node)
    }

    /// Notes that a field is missing.
    pub(crate) fn missing(&self, name: &str) {
        let brace = self.object.range.start;
        self.notes.error_at(brace..brace + 1, self.path.clone(), format!("missing field {}", quote(name)), None);
    }

    /// A field that may be absent. `None`, if it has errors; `Some(None)`, if it is not there.
    pub(crate) fn optional<T>(
        &self,
        name: &str,
        decode: impl FnOnce(&Node<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        self.get(name).map_or(Some(None), |node| decode(&node).map(Some))
    }

    /// A field with a default.
    pub(crate) fn or<T>(&self, name: &str, default: T, decode: impl FnOnce(&Node<'a>) -> Option<T>) -> Option<T> {
        self.get(name).map_or(Some(default), |node| decode(&node))
    }
}

fn bytes(value: &Value<'_>) -> Range<usize> {
    value.start()..value.end()
}

fn field<'a>(object: &'a Object<'a>, name: &str, path: &str, notes: &'a Notes) -> Option<Node<'a>> {
    let property = object.properties.iter().find(|property| property.name.as_str() == name)?;
    Some(Node::new(&property.value, join(path, name), notes))
}

/// The path of a field.
fn join(path: &str, field: &str) -> String {
    let plain = !field.is_empty() && field.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    match (plain && field.len() <= MAX_NAME, path) {
        (true, "") => field.to_owned(),
        (true, _) => format!("{path}.{field}"),
        (false, _) => format!("{path}[{}]", quote(field)),
    }
}
