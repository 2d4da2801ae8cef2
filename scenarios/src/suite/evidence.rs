//! Evidence: the facts that came out when an item was done. They can be written down, and combined.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pieces::Search;
use crate::case::Verdict;
use crate::record::Record;

/// The facts that came out when an item was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Evidence {
    /// A case was explored.
    Explored(Box<Explored>),
    /// A record was replayed.
    Replayed {
        /// Steps of the replay.
        steps: u64,
        /// The first point at which the replay was not as recorded.
        difference: Option<String>,
    },
    /// It could not be done.
    Bad {
        /// Why.
        error: String,
    },
    /// It was not begun.
    NotReached {
        /// Why.
        why: String,
    },
}

/// The facts that came out when a case, or a shard's part of it, was explored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explored {
    /// The result of the case by these runs alone.
    pub verdict: Verdict,
    /// Runs done.
    pub runs: u64,
    /// Each distinct title, with the first run that found it. They are in the order of these runs.
    pub found: Vec<(u64, String)>,
    /// The first run with the finding that decides.
    pub hit: Option<Hit>,
    /// Why it ended before its budget did.
    pub cut: Option<String>,
    /// The text about a search through all schedules.
    pub exhaustive: Option<String>,
    /// The checks that had nothing to check in any of these runs.
    #[serde(default)]
    pub unchecked: Vec<String>,
    /// The operations that failed, each with its error and the number of runs.
    #[serde(default)]
    pub failed: BTreeMap<String, u64>,
    /// The number of runs that were not given up. In a search, only these count.
    #[serde(default)]
    pub whole_runs: u64,
    /// The part of this shard in a search that all shards share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// The result of a search that came before the runs, if the runs found nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched: Option<Hit>,
}

/// A finding that decides the result of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hit {
    /// The run, which is also its seed.
    pub run: u64,
    /// What was found.
    pub title: String,
    /// The consequence, in a sentence.
    pub message: String,
    /// The record of the run, if the finding was not expected.
    pub record: Option<Record>,
}

impl Evidence {
    /// Whether the same facts would come out if the item were done again.
    pub fn is_final(&self) -> bool {
        match self {
            Evidence::Explored(explored) => explored.cut.is_none(),
            Evidence::Replayed { .. } | Evidence::Bad { .. } => true,
            Evidence::NotReached { .. } => false,
        }
    }

    /// The record of a finding that was not expected.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Evidence::Explored(explored) => explored.decisive()?.record.as_ref(),
            _ => None,
        }
    }

    /// The evidence of all shards on one item, if it is no search that they share. It is the evidence that one machine would have
    /// found which began at run `seed`.
    pub(super) fn combine(parts: Vec<Evidence>, seed: u64) -> Evidence {
        let mut explored: Vec<Explored> = Vec::new();
        let mut other: Option<Evidence> = None;
        for part in parts {
            match part {
                Evidence::Explored(part) => explored.push(*part),
                part => other = Some(other.unwrap_or(part)),
            }
        }
        match (explored.into_iter().reduce(Explored::and), other) {
            (Some(mut explored), other) => {
                if let Some(Evidence::NotReached { why }) = other {
                    explored.lacks(why);
                }
                explored.up_to_the_hit(seed);
                Evidence::Explored(Box::new(explored))
            }
            (None, Some(other)) => other,
            (None, None) => Evidence::NotReached { why: "no shard has it".to_owned() },
        }
    }
}

impl Explored {
    /// Of no runs.
    pub(super) fn of_nothing(verdict: Verdict) -> Explored {
        Explored {
            verdict,
            runs: 0,
            found: Vec::new(),
            hit: None,
            cut: None,
            exhaustive: None,
            unchecked: Vec::new(),
            failed: BTreeMap::new(),
            whole_runs: 0,
            search: None,
            searched: None,
        }
    }

    /// The finding that decides.
    pub(super) fn decisive(&self) -> Option<&Hit> {
        self.hit.as_ref().or(self.searched.as_ref())
    }

    /// The evidence of both together. The earlier hit decides.
    fn and(self, other: Explored) -> Explored {
        // A small scenario was searched completely by each shard.
        if self.exhaustive.is_some() && other.exhaustive.is_some() {
            return if self.cut.is_none() { self } else { other };
        }
        let runs = self.runs + other.runs;
        let mut found = [self.found.clone(), other.found.clone()].concat();
        found.sort();
        let cut = self.cut.clone().or_else(|| other.cut.clone());
        let mut failed = self.failed.clone();
        other.failed.iter().for_each(|(how, runs)| *failed.entry(how.clone()).or_default() += runs);
        let whole_runs = self.whole_runs + other.whole_runs;
        // If a check had something to check in one part, it had in all together.
        let unchecked: Vec<String> =
            self.unchecked.iter().filter(|check| other.unchecked.contains(check)).cloned().collect();
        let searched = self.searched.clone().or_else(|| other.searched.clone());
        let hit_at = |explored: &Explored| explored.hit.as_ref().map_or(u64::MAX, |hit| hit.run);
        let doubt = |explored: &Explored| explored.verdict == Verdict::Inconclusive;
        let decides = if hit_at(&self) == hit_at(&other) {
            if doubt(&self) { self } else { other }
        } else if hit_at(&self) < hit_at(&other) {
            self
        } else {
            other
        };
        let verdict = match decides.verdict {
            Verdict::Unchecked if unchecked.is_empty() => Verdict::AsExpected,
            verdict => verdict,
        };
        Explored { verdict, runs, found, cut, unchecked, failed, whole_runs, searched, ..decides }
    }

    /// Some of its runs are missing.
    fn lacks(&mut self, why: String) {
        // A scenario that was searched completely lacks no runs.
        if self.exhaustive.is_some() {
            return;
        }
        if self.decisive().is_none() {
            self.verdict = Verdict::Inconclusive;
        }
        self.cut.get_or_insert(why);
    }

    /// Forgets what runs after the hit found, because one machine alone would have stopped at the hit.
    fn up_to_the_hit(&mut self, seed: u64) {
        if let Some(hit) = &self.hit {
            self.searched = None;
            // A search has no seed, and each shard did the whole search.
            if self.exhaustive.is_none() {
                self.runs = hit.run - seed + 1;
            }
            self.found.retain(|(run, _)| *run <= hit.run);
        }
        let mut seen = Vec::new();
        self.found.retain(|(_, title)| {
            let new = !seen.contains(title);
            seen.push(title.clone());
            new
        });
    }
}
