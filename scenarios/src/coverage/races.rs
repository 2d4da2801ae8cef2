//! Which pairs of routines raced on the same object.

use std::collections::BTreeMap;

/// Two routines, and the object on which they raced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Raced {
    object: String,
    first: &'static str,
    second: &'static str,
}

/// Two routines that raced on an object, in either order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RacePair {
    /// The name of the object, which is the same for all of its kind: `page[*]._refcount`.
    pub object: String,
    /// The two routines, in alphabetical order.
    pub routines: [&'static str; 2],
    /// How often each of them came first. If a routine raced with itself, the first number has all races.
    pub first: [u64; 2],
}

impl RacePair {
    /// The number of races, in either order.
    pub fn times(&self) -> u64 {
        self.first[0] + self.first[1]
    }

    /// Whether only one order was seen.
    pub fn is_one_sided(&self) -> bool {
        self.routines[0] != self.routines[1] && self.first.contains(&0)
    }
}

/// The races of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Races(BTreeMap<Raced, u64>);

impl Races {
    pub(super) fn note(&mut self, object: String, first: &'static str, second: &'static str) {
        *self.0.entry(Raced { object, first, second }).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Races) {
        for (raced, times) in &other.0 {
            *self.0.entry(raced.clone()).or_default() += times;
        }
    }

    /// Every pair, the most frequent first.
    pub fn pairs(&self) -> Vec<RacePair> {
        let mut pairs: BTreeMap<(&str, [&'static str; 2]), [u64; 2]> = BTreeMap::new();
        for (Raced { object, first, second }, times) in &self.0 {
            let swapped = first > second;
            let routines = if swapped { [*second, *first] } else { [*first, *second] };
            pairs.entry((object, routines)).or_default()[usize::from(swapped)] += times;
        }
        let mut pairs: Vec<RacePair> = pairs
            .into_iter()
            .map(|((object, routines), first)| RacePair { object: object.to_owned(), routines, first })
            .collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.times()));
        pairs
    }
}
