//! Lists of numbers on the command line: `1,2,8..16`.

use std::ops::RangeInclusive;

/// Numbers and ranges, as they were given. Ranges hold both their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers(Vec<RangeInclusive<u64>>);

/// Of a range with more numbers than this, only the powers of two are taken, unless a step is given.
const WIDE: u64 = 16;

impl Numbers {
    /// Reads a list whose numbers all lie within `bounds`.
    pub(crate) fn read(text: &str, bounds: RangeInclusive<u64>) -> Result<Numbers, String> {
        let number = |text: &str| {
            let number = text.trim().parse().map_err(|_| format!("`{text}` is not a number"))?;
            if bounds.contains(&number) {
                Ok(number)
            } else {
                Err(format!("{number} is not within {} and {}", bounds.start(), bounds.end()))
            }
        };
        let item = |item: &str| match item.split_once("..") {
            None => number(item).map(|only| only..=only),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first <= last { Ok(first..=last) } else { Err(format!("{item} runs backwards")) }
            }
        };
        text.split(',').map(item).collect::<Result<_, _>>().map(Numbers)
    }

    /// Each number once, in order. Of a range, every `step`-th number and the last are taken. Without a step, a wide range
    /// also has those of the `landmarks` that lie in it.
    pub(crate) fn list(&self, step: Option<u64>, landmarks: &[u64]) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.0.iter().flat_map(|range| spread(range, step, landmarks)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

fn spread(range: &RangeInclusive<u64>, step: Option<u64>, landmarks: &[u64]) -> Vec<u64> {
    let (first, last) = (*range.start(), *range.end());
    let mut numbers: Vec<u64> = match step {
        None if last - first >= WIDE => {
            let powers = (0..u64::BITS).map(|n| 1 << n).chain(landmarks.iter().copied());
            std::iter::once(first).chain(powers.filter(|number| range.contains(number))).collect()
        }
        step => range.clone().step_by(step.unwrap_or(1).max(1) as usize).collect(),
    };
    numbers.push(last);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        for (text, step, expected) in [
            ("7", None, &[7][..]),
            ("3,1,3", None, &[1, 3]),
            ("1..4,9", None, &[1, 2, 3, 4, 9]),
            ("1..64", None, &[1, 2, 4, 8, 16, 20, 32, 64]),
            ("3..19", None, &[3, 4, 8, 16, 19]),
            ("1..64", Some(30), &[1, 31, 61, 64]),
            ("5..5", Some(3), &[5]),
        ] {
            let numbers = Numbers::read(text, 1..=64).expect("good lists");
            assert_eq!(numbers.list(step, &[20]), expected, "{text} by {step:?}");
        }
    }

    #[test]
    fn what_is_no_list_is_told() {
        for (text, why) in [
            ("", "`` is not a number"),
            ("1,", "`` is not a number"),
            ("a", "`a` is not a number"),
            ("1..", "`` is not a number"),
            ("-1", "`-1` is not a number"),
            ("0", "0 is not within 1 and 64"),
            ("1..65", "65 is not within 1 and 64"),
            ("8..2", "8..2 runs backwards"),
        ] {
            assert_eq!(Numbers::read(text, 1..=64), Err(why.to_owned()), "{text}");
        }
    }
}
