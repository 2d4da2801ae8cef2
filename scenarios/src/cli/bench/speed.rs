//! Runs and steps a second of the whole stack, with the event log off.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::case::configuration;
use crate::cli::output::thousands;
use crate::cli::{Exit, Failure, Output};
use crate::explore::{Campaign, Goal, Strategy};
use crate::library;

/// Measures each strategy on one thread.
pub(super) fn run(scenario: &str, runs: u64, output: &mut Output) -> Result<Exit, Failure> {
    let loaded = library::open(scenario).map_err(Failure::bad_input)?;
    let scenario = &loaded.scenario;
    let (machine, kernel) = match scenario.cases.first() {
        Some(case) => configuration(scenario, case),
        None => (scenario.machine, scenario.kernel.resolve()),
    };
    output.text(&format!("{}, one thread, event log off", scenario.name));
    let mut rows = Vec::new();
    for strategy in
        [Strategy::Random, Strategy::Sticky, Strategy::Pct(3), Strategy::Pos, Strategy::Portfolio, Strategy::Timed]
    {
        let campaign = Campaign::new(scenario, machine, kernel, strategy, runs);
        let start = Instant::now();
        let explored =
            campaign.explore(Goal::All, &AtomicBool::new(false), &|_| ()).map_err(Failure::bad_input)?;
        let seconds = start.elapsed().as_secs_f64();
        let per_second = |n: u64| (n as f64 / seconds) as u64;
        output.text(&format!(
            "  {:10} {:>9} runs/s  {:>11} steps/s  {:>4} steps/run",
            strategy.to_string(),
            thousands(per_second(explored.runs)),
            thousands(per_second(explored.steps)),
            explored.steps / explored.runs.max(1)
        ));
        rows.push(serde_json::json!({
            "strategy": strategy.to_string(), "runs_per_second": per_second(explored.runs),
            "steps_per_second": per_second(explored.steps), "steps_per_run": explored.steps / explored.runs.max(1),
        }));
    }
    output.json(&serde_json::json!({ "scenario": scenario.name, "strategies": rows }));
    Ok(Exit::AsExpected)
}
