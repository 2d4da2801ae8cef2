//! `mmsim explain`.

use std::path::PathBuf;

use sim_mm::Release;

use super::output::{BAD, styled, thousands};
use super::replay::Opened;
use super::{Exit, Failure, Format, Output};
use crate::explain::{self, Prevention};
use crate::explore::{Campaign, Strategy};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A record that `mmsim run` or `mmsim shrink` wrote.
    record: PathBuf,
    /// Also says of each safeguard that prevents the finding what it does, and in which schedules.
    #[arg(long)]
    prevented_by: bool,
}

/// Draws the run of a record, and says what prevents its finding.
pub(crate) fn run(args: &Args, format: Format, output: &mut Output) -> Result<Exit, Failure> {
    let opened = Opened::read(&args.record)?;
    let world = opened.world()?;
    let trace = opened.replay_exactly(&world)?;
    let finding = trace.findings.first().expect("a replay that is exact has a finding");
    let record = &opened.record;
    if format == Format::Report {
        output.part(&explain::report(&world, &trace, finding, record, &opened.file));
        return Ok(Exit::AsExpected);
    }
    let text = explain::explain(&world, &trace, finding, &record.matters);
    let campaign = Campaign::new(&opened.scenario, opened.machine, opened.kernel, Strategy::Portfolio, 1);
    let prevented = explain::prevented_by(&campaign, &trace, finding);
    let (title, rest) = text.split_once('\n').unwrap_or((&text, ""));
    output.text(&styled(BAD, title));
    output.text(rest.trim_end());
    let reservation = explain::reservation(&world);
    for line in explain::told(&prevented).iter().chain(&reservation) {
        output.prose(line);
    }
    for prevention in prevented.iter().filter(|_| args.prevented_by) {
        output.text(&detail(prevention));
    }
    let keys = |holds: bool| {
        let those = prevented.iter().filter(|prevention| prevention.holds == holds);
        those.map(ToString::to_string).collect::<Vec<_>>()
    };
    output.json(&serde_json::json!({
        "title": record.expect, "message": explain::consequence(&world, finding), "prevented_by": keys(true),
        "prevented_in_this_schedule_by": keys(false), "steps": record.steps, "matters": record.matters,
        "note": reservation,
        "diagram": text.lines().collect::<Vec<_>>(),
    }));
    Ok(Exit::AsExpected)
}

fn detail(prevention: &Prevention) -> String {
    let others = match prevention.holds {
        true => format!("and {} others that were tried", thousands(prevention.others)),
        false => "but not others".to_owned(),
    };
    let alone = if prevention.safeguards.len() > 1 { "Together they prevent" } else { "Prevents" };
    let lines = prevention.safeguards.iter().map(|facts| {
        let since = if facts.since == Release::LATEST {
            String::new()
        } else {
            format!(", since {}{}", facts.since, facts.arch.told())
        };
        format!("  {} in {}(){since}: {}\n", facts.key, facts.routine, facts.about)
    });
    format!("{}    {alone} this schedule, {others}.", lines.collect::<String>())
}
