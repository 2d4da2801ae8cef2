//! The result file of a shard, and the merging of such files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::plan::{Item, Plan};
use super::search;
use super::shard::Shard;
use crate::json::{ReadError, read_text};
use crate::record::Record;

/// The format that this build writes and reads.
const FORMAT: &str = "mmsim-shard-2";

/// The results of one shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The format and its version.
    format: String,
    /// The digest of the plan.
    digest: String,
    /// Which shard.
    shard: Shard,
    /// The plan of all shards.
    plan: Plan,
    /// The evidence for each item of which the shard had a part.
    evidence: BTreeMap<usize, Evidence>,
}

/// The results of all shards together.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The plan.
    pub plan: Plan,
    /// The evidence for each item, in the plan's order.
    pub evidence: Vec<Evidence>,
    /// Into how many shards it was divided.
    pub of: u64,
    /// Shards whose results are not there.
    pub missing: Vec<u64>,
    /// For each distinct finding that was not expected, the shortest record that any shard has.
    pub shortest: BTreeMap<String, Record>,
}

/// Why results cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(#[from] ReadError),
    /// The file is not JSON, or does not have the right shape.
    #[error("{file}:{}:{}: not the results of a shard: {error}", .error.line(), .error.column())]
    Shape {
        /// The file.
        file: String,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// The contents make no sense.
    #[error("{file}: {what}")]
    Bad {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// Two files do not belong together.
    #[error("{first} and {second} do not belong together: {what}")]
    Mixed {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// How they differ.
        what: String,
    },
}

impl Part {
    /// The results of a shard.
    pub fn new(plan: Plan, shard: Shard, evidence: BTreeMap<usize, Evidence>) -> Part {
        Part { format: FORMAT.to_owned(), digest: plan.digest(), shard, plan, evidence }
    }

    /// The file for the results of a shard.
    pub fn path(folder: &Path, shard: Shard) -> PathBuf {
        folder.join(format!("shard-{}-of-{}{}", shard.index(), shard.of(), super::gather::PART))
    }

    /// Whether a file has the name of a shard's results.
    pub fn is_named_like_one(file: &Path) -> bool {
        file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(super::gather::PART))
    }

    /// The contents of the file.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("a part has nothing that JSON has not") + "\n"
    }

    /// Reads a result file.
    ///
    /// # Errors
    /// If it is none that this build can merge.
    pub fn read(path: &Path) -> Result<Part, PartError> {
        let file = path.display().to_string();
        let text = read_text(path)?;
        let shape = |error| PartError::Shape { file: file.clone(), error };
        let bad = |what: String| PartError::Bad { file: file.clone(), what };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(shape)?;
        match value.get("format").and_then(|format| format.as_str()) {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(bad(format!(
                    "the results have format `{other}`, and this build reads `{FORMAT}`; \
                     merge them with the build that wrote them"
                )));
            }
            None => return Err(bad("not the results of a shard: it has no `format`".to_owned())),
        }
        let part: Part = serde_json::from_str(&text).map_err(shape)?;
        if part.digest != part.plan.digest() {
            return Err(bad("the plan is not the one that was run: its digest differs".to_owned()));
        }
        if let Some(place) = part.evidence.keys().find(|place| **place >= part.plan.len()) {
            return Err(bad(format!("the plan has no item {place}")));
        }
        Ok(part)
    }

    /// Whether it should know of an item.
    fn concerns(&self, place: usize, item: &Item) -> bool {
        item.is_shared() || self.shard.owns(place)
    }
}

impl Merged {
    /// Which shards are missing, in words.
    pub fn describe_missing(&self) -> Option<String> {
        (!self.missing.is_empty()).then(|| describe_missing(&self.missing, self.of))
    }
}

/// Merges the results of shards, each with the name of its file.
///
/// # Errors
/// If they are not of the same suite, if the suite was not divided in the same way, or if a shard is there twice.
///
/// # Panics
/// If there are none.
pub fn merge(parts: Vec<(String, Part)>) -> Result<Merged, PartError> {
    let mut by_shard: BTreeMap<u64, (String, Part)> = BTreeMap::new();
    for (file, part) in parts {
        if let Some((first, other)) = by_shard.values().next() {
            let what = if other.shard.of() != part.shard.of() {
                Some(format!("one is of {} shards, the other of {}", other.shard.of(), part.shard.of()))
            } else {
                other.plan.difference(&part.plan)
            };
            if let Some(what) = what {
                return Err(PartError::Mixed { first: first.clone(), second: file, what });
            }
        }
        let shard = part.shard;
        if let Some((first, _)) = by_shard.get(&shard.index()) {
            let what = format!("both are shard {shard}");
            return Err(PartError::Mixed { first: first.clone(), second: file, what });
        }
        by_shard.insert(shard.index(), (file, part));
    }
    let (_, (_, first)) = by_shard.first_key_value().expect("there is a part");
    let (plan, of) = (first.plan.clone(), first.shard.of());
    let missing: Vec<u64> = (1..=of).filter(|index| !by_shard.contains_key(index)).collect();
    let parts: Vec<Part> = by_shard.into_values().map(|(_, part)| part).collect();
    let evidence = plan.items().enumerate().map(|(place, (_, item))| {
        let mut found: Vec<Evidence> = Vec::new();
        for part in parts.iter().filter(|part| part.concerns(place, item)) {
            let why = || format!("shard {} has no result for it", part.shard);
            let known = part.evidence.get(&place).cloned();
            found.push(known.unwrap_or_else(|| Evidence::NotReached { why: why() }));
        }
        let owner = parts[0].shard.owner(place);
        if !missing.is_empty() && (item.is_shared() || missing.contains(&owner)) {
            found.push(Evidence::NotReached { why: describe_missing(&missing, of) });
        }
        search::combined(found, plan.options.seed)
    });
    let evidence = evidence.collect();
    Ok(Merged { evidence, shortest: shortest(&parts), missing, of, plan })
}

/// `shards 2 and 5 of 8 are missing`
fn describe_missing(missing: &[u64], of: u64) -> String {
    let numbers: Vec<String> = missing.iter().map(ToString::to_string).collect();
    match numbers.split_last() {
        Some((last, [])) => format!("shard {last} of {of} is missing"),
        Some((last, others)) => format!("shards {} and {last} of {of} are missing", others.join(", ")),
        None => String::new(),
    }
}

fn shortest(parts: &[Part]) -> BTreeMap<String, Record> {
    let length = |record: &Record| (record.steps, record.file_name());
    let mut shortest: BTreeMap<String, Record> = BTreeMap::new();
    for record in parts.iter().flat_map(|part| part.evidence.values()).filter_map(Evidence::record) {
        match shortest.get(&record.expect) {
            Some(known) if length(known) <= length(record) => {}
            _ => drop(shortest.insert(record.expect.clone(), record.clone())),
        }
    }
    shortest
}
