//! A search that several shards did. Each did its own subtrees, and here their parts are put together.

use super::evidence::{Evidence, Explored, Hit};
use super::pieces::Piece;
use crate::case::Verdict;
use crate::explore::Count;

/// The evidence of all shards on one item, as one machine that began at run `seed` would have found it.
pub(super) fn combined(evidence: Vec<Evidence>, seed: u64) -> Evidence {
    let is_part = |evidence: &Evidence| matches!(evidence, Evidence::Explored(part) if part.search.is_some());
    if !evidence.iter().any(is_part) {
        return Evidence::combine(evidence, seed);
    }
    let (mut parts, mut lacks) = (Vec::new(), None);
    for evidence in evidence {
        match evidence {
            Evidence::Explored(part) => parts.push(*part),
            Evidence::NotReached { why } | Evidence::Bad { error: why } => lacks = lacks.or(Some(why)),
            Evidence::Replayed { .. } => lacks = Some("a shard has done something else".to_owned()),
        }
    }
    Evidence::Explored(Box::new(merged(parts, lacks)))
}

/// The parts of a search put together, as one machine would have found it. `lacks` says why a part is missing.
///
/// If a shard has no part of a search, it was stopped before the search was divided.
fn merged(parts: Vec<Explored>, lacks: Option<String>) -> Explored {
    let verdicts: Vec<Verdict> = parts.iter().map(|part| part.verdict).collect();
    let cut = parts.iter().find_map(|part| part.cut.clone()).or(lacks);
    let mut hits: Vec<(u64, Option<Hit>, Verdict)> = Vec::new();
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut budget, mut subtrees) = (0, 0);
    for Explored { search, hit, verdict, .. } in parts {
        let Some(search) = search else { continue };
        (budget, subtrees) = (search.budget, search.subtrees);
        if let Some(last) = search.pieces.last().filter(|last| last.hit.is_some()) {
            hits.push((last.subtree, hit, verdict));
        }
        pieces.extend(search.pieces);
    }
    pieces.sort_by_key(|piece| piece.subtree);

    let mut whole = Explored::of_nothing(Verdict::Inconclusive);
    let mut count = Count::new(budget, subtrees);
    let mut unchecked: Option<Vec<String>> = None;
    for piece in pieces {
        let before = count.runs();
        if !count.takes(piece.runs, piece.hit.is_some(), piece.tally(), piece.progress) {
            break;
        }
        whole.found.extend(piece.found.into_iter().map(|(run, title)| (before + run, title)));
        for (how, runs) in piece.failed {
            *whole.failed.entry(how).or_default() += runs;
        }
        whole.whole_runs += piece.whole_runs;
        // If a check had something to check in one piece, it had in all together.
        unchecked = match (unchecked, piece.unchecked) {
            (Some(sofar), Some(more)) => Some(sofar.into_iter().filter(|check| more.contains(check)).collect()),
            (sofar, more) => sofar.or(more),
        };
        if let (Some(run), Some(at)) = (piece.hit, hits.iter().position(|hit| hit.0 == piece.subtree)) {
            let (_, hit, verdict) = hits.swap_remove(at);
            whole.hit = hit.map(|hit| hit.at(before + run));
            whole.verdict = verdict;
        }
    }
    whole.runs = count.runs();
    whole.unchecked = unchecked.unwrap_or_default();
    let extent = count.extent();
    whole.exhaustive = Some(extent.to_string());
    if whole.hit.is_none() && extent.is_verified() {
        whole.verdict = match () {
            () if verdicts.contains(&Verdict::Absent) => Verdict::Absent,
            () if whole.unchecked.is_empty() => Verdict::AsExpected,
            () => Verdict::Unchecked,
        };
    } else {
        whole.cut = cut;
    }
    whole
}

impl Hit {
    /// The same finding, as that of a run with another number.
    fn at(mut self, run: u64) -> Hit {
        self.run = run;
        if let Some(record) = &mut self.record {
            record.provenance.run = Some(run);
        }
        self
    }
}
