//! Kinds of values that many objects have.

use std::fmt::Display;
use std::marker::PhantomData;

use serde_json::{Value, json};

use super::node::{MAX_NAME, Node};

/// A kind of value: how it is read, and what a schema says of it.
pub(crate) trait Kind {
    /// The type of the value in the program.
    type Value;

    /// Reads a value. Errors are noted at the node.
    fn decode(node: &Node<'_>) -> Option<Self::Value>;

    /// The schema of such values. It may accept what the decoder refuses, never the other way round.
    fn schema() -> Value;
}

/// A string that is not empty.
pub(crate) struct Text;

impl Kind for Text {
    type Value = String;
    fn decode(node: &Node<'_>) -> Option<String> {
        node.text()
    }
    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1, "title": "a text" })
    }
}

/// A name that other parts of the file may use.
pub(crate) struct Name;

impl Kind for Name {
    type Value = String;
    fn decode(node: &Node<'_>) -> Option<String> {
        node.name()
    }
    fn schema() -> Value {
        let title = format!("a name: a letter, then letters, digits, `-`, `_` or `.`, at most {MAX_NAME} in all");
        json!({ "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]*$", "maxLength": MAX_NAME, "title": title })
    }
}

/// `true` or `false`.
pub(crate) struct Bool;

impl Kind for Bool {
    type Value = bool;
    fn decode(node: &Node<'_>) -> Option<bool> {
        node.boolean()
    }
    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

/// An integer from `LO` to `HI`.
pub(crate) struct Int<T, const LO: i128, const HI: i128>(PhantomData<T>);

impl<T, const LO: i128, const HI: i128> Kind for Int<T, LO, HI>
where
    T: Copy + Display + PartialOrd + TryFrom<i128>,
{
    type Value = T;
    fn decode(node: &Node<'_>) -> Option<T> {
        let end = |end: i128| T::try_from(end).ok().expect("the declaration's bounds are of its type");
        node.integer(end(LO)..=end(HI))
    }
    fn schema() -> Value {
        let end =
            |end: i128| serde_json::Number::from_i128(end).expect("the declaration's bounds are of its type");
        json!({ "type": "integer", "minimum": end(LO), "maximum": end(HI) })
    }
}

/// An array. Elements with errors are left out.
pub(crate) struct List<K>(PhantomData<K>);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;
    fn decode(node: &Node<'_>) -> Option<Vec<K::Value>> {
        node.list(K::decode)
    }
    fn schema() -> Value {
        json!({ "type": "array", "items": K::schema() })
    }
}

/// An array that is not empty.
pub(crate) struct NonEmpty<K>(PhantomData<K>);

impl<K: Kind> Kind for NonEmpty<K> {
    type Value = Vec<K::Value>;
    fn decode(node: &Node<'_>) -> Option<Vec<K::Value>> {
        if node.is_empty_array() {
            node.error("expected at least one value");
            return None;
        }
        node.list(K::decode)
    }
    fn schema() -> Value {
        json!({ "type": "array", "items": K::schema(), "minItems": 1 })
    }
}

/// An array with a result for each element, good or not. So each place in the list is the place in the file.
pub(crate) struct Each<K>(PhantomData<K>);

impl<K: Kind> Kind for Each<K>
where
    K::Value: Default,
{
    type Value = Vec<K::Value>;
    fn decode(node: &Node<'_>) -> Option<Vec<K::Value>> {
        Some(node.items()?.iter().map(|item| K::decode(item).unwrap_or_default()).collect())
    }
    fn schema() -> Value {
        json!({ "type": "array", "items": K::schema() })
    }
}

/// A closed set of values with names.
pub(crate) trait Named: Copy + PartialEq + 'static {
    /// The name of such a value in an error.
    const WHAT: &'static str;
    /// Every value with its name.
    const NAMES: &'static [(Self, &'static str)];
    /// Names that exist, but are not modelled yet.
    const LATER: &'static [&'static str] = &[];

    /// A sentence on what a value is, if its name does not say enough.
    fn about(self) -> Option<&'static str> {
        None
    }
}

impl<T: Named> Kind for T {
    type Value = T;
    fn decode(node: &Node<'_>) -> Option<T> {
        node.named(T::WHAT, T::NAMES, T::LATER)
    }
    fn schema() -> Value {
        match T::NAMES.iter().map(|(value, name)| Some((*name, value.about()?))).collect::<Option<Vec<_>>>() {
            Some(values) => described(values.into_iter()),
            None => json!({ "enum": T::NAMES.iter().map(|(_, name)| *name).collect::<Vec<_>>() }),
        }
    }
}

/// The schema of a value that is one of some names. Each name has a sentence.
pub(crate) fn described(values: impl Iterator<Item = (&'static str, &'static str)>) -> Value {
    let value = |(name, about)| json!({ "const": name, "description": about });
    json!({ "oneOf": values.map(value).collect::<Vec<_>>() })
}

/// The value of a name.
pub(crate) fn by_name<T: Named>(name: &str) -> Option<T> {
    T::NAMES.iter().find(|(_, other)| *other == name).map(|(value, _)| *value)
}

/// The name of a value.
pub(crate) fn name_of<T: Named>(value: T) -> &'static str {
    T::NAMES.iter().find(|(other, _)| *other == value).map_or("?", |(_, name)| name)
}

/// The number of `0x` and hex digits.
pub(crate) fn hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}
