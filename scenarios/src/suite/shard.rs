//! Shards: the part of a suite that one of several machines does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Shard `index` of `of`, counted from 1.
///
/// Run `s` of a case that is sampled from run `lo` on belongs to shard K of N if `(s - lo) % N == K - 1`. An item that cannot
/// be divided belongs to one shard, by its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: u64,
    of: u64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { index: 1, of: 1 };

    /// The most shards.
    const MOST: u64 = 10_000;

    /// K of `K/N`.
    pub fn index(self) -> u64 {
        self.index
    }

    /// N of `K/N`.
    pub fn of(self) -> u64 {
        self.of
    }

    /// How many of `runs` runs belong to it.
    pub fn share(self, runs: u64) -> u64 {
        (runs + self.of - self.index) / self.of
    }

    /// Whether the undivided item at `place` of the plan, from 0, belongs to it.
    pub fn owns(self, place: usize) -> bool {
        self.owner(place) == self.index
    }

    /// The shard to which the undivided item at `place` belongs.
    pub fn owner(self, place: usize) -> u64 {
        place as u64 % self.of + 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let numbers = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=Self::MOST).contains(&of) && (1..=of).contains(&index) => {
                Ok(Shard { index, of })
            }
            _ => Err(format!("expected K/N with K from 1 to N, and N at most {}", Self::MOST)),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Shard, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> String {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_shards_are_the_whole() {
        for of in 1..=7 {
            for runs in 0..30 {
                let shards = (1..=of).map(|index| Shard { index, of });
                for shard in shards.clone() {
                    let counted = (0..runs).filter(|run| run % of == shard.index - 1).count() as u64;
                    assert_eq!(shard.share(runs), counted, "{shard} of {runs}");
                }
                assert_eq!(shards.map(|shard| shard.share(runs)).sum::<u64>(), runs);
            }
        }
    }

    #[test]
    fn a_shard_is_one_of_so_many() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, of: 8 }));
        for wrong in ["0/2", "3/2", "1/0", "1", "/", "a/b", "1/2/3", "-1/2", "1/99999999"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
