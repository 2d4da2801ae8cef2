//! What a shard did of a search that all shards share.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sim_core::systematic::Tally;

use crate::number::thousands;

/// A shard's part of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Runs of the whole search at the most.
    pub budget: u64,
    /// Subtrees of the whole search, what comes before them among them.
    pub subtrees: u64,
    /// The pieces of this shard's subtrees, in their order. The last may be the one that has the hit.
    pub pieces: Vec<Piece>,
}

/// Some runs of one subtree. They count together, or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// The number of the subtree.
    pub subtree: u64,
    /// How much of it is done then, in the parts of a search.
    pub progress: u64,
    /// Runs.
    pub runs: u64,
    /// Schedules that were run to their end.
    pub complete: u64,
    /// Runs that were given up.
    pub blocked: u64,
    /// Runs that reached the bound on steps.
    pub cut: u64,
    /// The run with the hit, counted from the first of the piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit: Option<u64>,
    /// Each distinct title with the first run that found it, counted likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<(u64, String)>,
    /// The checks that had nothing to check in any of these runs, if any run came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<Vec<String>>,
    /// Operations that failed, each with how and in how many runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, u64>,
    /// Runs that count: those that were not given up.
    pub whole_runs: u64,
}

impl Piece {
    /// How its schedules ended.
    pub(super) fn tally(&self) -> Tally {
        Tally { complete: self.complete, blocked: self.blocked, cut: self.cut, states: 0 }
    }
}

impl fmt::Display for Search {
    /// `815 complete schedules (0 blocked)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of: fn(&Piece) -> u64| thousands(self.pieces.iter().map(of).sum());
        let (complete, blocked) = (sum(|piece| piece.complete), sum(|piece| piece.blocked));
        write!(f, "{complete} complete schedules ({blocked} blocked)")
    }
}
