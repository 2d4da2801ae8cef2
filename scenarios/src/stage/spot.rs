//! Spots: bytes of a page, as a scenario writes them.

use std::fmt;

use serde_json::{Value, json};
use sim_core::Bytes;
use sim_mmu::VirtAddr;

use super::Place;
use crate::json::{Kind, Node};

/// Some bytes of a page: `"buf"` is its first word, `"buf[8]"` its second, `"buf[12:4]"` the upper half of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The page.
    pub(crate) place: Place,
    /// The first byte, counted from the start of the page.
    offset: u32,
    /// The number of bytes: 1, 2, 4 or 8. All of them are in one word.
    size: u32,
}

/// Bytes of a word.
const WORD: u32 = 8;

/// Bytes of a page.
const PAGE: u32 = 4096;

impl Spot {
    /// The address of its first byte. `page` is the address of its page.
    pub(crate) fn address(&self, page: VirtAddr) -> VirtAddr {
        VirtAddr(page.0 + u64::from(self.offset))
    }

    /// Which bytes of their word they are.
    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::of(self.offset % WORD, self.size)
    }

    /// Which word of the page they are in.
    pub(crate) fn word(&self) -> u32 {
        self.offset / WORD
    }

    /// The same bytes of another page.
    pub(crate) fn of_page(&self, place: Place) -> Spot {
        Spot { place, ..*self }
    }

    /// Whether a number fits into these bytes.
    pub(crate) fn holds(&self, number: u64) -> bool {
        self.size == WORD || number >> (8 * self.size) == 0
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spot { place, offset, size } = self;
        match (*offset, *size) {
            (0, WORD) => write!(f, "{place}"),
            (offset, WORD) => write!(f, "{place}[{offset}]"),
            (offset, size) => write!(f, "{place}[{offset}:{size}]"),
        }
    }
}

impl Kind for Spot {
    type Value = Spot;

    fn decode(node: &Node<'_>) -> Option<Spot> {
        let text = node.string()?;
        let Some((place, offset, size)) = parts(text) else {
            return node.malformed(text, "a page, or bytes of it: `PAGE`, `PAGE[OFFSET]` or `PAGE[OFFSET:BYTES]`");
        };
        if !matches!(size, 1 | 2 | 4 | WORD) {
            node.error(format!("an access has 1, 2, 4 or 8 bytes, not {size}"));
            return None;
        }
        if offset >= PAGE {
            node.error(format!("a page has {PAGE} bytes: the last is at offset {}", PAGE - 1));
            return None;
        }
        if offset % WORD + size > WORD {
            let help = "an access that is split is not modelled".to_owned();
            node.error_with_help(format!("{size} bytes at offset {offset} lie in two words"), Some(help));
            return None;
        }
        Some(Spot { place, offset, size })
    }

    fn schema() -> Value {
        json!({
            "type": "string",
            "pattern": "^([A-Za-z][^+]*([+][0-9]+)?|0x0*[0-9A-Fa-f]{1,16})(\\[[0-9]+(:[1248])?\\])?$",
            "title": "a word of a page, or bytes of it: `PLACE`, `PLACE[OFFSET]` or `PLACE[OFFSET:BYTES]`",
            "examples": ["buf"],
        })
    }
}

/// The page, the offset and the number of bytes of a text that is well formed.
fn parts(text: &str) -> Option<(Place, u32, u32)> {
    if !text.contains(['[', ']']) {
        return Some((Place::parse(text)?, 0, WORD));
    }
    let (page, part) = text.strip_suffix(']')?.split_once('[')?;
    let (offset, size) = match part.split_once(':') {
        None => (decimal(part)?, WORD),
        Some((offset, size)) => (decimal(offset)?, decimal(size)?),
    };
    Some((Place::parse(page)?, offset, size))
}

/// Decimal digits, and no sign.
fn decimal(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::decode;

    #[test]
    fn spots_are_bytes_of_a_word() {
        for (text, offset, size) in [
            ("buf", 0, 8),
            ("buf+1", 0, 8),
            ("buf+1[8]", 8, 8),
            ("buf[12:4]", 12, 4),
            ("buf[4095:1]", 4095, 1),
            ("0x7000[6:2]", 6, 2),
        ] {
            let spot = decode("f.json", &format!("\"{text}\""), Spot::decode).expect(text);
            assert_eq!((spot.offset, spot.size, spot.to_string()), (offset, size, text.to_owned()));
        }
        for text in ["buf[", "buf[]", "buf[8", "buf]", "buf[4]", "buf[7:2]", "buf[0:3]", "buf[4096:1]", "buf[+8]"]
        {
            assert!(decode("f.json", &format!("\"{text}\""), Spot::decode).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_fit_into_bytes() {
        let of = |text: &str| decode("f.json", &format!("\"{text}\""), Spot::decode).expect("a spot");
        assert!(of("b[0:1]").holds(255) && !of("b[0:1]").holds(256) && of("b[8]").holds(u64::MAX));
        assert_eq!((of("b[12:4]").word(), of("b[12:4]").bytes()), (1, Bytes::of(4, 4)));
    }
}
