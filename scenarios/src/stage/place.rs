//! Places: addresses as a scenario writes them.

use std::fmt;

use serde_json::{Value, json};
use sim_mmu::VirtAddr;

use crate::json::{Kind, Node, hex};

/// An address as a scenario writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `"buf"` or `"buf+1"`: a page of a mapping that an operation named.
    Mapping {
        /// The mapping.
        name: String,
        /// Pages from its start.
        page: u64,
    },
    /// `"0x7000"`.
    Address(VirtAddr),
}

impl Place {
    /// The place that a text names, if the text is well formed.
    pub(super) fn parse(text: &str) -> Option<Place> {
        if let Some(address) = hex(text) {
            return Some(Place::Address(VirtAddr(address)));
        }
        let (name, page) = match text.split_once('+') {
            None => (text, 0),
            Some((name, digits)) => (name, decimal(digits)?),
        };
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic());
        named.then(|| Place::Mapping { name: name.to_owned(), page })
    }

    /// The number of pages from the start of the mapping that it names. It is zero for an address.
    pub(crate) fn distance(&self) -> u64 {
        match self {
            Place::Mapping { page, .. } => *page,
            Place::Address(_) => 0,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Mapping { name, page: 0 } => f.write_str(name),
            Place::Mapping { name, page } => write!(f, "{name}+{page}"),
            Place::Address(va) => write!(f, "{va}"),
        }
    }
}

impl Kind for Place {
    type Value = Place;

    fn decode(node: &Node<'_>) -> Option<Place> {
        let text = node.string()?;
        let expected = "a place: `mapping`, `mapping+PAGE`, or `0x` and up to 16 hex digits";
        Place::parse(text).or_else(|| node.malformed(text, expected))
    }

    fn schema() -> Value {
        json!({
            "type": "string", "pattern": "^([A-Za-z][^+]*([+][0-9]+)?|0x0*[0-9A-Fa-f]{1,16})$",
            "title": "a place: `MAPPING`, `MAPPING+PAGE`, or `0x` and hex digits", "examples": ["buf"],
        })
    }
}

/// Decimal digits, and no sign.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::decode;

    #[test]
    fn places_are_mappings_with_pages_or_addresses() {
        let page = |name: &str, page| Some(Place::Mapping { name: name.to_owned(), page });
        for (json, expected) in [
            (r#""buf""#, page("buf", 0)),
            (r#""buf+12""#, page("buf", 12)),
            (r#""0x7000""#, Some(Place::Address(VirtAddr(0x7000)))),
            (r#""0xffffffffffffffff""#, Some(Place::Address(VirtAddr(u64::MAX)))),
            (r#""""#, None),
            (r#""+1""#, None),
            (r#""buf+""#, None),
            (r#""buf++1""#, None),
            (r#""buf+0x1""#, None),
            (r#""0x""#, None),
            (r#""0x+1""#, None),
            (r#""0x10000000000000000""#, None),
            (r#""7000""#, None),
            ("7000", None),
        ] {
            assert_eq!(decode("f.json", json, Place::decode).ok(), expected, "{json}");
        }
    }
}
