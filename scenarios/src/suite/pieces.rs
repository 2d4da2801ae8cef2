//! The part of a shard in a search that all shards share.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sim_core::systematic::Tally;

use crate::number::thousands;

/// A shard's part of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The largest number of runs of the whole search.
    pub budget: u64,
    /// The number of subtrees of the whole search. The part before the subtrees counts as one.
    pub subtrees: u64,
    /// The pieces of the subtrees of this shard, in order. The last may be the one with the hit.
    pub pieces: Vec<Piece>,
}

/// Some runs of one subtree. They count together, or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// The number of the subtree.
    pub subtree: u64,
    /// How much of the subtree is done after this piece, in the parts of a search.
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
    /// Each distinct title, with the first run that found it. The run is counted in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<(u64, String)>,
    /// The checks that had nothing to check in any of these runs, if any run came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<Vec<String>>,
    /// The operations that failed, each with its error and the number of runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, u64>,
    /// The runs that count. They are those that were not given up.
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
