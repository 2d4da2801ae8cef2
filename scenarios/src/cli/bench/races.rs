//! How soon each strategy finds each race.
//!
//! A race is a case that expects a violation. Each strategy looks for it in as many campaigns as there are seeds.
//! The run numbers of two campaigns have nothing in common. The time includes everything from the building of the
//! machine on. The strategies take turns, so that other work on the host slows all of them down alike.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::{Value, json};

use crate::case::{configuration, matching};
use crate::cli::output::{HEAD, styled, thousands};
use crate::cli::{Exit, Failure, Output};
use crate::explore::{Campaign, Goal, Strategy};
use crate::library::{self, Loaded};
use crate::scenario::{Case, Expect};

/// The distance from the first run number of one campaign to that of the next.
pub(super) const APART: u64 = 10_000_000;

/// The strategies. The others are compared with the first.
const STRATEGIES: [Strategy; 6] =
    [Strategy::Portfolio, Strategy::Random, Strategy::Sticky, Strategy::Pct(2), Strategy::Pct(3), Strategy::Pos];

/// The milliseconds in which a race should be found.
const GOAL: f64 = 100.0;

/// One campaign.
#[derive(Clone, Copy)]
struct Search {
    /// Runs until the race was found; `None` if it was not.
    runs: Option<u64>,
    /// Milliseconds until then, or until the limit.
    millis: f64,
}

/// The campaigns of one strategy for one race.
#[derive(Default)]
struct Searches(Vec<Search>);

impl Searches {
    /// The runs that half of the campaigns needed at most. `None`, if half of them found nothing.
    fn median_runs(&self) -> Option<u64> {
        let mut runs: Vec<u64> = self.0.iter().map(|search| search.runs.unwrap_or(u64::MAX)).collect();
        runs.sort_unstable();
        runs.get((runs.len() - 1) / 2).copied().filter(|runs| *runs != u64::MAX)
    }

    fn sorted_millis(&self) -> Vec<f64> {
        let mut millis: Vec<f64> = self.0.iter().map(|search| search.millis).collect();
        millis.sort_by(f64::total_cmp);
        millis
    }

    fn median_millis(&self) -> f64 {
        let millis = self.sorted_millis();
        millis[(millis.len() - 1) / 2]
    }

    fn worst_millis(&self) -> f64 {
        self.sorted_millis().last().copied().unwrap_or(0.0)
    }

    fn missed(&self) -> usize {
        self.0.iter().filter(|search| search.runs.is_none()).count()
    }

    /// The runs of the campaign that needed most. If a campaign found nothing, it is the limit with the sign `>`.
    fn worst_runs(&self, limit: u64) -> String {
        let worst = self.0.iter().filter_map(|search| search.runs).max().unwrap_or(0);
        if self.missed() > 0 { format!(">{}", thousands(limit)) } else { thousands(worst) }
    }

    fn document(&self, strategy: Strategy) -> Value {
        json!({
            "strategy": strategy.to_string(),
            "median_runs": self.median_runs(),
            "median_ms": self.median_millis(),
            "worst_ms": self.worst_millis(),
            "missed": self.missed(),
            "runs": self.0.iter().map(|search| search.runs).collect::<Vec<_>>(),
        })
    }
}

/// Looks for every race of one scenario, or of the library.
pub(super) fn run(only: Option<&str>, seeds: u64, limit: u64, output: &mut Output) -> Result<Exit, Failure> {
    let names: Vec<String> = match only {
        Some(name) => vec![name.to_owned()],
        None => library::entries().into_iter().map(|entry| entry.name.to_owned()).collect(),
    };
    let opened: Result<Vec<Loaded>, Failure> =
        names.iter().map(|name| library::open(name).map_err(Failure::bad_input)).collect();
    let opened = opened?;
    let races: Vec<(&Loaded, &Case)> = opened
        .iter()
        .flat_map(|loaded| loaded.scenario.cases.iter().map(move |case| (loaded, case)))
        .filter(|(_, case)| case.expect != Expect::NoViolation)
        .collect();
    let width = races.iter().map(|(loaded, case)| title(loaded, case).len()).max().unwrap_or(0);
    output.text(&format!("{seeds} campaigns each, of {} runs at most; medians, one thread", thousands(limit)));
    output.text(&heads(width));
    let mut documents = Vec::new();
    let mut in_time = 0;
    for (loaded, case) in &races {
        let searches = search_with_all(loaded, case, seeds, limit)?;
        output.text(&line(&title(loaded, case), width, &searches, limit));
        in_time += usize::from(searches[0].median_runs().is_some() && searches[0].median_millis() < GOAL);
        let each: Vec<Value> =
            STRATEGIES.iter().zip(&searches).map(|(strategy, searches)| searches.document(*strategy)).collect();
        documents.push(json!({ "scenario": loaded.scenario.name, "case": case.name, "strategies": each }));
    }
    let default = STRATEGIES[0];
    output.text(&format!("{default} finds {in_time} of {} in less than {GOAL} ms, median", races.len()));
    output.json(&json!({ "seeds": seeds, "limit": limit, "races": documents }));
    Ok(if races.is_empty() { Exit::NothingRan } else { Exit::AsExpected })
}

fn title(loaded: &Loaded, case: &Case) -> String {
    format!("{}/{}", loaded.scenario.name, case.name)
}

/// The searches of each strategy.
fn search_with_all(loaded: &Loaded, case: &Case, seeds: u64, limit: u64) -> Result<Vec<Searches>, Failure> {
    let (machine, kernel) = configuration(&loaded.scenario, case);
    let scenario = &loaded.scenario;
    let mut searches: Vec<Searches> = STRATEGIES.iter().map(|_| Searches::default()).collect();
    for seed in (0..seeds).map(|n| n * APART) {
        for (strategy, searches) in STRATEGIES.into_iter().zip(&mut searches) {
            let campaign = Campaign { seed, ..Campaign::new(scenario, machine, kernel, strategy, limit) };
            let start = Instant::now();
            let explored = campaign
                .explore(
                    Goal::First(&|trace| matching(&case.expect, trace).is_some()),
                    &AtomicBool::new(false),
                    &|_| (),
                )
                .map_err(Failure::bad_input)?;
            let millis = 1000.0 * start.elapsed().as_secs_f64();
            searches.0.push(Search { runs: explored.first.map(|first| first - seed + 1), millis });
        }
    }
    Ok(searches)
}

fn heads(width: usize) -> String {
    let others: String = STRATEGIES[1..].iter().map(|strategy| format!("  {:>8}", strategy.to_string())).collect();
    let groups =
        format!("{:width$}  {:^37}  times the milliseconds of {}", "", STRATEGIES[0].to_string(), STRATEGIES[0]);
    let columns = format!("{:width$}  {:>7}  {:>8}  {:>8}  {:>8}{others}", "", "runs", "worst", "ms", "worst");
    styled(HEAD, &groups) + "\n" + &styled(HEAD, &columns)
}

fn line(title: &str, width: usize, searches: &[Searches], limit: u64) -> String {
    let default = &searches[0];
    let runs = default.median_runs().map_or_else(|| format!(">{}", thousands(limit)), thousands);
    let others: String = searches[1..]
        .iter()
        .map(|other| {
            let missed = if other.median_runs().is_none() { ">" } else { "" };
            format!("  {:>8}", format!("{missed}{:.1}", other.median_millis() / default.median_millis()))
        })
        .collect();
    format!(
        "{title:width$}  {runs:>7}  {:>8}  {:>8.1}  {:>8.1}{others}",
        default.worst_runs(limit),
        default.median_millis(),
        default.worst_millis(),
    )
}
