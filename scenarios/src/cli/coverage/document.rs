//! What was covered, as JSON.

use serde_json::{Value, json};
use sim_gup::CATALOGUE;

use super::surveyed::Surveyed;
use crate::coverage::{FileLines, RacePair, Schedules};

pub(super) fn of(all: &Surveyed) -> Value {
    let coverage = &all.coverage;
    json!({
        "strategy": all.strategy.to_string(),
        "seed": all.seed,
        "runs": coverage.runs,
        "steps": coverage.steps,
        "violations": coverage.violations,
        "interrupted": all.interrupted,
        "safeguards": CATALOGUE.safeguards().map(|safeguard| {
            let tally = coverage.safeguards.of(safeguard);
            json!({
                "key": safeguard.key, "in_force": tally.in_force, "consulted": tally.consulted,
                "decided": tally.decided, "missed": tally.missed,
            })
        }).collect::<Vec<_>>(),
        "lines": coverage.lines.files().iter().map(file).collect::<Vec<_>>(),
        "races": coverage.races.pairs().iter().map(pair).collect::<Vec<_>>(),
        "schedules": all.schedules.iter().map(|(name, schedules)| thinning(name, schedules)).collect::<Vec<_>>(),
    })
}

fn file(lines: &FileLines) -> Value {
    let never: Vec<Value> = lines.never.iter().map(|(line, text)| json!({ "line": line, "text": text })).collect();
    json!({ "file": lines.file, "total": lines.total, "stepped": lines.stepped(), "never": never })
}

fn pair(pair: &RacePair) -> Value {
    json!({ "object": pair.object, "routines": pair.routines, "first": pair.first })
}

fn thinning(name: &str, schedules: &Schedules) -> Value {
    let distinct: Vec<Value> = schedules
        .thinning()
        .into_iter()
        .map(|(runs, distinct)| json!({ "runs": runs, "distinct": distinct }))
        .collect();
    json!({
        "name": name, "runs": schedules.runs(), "distinct": schedules.distinct(),
        "seen_once": schedules.seen_once(), "unseen": schedules.unseen(), "after": distinct,
    })
}
