//! `mmsim replay` and `mmsim explain`.

use std::path::PathBuf;

use sim_core::CpuId;
use sim_mm::Release;
use sim_mmu::Account;

use super::output::{BAD, GOOD, HEAD, styled};
use super::{Exit, Failure, Output};
use crate::explain;
use crate::explore::{Campaign, Strategy, Trace};
use crate::hardware::{account, profile};
use crate::record::Record;
use crate::world::World;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A record that `mmsim run` wrote.
    record: PathBuf,
    /// Also shows what each CPU's cycles went to, at a processor's prices.
    #[arg(long)]
    cycles: bool,
    /// The processor: zen5, skylake, golden-cove, or the path of a profile.
    #[arg(long, default_value = "zen5", value_name = "NAME|FILE", requires = "cycles")]
    profile: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// A record that `mmsim run` wrote.
    record: PathBuf,
}

/// Replays a record: every decision and every digest must be as recorded.
pub(crate) fn replay(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    let file = args.record.display().to_string();
    let record = Record::read(&args.record).map_err(Failure::bad_input)?;
    let (scenario, machine, kernel) = record.open(&file).map_err(Failure::bad_input)?;
    let world = World::new(&scenario, machine, kernel).map_err(Failure::bad_input)?;
    if args.cycles {
        let processor = profile::open(&args.profile).map_err(Failure::bad_input)?;
        world.kernel.mmu.set_profile(Some(processor.profile));
    }
    let trace = run(&record, &world, &file)?;
    let accounts: Vec<(CpuId, Account)> = CpuId::all(world.kernel.config.cpus)
        .filter_map(|cpu| Some((cpu, world.kernel.mmu.account(cpu)?)))
        .collect();
    let difference = record.difference(&trace);
    let mut document = serde_json::json!({
        "record": file, "expected": record.expect, "steps": trace.steps,
        "digest": trace.digests.last().map(|digest| format!("{digest:016x}")),
        "difference": difference,
    });
    if args.cycles {
        let cpus: Vec<_> = accounts.iter().map(|(_, spent)| account::json(spent)).collect();
        document["cycles"] = serde_json::json!({ "profile": args.profile, "cpus": cpus });
    }
    output.json(&document);
    if let Some(difference) = difference {
        output.text(&format!("{}: {difference}", styled(BAD, "diverged")));
        return Ok(Exit::Diverged);
    }
    output.text(&format!("{}: {}", styled(GOOD, "replayed"), record.expect));
    output.text(&record.message);
    output.text(&format!(
        "{} steps, {} decisions, digest {:016x}",
        trace.steps,
        trace.decisions.len(),
        trace.digests.last().copied().unwrap_or_default()
    ));
    if args.cycles {
        output.text(&styled(HEAD, &format!("\nwhat each CPU's cycles went to on {}", args.profile)));
        let columns: Vec<_> = accounts.iter().map(|(cpu, spent)| (cpu.to_string(), spent, 1)).collect();
        for line in account::table(&columns) {
            output.text(&line);
        }
    }
    Ok(Exit::AsExpected)
}

fn run(record: &Record, world: &World<'_>, file: &str) -> Result<Trace, Failure> {
    let source = record.source().map_err(|what| Failure::bad_input(format!("{file}: {what}")))?;
    let mut executor = world.executor();
    let mut trace = Trace::record(world, &mut executor, source);
    trace.put_first(&record.expect);
    Ok(trace)
}

/// Draws the run of a record, and says what prevents its finding.
pub(crate) fn explain(args: &ExplainArgs, output: &mut Output) -> Result<Exit, Failure> {
    let file = args.record.display().to_string();
    let record = Record::read(&args.record).map_err(Failure::bad_input)?;
    let (scenario, machine, kernel) = record.open(&file).map_err(Failure::bad_input)?;
    let world = World::new(&scenario, machine, kernel).map_err(Failure::bad_input)?;
    let trace = run(&record, &world, &file)?;
    if let Some(difference) = record.difference(&trace) {
        return Err(Failure { exit: Exit::Diverged, message: format!("{file}: diverged: {difference}") });
    }
    let Some(finding) = trace.findings.first() else {
        return Err(Failure::bad_input(format!("{file}: the run has no finding to explain")));
    };
    let text = explain::explain(&world, &trace, finding);
    let campaign = Campaign {
        scenario: &scenario,
        machine,
        kernel,
        strategy: Strategy::Portfolio,
        seed: 0,
        runs: 1,
        jobs: 1,
    };
    let prevented = explain::prevented_by(&campaign, record.provenance.seed, &record.expect);
    let keys: Vec<&str> = prevented.iter().map(|safeguard| safeguard.facts().key).collect();
    let (title, rest) = text.split_once('\n').unwrap_or((&text, ""));
    output.text(&styled(BAD, title));
    output.text(rest.trim_end());
    if !keys.is_empty() {
        output.text(&format!("prevented by: {}", keys.join(", ")));
    }
    for safeguard in &prevented {
        let facts = safeguard.facts();
        let since =
            if facts.since == Release::LATEST { String::new() } else { format!(", since {}", facts.since) };
        output.text(&format!("  {} in {}(){since}: {}", facts.key, facts.routine, facts.about));
    }
    output.json(&serde_json::json!({
        "title": record.expect, "message": record.message, "prevented_by": keys,
        "diagram": text.lines().collect::<Vec<_>>(),
    }));
    Ok(Exit::AsExpected)
}
