//! Makes outcomes of evidence: what is told of each item, and the sum of a suite.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, Explored};
use super::plan::{Item, Options};
use super::shard::Shard;
use crate::case::Verdict;
use crate::number::thousands;
use crate::shell::command;
use crate::world::told_failed;

/// How an item came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed,
    /// Not as expected, but it was known to fail.
    ExpectedFailure,
    /// As expected, although it was known to fail.
    UnexpectedPass,
    /// Inconclusive: the budget was spent, or somebody asked for the end, before it was decided.
    Inconclusive,
    /// It cannot be done, because a file is bad.
    Error,
    /// Left out on request.
    Skipped,
    /// Not begun.
    NotReached,
    /// It is decided when the shards are merged.
    Elsewhere,
}

/// The outcome of an item, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it came out.
    pub status: Status,
    /// The reason, in one line. An error may have several lines.
    pub what: String,
    /// Texts that help to understand a failure, each with a name.
    pub details: Vec<(&'static str, String)>,
    /// How long it took, if somebody asked for that.
    pub time: Option<Duration>,
}

/// The number of items with each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    counts: [u64; Totals::ALL.len()],
}

/// Judges the items of a plan, in their order.
#[derive(Clone, Debug)]
pub struct Judge {
    options: Options,
    /// The part of the plan whose evidence it sees; `None` for all of it.
    shard: Option<Shard>,
    /// The folder that records are written to.
    out: Option<PathBuf>,
    /// The sum so far.
    totals: Totals,
}

impl Judge {
    /// A judge of the whole plan, or of one shard's part.
    pub fn new(options: Options, shard: Option<Shard>, out: Option<&Path>) -> Judge {
        Judge { options, shard, out: out.map(Path::to_owned), totals: Totals::default() }
    }

    /// The sum so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The words for the end of the suite, if no more failures are wanted.
    pub fn has_enough(&self) -> Option<String> {
        let most = self.options.max_failures?;
        (self.totals.failures() >= most).then(|| format!("--max-failures {most} is reached"))
    }

    /// Judges the next item.
    pub fn judge(&mut self, place: usize, item: &Item, evidence: Option<&Evidence>) -> Outcome {
        let outcome = self.outcome(place, item, evidence);
        self.totals.count(outcome.status);
        outcome
    }

    fn outcome(&self, place: usize, item: &Item, evidence: Option<&Evidence>) -> Outcome {
        if let Some(why) = &item.skip {
            return Outcome::plain(Status::Skipped, why);
        }
        if let Some(why) = self.has_enough() {
            return Outcome::plain(Status::NotReached, &why);
        }
        match evidence {
            None => {
                let owner = self.shard.unwrap_or(Shard::WHOLE).owner(place);
                Outcome::plain(Status::Elsewhere, &format!("in shard {owner}"))
            }
            Some(Evidence::NotReached { why }) => Outcome::plain(Status::NotReached, why),
            Some(Evidence::Bad { error }) => Outcome {
                details: vec![("command", item.command.clone())],
                ..Outcome::plain(Status::Error, error)
            },
            Some(Evidence::Replayed { steps, difference: None }) => {
                passed(item, format!("{}, in {steps} steps", item.expect))
            }
            Some(Evidence::Replayed { difference: Some(difference), .. }) => failed(
                item,
                format!("diverged: {difference}"),
                vec![("expected", item.expect.clone()), ("replay", item.command.clone())],
            ),
            Some(Evidence::Explored(explored)) => {
                let mut outcome = self.case(item, explored);
                // If a finding ended the item, the operations that failed until then are not told.
                let failed = explored.failed.iter().filter(|_| explored.decisive().is_none());
                let told: Vec<String> =
                    failed.map(|(how, runs)| told_failed(how, *runs, explored.whole_runs)).collect();
                if !told.is_empty() {
                    outcome.details.push(("failed", told.join("; ")));
                }
                outcome
            }
        }
    }

    fn case(&self, item: &Item, explored: &Explored) -> Outcome {
        let what = line(item, explored);
        match explored.verdict {
            _ if explored.search.is_some() && explored.hit.is_none() => in_this_shard(explored, what),
            Verdict::Violation | Verdict::Absent => failed(item, what, self.details(item, explored)),
            Verdict::Inconclusive | Verdict::AsExpected | Verdict::Unchecked
                if self.sees_a_part(item) && explored.hit.is_none() && explored.exhaustive.is_none() =>
            {
                in_this_shard(explored, what)
            }
            Verdict::AsExpected => passed(item, what),
            Verdict::Unchecked => failed(
                item,
                format!("{what}; {}", explored.unchecked.join("; ")),
                vec![("expected", item.expect.clone()), ("command", item.command.clone())],
            ),
            Verdict::Inconclusive => Outcome {
                details: vec![("command", item.command.clone())],
                ..Outcome::plain(Status::Inconclusive, &what)
            },
        }
    }

    fn sees_a_part(&self, item: &Item) -> bool {
        self.shard.is_some() && item.is_sampled()
    }

    fn details(&self, item: &Item, explored: &Explored) -> Vec<(&'static str, String)> {
        let Some(hit) = explored.decisive() else {
            return vec![("expected", item.expect.clone()), ("command", item.command.clone())];
        };
        // Only a number that is a seed leads to the same run again.
        let sampled = item.is_sampled() && explored.hit.is_some();
        let mut details = vec![
            ("title", hit.title.clone()),
            ("expected", item.expect.clone()),
            (if sampled { "seed" } else { "run" }, hit.run.to_string()),
            ("consequence", hit.message.clone()),
        ];
        match (&self.out, &hit.record) {
            (Some(folder), Some(record)) => {
                let path = folder.join(record.file_name()).display().to_string();
                details.push(("replay", command("replay", &path)));
                details.insert(details.len() - 1, ("record", path));
            }
            _ if sampled => {
                details.push(("replay", format!("{} --seed {} --runs 1", item.command, hit.run)));
            }
            _ => details.push(("replay", item.command.clone())),
        }
        details
    }
}

impl Outcome {
    fn plain(status: Status, what: &str) -> Outcome {
        Outcome { status, what: what.to_owned(), details: Vec::new(), time: None }
    }
}

/// The text of a shard that has not found the deciding run.
fn in_this_shard(explored: &Explored, what: String) -> Outcome {
    match &explored.cut {
        Some(_) => Outcome::plain(Status::Inconclusive, &what),
        None => Outcome::plain(Status::Elsewhere, &format!("{what}, in this shard")),
    }
}

fn passed(item: &Item, what: String) -> Outcome {
    let (status, what) = match &item.xfail {
        None => (Status::Passed, what),
        Some(why) => (Status::UnexpectedPass, format!("{what}; it was to fail: {why}")),
    };
    Outcome { status, what, details: Vec::new(), time: None }
}

fn failed(item: &Item, what: String, details: Vec<(&'static str, String)>) -> Outcome {
    match &item.xfail {
        None => Outcome { status: Status::Failed, what, details, time: None },
        Some(why) => {
            Outcome { status: Status::ExpectedFailure, what: format!("{why}: {what}"), details, time: None }
        }
    }
}

/// `no leak in 10 runs, sampled (also: refcount in put_page)`
fn line(item: &Item, explored: &Explored) -> String {
    let runs = thousands(explored.runs);
    let nothing = match item.expect.as_str() {
        super::gather::NO_VIOLATION => "no violation".to_owned(),
        expected => format!("no {expected}"),
    };
    let mut line = match (explored.decisive(), &explored.exhaustive) {
        (Some(hit), _) if explored.hit.is_none() => format!("{}, found by a search", hit.title),
        (Some(hit), _) => format!("{}, after {runs} runs", hit.title),
        (None, None) => format!("{nothing} in {runs} runs, sampled"),
        (None, Some(extent)) => format!("{nothing}, {extent}"),
    };
    let title = explored.decisive().map(|hit| hit.title.as_str());
    let others: Vec<&str> =
        explored.found.iter().map(|(_, other)| other.as_str()).filter(|other| Some(*other) != title).collect();
    if !others.is_empty() {
        line.push_str(&format!(" (also: {})", others.join(", ")));
    }
    if let Some(cut) = &explored.cut {
        line.push_str(&format!("; {cut}"));
    }
    line
}

impl Totals {
    /// Every status, with the word for it.
    pub const ALL: [(Status, &'static str); 9] = [
        (Status::Passed, "passed"),
        (Status::Failed, "failed"),
        (Status::ExpectedFailure, "failed as known"),
        (Status::UnexpectedPass, "passed unexpectedly"),
        (Status::Inconclusive, "inconclusive"),
        (Status::Error, "could not be done"),
        (Status::Skipped, "skipped"),
        (Status::NotReached, "not reached"),
        (Status::Elsewhere, "left to the merge"),
    ];

    fn count(&mut self, status: Status) {
        self.counts[status as usize] += 1;
    }

    /// The number of items with this status.
    pub fn of(&self, status: Status) -> u64 {
        self.counts[status as usize]
    }

    /// The number of items with a result that nobody expected, and of items that could not be done.
    pub fn failures(&self) -> u64 {
        self.of(Status::Failed) + self.of(Status::UnexpectedPass) + self.of(Status::Error)
    }

    /// The statuses that some item has, with their words and numbers.
    pub fn present(&self) -> impl Iterator<Item = (Status, &'static str, u64)> + '_ {
        Self::ALL.into_iter().map(|(status, word)| (status, word, self.of(status))).filter(|(_, _, n)| *n > 0)
    }
}
