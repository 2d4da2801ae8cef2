//! The plan of a suite. It says as data what must be done.
//!
//! A plan holds everything that decides a result, and nothing else. For example, it does not hold the number of
//! threads or the folder of the records. So two machines whose plans have the same digest do parts of the same
//! work.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A suite: groups of items, in the order in which they are reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The build that does the work.
    pub build: String,
    /// What the command line says about all items.
    pub options: Options,
    /// The groups.
    pub groups: Vec<Group>,
}

/// What the command line says about all items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The number of the first run.
    pub seed: u64,
    /// The largest number of runs of each case.
    pub runs: Option<u64>,
    /// The strategy of every case.
    pub strategy: Option<String>,
    /// The most preemptions of a schedule, in cases that are explored exhaustively.
    pub preemptions: Option<u32>,
    /// The number of failures after which the rest is left out.
    pub max_failures: Option<u64>,
}

/// A scenario with its cases, or a folder with its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The file or the folder, as it was named, or a name of the library.
    pub name: String,
    /// What is in it.
    pub items: Vec<Item>,
}

/// A case or a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The name of the case, or of the record's file.
    pub name: String,
    /// SHA-256 of the file that it comes from.
    pub digest: String,
    /// What is expected: `no violation`, or the finding.
    pub expect: String,
    /// The amount of work.
    pub kind: Kind,
    /// The command that does only this item.
    pub command: String,
    /// Why it is left out, if it is.
    pub skip: Option<String>,
    /// Why it is known to fail, if it is.
    pub xfail: Option<String>,
}

/// The amount of work of an item, and whether it can be divided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// So many runs, each by itself. They can be divided.
    Sampled {
        /// The number of runs.
        runs: u64,
    },
    /// A search by traces, through all schedules. It can be divided.
    Exhaustive,
    /// A search by states. It stays in one piece.
    States,
    /// A replay.
    Record,
    /// Nothing, because the file cannot be used.
    Bad {
        /// Why.
        error: String,
    },
}

impl Item {
    /// Whether it consists of runs, each by itself.
    pub fn is_sampled(&self) -> bool {
        matches!(self.kind, Kind::Sampled { .. })
    }

    /// Whether each shard does a part of it.
    pub fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Sampled { .. } | Kind::Exhaustive)
    }
}

impl Plan {
    /// The name of this build.
    pub fn this_build() -> String {
        format!("mmsim {}, {}", env!("CARGO_PKG_VERSION"), crate::record::FORMAT)
    }

    /// The items, in order, each with its group.
    pub fn items(&self) -> impl Iterator<Item = (&Group, &Item)> {
        self.groups.iter().flat_map(|group| group.items.iter().map(move |item| (group, item)))
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.items.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of everything that decides a result.
    pub fn digest(&self) -> String {
        sha256(serde_json::to_string(self).expect("a plan has nothing that JSON has not").as_bytes())
    }

    /// The first thing in which two plans differ, in words.
    pub fn difference(&self, other: &Plan) -> Option<String> {
        let both = |what: &str, a: String, b: String| (a != b).then(|| format!("{what}: {a} and {b}"));
        let or = |value: Option<String>| value.unwrap_or_else(|| "not given".to_owned());
        let number = |value: Option<u64>| or(value.map(|number| number.to_string()));
        let (ours, theirs) = (&self.options, &other.options);
        both("the builds differ", self.build.clone(), other.build.clone())
            .or_else(|| both("--seed differs", ours.seed.to_string(), theirs.seed.to_string()))
            .or_else(|| both("--runs differs", number(ours.runs), number(theirs.runs)))
            .or_else(|| both("--strategy differs", or(ours.strategy.clone()), or(theirs.strategy.clone())))
            .or_else(|| {
                both(
                    "--preemptions differs",
                    number(ours.preemptions.map(u64::from)),
                    number(theirs.preemptions.map(u64::from)),
                )
            })
            .or_else(|| both("--max-failures differs", number(ours.max_failures), number(theirs.max_failures)))
            .or_else(|| {
                let name = |(group, item): (&Group, &Item)| format!("{}/{}", group.name, item.name);
                let mut pairs = self.items().zip(other.items());
                let (a, b) = pairs.find(|(a, b)| a.0.name != b.0.name || a.1 != b.1)?;
                if name(a) != name(b) {
                    return Some(format!("the cases differ: {} and {}", name(a), name(b)));
                }
                let what = if a.1.digest == b.1.digest { "what is asked of" } else { "the content of" };
                Some(format!("{what} {} differs", name(a)))
            })
            .or_else(|| both("the number of cases differs", self.len().to_string(), other.len().to_string()))
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
