//! `mmsim bench`: how fast runs are, and how soon races are found.
#![allow(clippy::disallowed_types, reason = "a measurement reads the host's clock; no run does")]

mod races;
mod speed;

use super::{Exit, Failure, Output};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The scenario, whose first case is run; with --races only its races are looked for.
    #[arg(default_value = "spec-ref-vs-reuse", default_value_if("races", "true", None))]
    scenario: Option<String>,
    /// The number of runs for each strategy.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Measures how soon each strategy finds each race of the library instead.
    #[arg(long, conflicts_with = "runs")]
    races: bool,
    /// Campaigns for a race and a strategy, each with numbers of runs of its own.
    #[arg(long, default_value_t = 20, requires = "races", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Runs of a campaign, after which it has not found the race.
    #[arg(long, default_value_t = 50_000, requires = "races",
          value_parser = clap::value_parser!(u64).range(1..=races::APART))]
    limit: u64,
}

/// Measures on one thread.
pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    match &args.scenario {
        Some(scenario) if !args.races => speed::run(scenario, args.runs, output),
        only => races::run(only.as_deref(), args.seeds, args.limit, output),
    }
}
