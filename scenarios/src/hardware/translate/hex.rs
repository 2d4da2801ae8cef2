//! Numbers as hexadecimal text, as the files of cases have them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A 64-bit number that is written as a string of hexadecimal digits, with or without `0x`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hex(pub u64);

/// Why a text is no [`Hex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHex {
    /// It has no digits, or a character that is no digit.
    #[error("not a hexadecimal number")]
    Digits,
    /// It has more than 16 digits after its leading zeros.
    #[error("more than 64 bits")]
    TooLong,
}

impl std::str::FromStr for Hex {
    type Err = NotHex;

    #[inline]
    fn from_str(text: &str) -> Result<Hex, NotHex> {
        let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
        if digits.is_empty() {
            return Err(NotHex::Digits);
        }
        let (mut value, mut all) = (0, 0);
        for &digit in digits {
            let digit = VALUES[usize::from(digit)];
            all |= digit;
            value = value << 4 | u64::from(digit);
        }
        if all >= 16 {
            return Err(NotHex::Digits);
        }
        let leading = || digits.iter().take_while(|digit| **digit == b'0').count();
        if digits.len() > 16 && digits.len() - leading() > 16 { Err(NotHex::TooLong) } else { Ok(Hex(value)) }
    }
}

/// The value of each byte as a digit. It is 255 if the byte is no digit.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

impl<'de> Deserialize<'de> for Hex {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hex, D::Error> {
        struct Digits;

        impl Visitor<'_> for Digits {
            type Value = Hex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of hexadecimal digits")
            }

            #[inline]
            fn visit_str<E: Error>(self, text: &str) -> Result<Hex, E> {
                text.parse().map_err(|error| E::custom(format_args!("`{}` is {error}", clipped(text))))
            }
        }

        deserializer.deserialize_str(Digits)
    }
}

/// At most the first 40 characters.
pub(super) fn clipped(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Appends a number in hexadecimal, without `0x` and leading zeros.
#[inline]
pub(super) fn push(text: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 16];
    let length = (64 - (number | 1).leading_zeros()).div_ceil(4) as usize;
    for (place, digit) in digits[..length].iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * place) & 0xf) as usize];
    }
    text.extend_from_slice(&digits[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read_back() {
        for number in [0, 1, 0xf, 0x10, 0xd149c0, 0x7fff_ffff_ffff_ffff, u64::MAX] {
            let mut text = Vec::new();
            push(&mut text, number);
            let text = String::from_utf8(text).expect("digits");
            assert_eq!(text, format!("{number:x}"));
            assert_eq!(text.parse(), Ok(Hex(number)));
            assert_eq!(format!("0x{}", text.to_uppercase()).parse(), Ok(Hex(number)));
        }
        assert_eq!("00000000000000000000f".parse(), Ok(Hex(15)));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "0x", "+1", "-1", " 1", "1 ", "12g", "0x0x1", "1_0", "\u{661}"] {
            assert_eq!(text.parse::<Hex>(), Err(NotHex::Digits), "{text:?}");
        }
        assert_eq!("10000000000000000".parse::<Hex>(), Err(NotHex::TooLong));
    }
}
