//! `mmsim replay`.

use std::path::{Path, PathBuf};

use sim_core::{CpuId, Executor};
use sim_mm::{Kernel, KernelConfig};
use sim_mmu::Account;

use super::configure::{Configure, strategies};
use super::output::{BAD, GOOD, HEAD, styled, thousands};
use super::{Exit, Failure, Output};
use crate::course::{Course, Follow};
use crate::explain::{consequence, reservation};
use crate::explore::{Strategy, Trace};
use crate::hardware::{account, profile};
use crate::json::{by_name, shown};
use crate::oracle::Finding;
use crate::record::{Prefix, Provenance, Record};
use crate::scenario::{MachineSpec, Scenario, StrategyName};
use crate::shell::command;
use crate::shrink::simplify;
use crate::world::{STEP_BOUND, World};

#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// A record that `mmsim run` wrote.
    record: PathBuf,
    #[command(flatten)]
    configure: Configure,
    /// Runs twice, and names the first event that differs.
    #[arg(long, conflicts_with_all = ["prefix", "cycles"])]
    check_determinism: bool,
    /// Also shows what the cycles of each CPU are spent on, with the costs of a processor.
    #[arg(long)]
    cycles: bool,
    /// The processor: zen5, skylake, golden-cove, or the path of a profile.
    #[arg(long, default_value = "zen5", value_name = "NAME|FILE", requires = "cycles")]
    profile: String,
    /// Replays as far as the record goes, then goes on with a strategy: for a kernel that was changed.
    #[arg(long, conflicts_with = "cycles", help_heading = "Prefix")]
    prefix: bool,
    /// How to go on.
    #[arg(long, default_value = "portfolio", requires = "prefix", value_parser = strategies(|strategy| !strategy.is_exhaustive()), help_heading = "Prefix")]
    strategy: String,
    /// The largest number of runs.
    #[arg(long, default_value_t = 10_000, requires = "prefix", value_parser = clap::value_parser!(u64).range(1..),
          help_heading = "Prefix")]
    runs: u64,
    /// The number of the first run, which is also its seed.
    #[arg(long, default_value_t = 0, requires = "prefix", value_parser = clap::value_parser!(u64).range(..1 << 48),
          help_heading = "Prefix")]
    seed: u64,
    /// The folder that a new record is written to; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".", requires = "prefix", help_heading = "Prefix")]
    out: PathBuf,
}

const NOTES: &str = "With options that change the kernel or the machine it says whether this schedule still ends in the \
finding there: each CPU comes to the lines of code that the record has for it, in that order. --kernel takes the kernel of that \
release, less what --without names. Exit codes: 1 if it does, or if anything else is found; 0 if nothing is. Other schedules \
may: `mmsim run` looks for them.";

/// A record with what it names.
pub(super) struct Opened {
    pub(super) file: String,
    pub(super) record: Record,
    pub(super) scenario: Scenario,
    pub(super) machine: MachineSpec,
    pub(super) kernel: KernelConfig,
}

impl Opened {
    pub(super) fn read(path: &Path) -> Result<Opened, Failure> {
        let file = path.display().to_string();
        let record = Record::read(path).map_err(Failure::bad_input)?;
        let (scenario, machine, kernel) = record.open(&file).map_err(Failure::bad_input)?;
        Ok(Opened { file, record, scenario, machine, kernel })
    }

    pub(super) fn world(&self) -> Result<World<'_>, Failure> {
        World::new(&self.scenario, self.machine, self.kernel).map_err(Failure::bad_input)
    }

    /// The run that the decisions lead to.
    fn replay(&self, world: &World<'_>) -> Result<Trace, Failure> {
        let bad = |what| Failure::bad_input(format!("{}: {what}", self.file));
        let mut executor = world.executor();
        let mut trace = Trace::record(world, &mut executor, self.record.source().map_err(bad)?);
        trace.put_first(&self.record.expect);
        Ok(trace)
    }

    /// Whether the claims of the record about its run are right.
    fn verify(&self, world: &World<'_>, trace: &Trace) -> Result<(), Failure> {
        self.record.verify(&self.file, world, &mut world.executor(), trace).map_err(Failure::bad_input)
    }

    /// The replay, if it is the run that was recorded.
    pub(super) fn replay_exactly(&self, world: &World<'_>) -> Result<Trace, Failure> {
        let trace = self.replay(world)?;
        match self.record.difference(&trace) {
            None if trace.findings.is_empty() => {
                Err(Failure::bad_input(format!("{}: the run has no finding", self.file)))
            }
            None => {
                self.verify(world, &trace)?;
                Ok(trace)
            }
            Some(difference) => {
                let message = format!("{}: diverged: {difference}", self.file);
                Err(Failure { exit: Exit::Diverged, message })
            }
        }
    }
}

/// Replays a record: every decision and every digest must be as recorded.
pub(crate) fn replay(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    args.configure.check()?;
    let opened = Opened::read(&args.record)?;
    if args.configure.changes() {
        if args.prefix || args.cycles || args.check_determinism {
            let message = "a changed kernel or machine takes other steps: leave out --prefix, --cycles and \
                           --check-determinism";
            return Err(Failure { exit: Exit::Usage, message: message.to_owned() });
        }
        return elsewhere(&args.configure, &opened, output);
    }
    if args.prefix {
        return prefix(args, &opened, output);
    }
    let world = opened.world()?;
    if args.cycles {
        let processor = profile::open(&args.profile).map_err(Failure::bad_input)?;
        world.kernel().mmu.set_profile(Some(processor.profile));
    }
    let trace = opened.replay(&world)?;
    if args.check_determinism
        && let Some(difference) = first_difference(&trace, &opened.replay(&opened.world()?)?)
    {
        panic!("simulator defect: two replays of {} differ: {difference}", opened.file);
    }
    let accounts: Vec<(CpuId, Account)> = CpuId::all(world.kernel().config.cpus)
        .filter_map(|cpu| Some((cpu, world.kernel().mmu.account(cpu)?)))
        .collect();
    let record = &opened.record;
    let difference = record.difference(&trace);
    if difference.is_none() {
        opened.verify(&world, &trace)?;
    }
    let mut document = serde_json::json!({
        "record": opened.file, "expected": record.expect, "steps": trace.steps,
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
        output.command("to go on from there", &command("replay --prefix", &opened.file));
        return Ok(Exit::Diverged);
    }
    output.text(&format!("{}: {}", styled(GOOD, "replayed"), record.expect));
    if let Some(finding) = trace.findings.first() {
        output.prose(&consequence(&world, finding));
    }
    output.text(&format!(
        "{} steps, {} decisions, digest {:016x}",
        trace.steps,
        trace.decisions.len(),
        trace.digests.last().copied().unwrap_or_default()
    ));
    if args.check_determinism {
        output.text(&format!("twice the same: {} events", thousands(trace.log.len() as u64)));
    }
    if args.cycles {
        output.text(&styled(HEAD, &format!("\nwhat each CPU's cycles went to on {}", args.profile)));
        let columns: Vec<_> = accounts.iter().map(|(cpu, spent)| (cpu.to_string(), spent, 1)).collect();
        for line in account::table(&columns) {
            output.text(&line);
        }
    }
    Ok(Exit::AsExpected)
}

/// Whether the schedule of the record ends in its finding under another kernel or on another machine.
fn elsewhere(configure: &Configure, opened: &Opened, output: &mut Output) -> Result<Exit, Failure> {
    let world = opened.world()?;
    let course = Course::of(&opened.replay_exactly(&world)?);
    let change = configure.kernel_change();
    let machine = match change.version {
        Some(_) => opened.machine.without_the_usual_of(opened.kernel.version),
        None => opened.machine,
    };
    let machine = machine.changed(&configure.machine_change());
    let other = World::new(&opened.scenario, machine, change.change(opened.kernel)).map_err(Failure::bad_input)?;
    let (source, _) = Follow::source(course, &other);
    let trace = Trace::record(&other, &mut other.executor(), source);
    let oracle = |title: &str| title.split(' ').next().map(str::to_owned);
    let titles: Vec<String> = trace.findings.iter().map(Finding::title).collect();
    let still = titles.iter().position(|title| oracle(title) == oracle(&opened.record.expect));
    let told = still.or((!titles.is_empty()).then_some(0));
    output.text(&match (still, told) {
        (Some(i), _) => format!("{}: {}", styled(BAD, "still"), titles[i]),
        (None, Some(i)) => format!("{}: {}", styled(BAD, "something else"), titles[i]),
        (None, None) => format!("{}: no violation in this schedule", styled(GOOD, "not there")),
    });
    if let Some(i) = told {
        output.prose(&consequence(&other, &trace.findings[i]));
    }
    if let Some(note) = reservation(&other) {
        output.prose(&note);
    }
    output.text(&format!("recorded: {}", opened.record.expect));
    output.json(&serde_json::json!({
        "record": opened.file, "expected": opened.record.expect, "still": still.is_some(), "found": titles,
        "steps": trace.steps,
    }));
    Ok(if told.is_some() { Exit::Violation } else { Exit::AsExpected })
}

/// The first event in which two runs differ.
fn first_difference(one: &Trace, other: &Trace) -> Option<String> {
    let events = |trace: &Trace| trace.log.iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>();
    let (one, other) = (events(one), events(other));
    let i = (0..one.len().max(other.len())).find(|&i| one.get(i) != other.get(i))?;
    let at = |list: &[String]| list.get(i).cloned().unwrap_or_else(|| "the end".to_owned());
    Some(format!("event {i}: {} against {}", at(&one), at(&other)))
}

/// Runs that begin as the record does, and then go on by a strategy.
fn prefix(args: &Args, opened: &Opened, output: &mut Output) -> Result<Exit, Failure> {
    let world = opened.world()?;
    let mut executor = world.executor();
    let strategy = Strategy::from(by_name::<StrategyName>(&args.strategy).unwrap_or_default());
    let bar = output.progress(&opened.scenario.name, args.runs);
    let mut went = 0;
    for seed in args.seed..args.seed.saturating_add(args.runs) {
        let (found, taken) = run_from(opened, &world, &mut executor, strategy, seed)?;
        went = taken;
        bar.inc(1);
        let Some(trace) = found else { continue };
        bar.finish_and_clear();
        let trace = simplify(&world, &mut executor, trace);
        let (text, how) = (opened.record.scenario.to_string(), format!("a record, then {strategy}"));
        let provenance =
            Provenance { case: opened.record.provenance.case.clone(), strategy: how, seed: Some(seed), run: None };
        let record = Record::new(&world, opened.machine, &trace, &text, provenance);
        let runs = seed - args.seed + 1;
        output.text(&far(went, opened));
        output.text(&format!("{}: {}, after {} runs", styled(BAD, "found"), record.expect, thousands(runs)));
        let path = super::race::write(&record, &args.out)?;
        output.prose(&format!("record: {}", shown(&path.display().to_string())));
        output.command("explain", &command("explain", &path.display().to_string()));
        output.json(&serde_json::json!({
            "decisions": opened.record.decisions.len(), "taken": went, "found": record.expect, "runs": runs,
            "record": path.display().to_string(),
        }));
        return Ok(Exit::Violation);
    }
    bar.finish_and_clear();
    output.text(&far(went, opened));
    output.text(&format!("no violation in {} runs that go on by {strategy}", thousands(args.runs)));
    output.json(&serde_json::json!({
        "decisions": opened.record.decisions.len(), "taken": went, "found": null, "runs": args.runs,
    }));
    Ok(Exit::AsExpected)
}

fn far(taken: usize, opened: &Opened) -> String {
    format!("the record goes {taken} of {} decisions far", opened.record.decisions.len())
}

/// One run from the prefix on. It is kept in full if it found something. The number says how many decisions were those of
/// the record.
fn run_from<'m>(
    opened: &Opened,
    world: &'m World<'_>,
    executor: &mut Executor<'m, Kernel>,
    strategy: Strategy,
    seed: u64,
) -> Result<(Option<Trace>, usize), Failure> {
    let source = || {
        let then = strategy.source(seed, opened.record.decisions.len() as u64);
        Prefix::source(&opened.record, then).map_err(|what| Failure::bad_input(format!("{}: {what}", opened.file)))
    };
    let (first, taken) = source()?;
    world.kernel().core().set_source(first);
    let summary = world.run(executor, STEP_BOUND);
    if !summary.violation {
        return Ok((None, taken.decisions()));
    }
    let (again, taken) = source()?;
    let mut trace = Trace::record(world, executor, again);
    trace.put_first(&opened.record.expect);
    Ok((Some(trace), taken.decisions()))
}
