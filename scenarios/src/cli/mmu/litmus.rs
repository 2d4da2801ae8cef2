//! `mmsim mmu litmus`.

use std::path::PathBuf;

use clap::ValueEnum;
use sim_mmu::Policy;

use super::{Exit, Failure, Output};
use crate::cli::input;
use crate::cli::output::{BAD, DOUBT, GOOD, HEAD, styled, thousands};
use crate::hardware::litmus::{Budget, Program, Report, StepReport, explore, read_programs};
use crate::hardware::profile;

/// Runs programs on the translation caches, and compares what they show with what the architecture
/// allows.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Programs, one JSON object a line; may be compressed with gzip. `-` is stdin.
    file: PathBuf,
    /// What the caches keep and use.
    #[arg(long, value_enum, default_value_t = PolicyArg::Adversarial)]
    policy: PolicyArg,
    /// The processor whose caches the policy `profile` has: zen5, skylake, golden-cove, or a file.
    #[arg(long, default_value = "zen5")]
    profile: String,
    /// Two entries of one page, size and tag may be cached at once (adversarial).
    #[arg(long)]
    duplicates: bool,
    /// Tries every choice instead of a sample of them.
    #[arg(long)]
    exhaustive: bool,
    /// The number of runs of each program: the size of a sample, or the most runs of an exhaustive search.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// The first seed of a sample.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Only programs whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PolicyArg {
    /// Nothing is cached.
    Coherent,
    /// Finite caches, as of a real processor.
    Profile,
    /// All is kept that may be, and the oldest that serves is used.
    Laziest,
    /// What is kept and what is used is a choice.
    Adversarial,
}

/// The number of runs that sample a program.
const SAMPLED: u64 = 2_000;
/// The number of runs after which the exploration of a program is given up.
const MOST: u64 = 5_000_000;

#[derive(Default)]
struct Totals {
    programs: usize,
    runs: u64,
    outside: usize,
    reached: usize,
    demanded: usize,
    unfinished: usize,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    let text = read(args)?;
    let policy = match args.policy {
        PolicyArg::Coherent => Policy::Coherent,
        PolicyArg::Profile => Policy::Profile,
        PolicyArg::Laziest => Policy::Laziest,
        PolicyArg::Adversarial => Policy::Adversarial { duplicates: args.duplicates },
    };
    let profile = match policy {
        Policy::Profile => Some(profile::open(&args.profile).map_err(Failure::bad_input)?.profile),
        _ => None,
    };
    // The other policies leave nothing to choose, so there is only one run.
    let adversarial = args.policy == PolicyArg::Adversarial;
    let budget = match args.exhaustive || !adversarial {
        true => Budget::Exhaustive(args.runs.unwrap_or(MOST)),
        false => Budget::Sampled(args.runs.unwrap_or(SAMPLED), args.seed),
    };
    let held_to_all = adversarial && args.exhaustive;
    let mut totals = Totals::default();
    let mut bad_lines = 0;
    let mut documents = Vec::new();
    for (line, program) in read_programs(&text) {
        let program = match program {
            Ok(program) => program,
            Err(error) => {
                output.error(&format!("{}:{line}: error: {error}", input::name(&args.file)));
                bad_lines += 1;
                continue;
            }
        };
        if args.only.as_ref().is_some_and(|only| !program.name.contains(only)) {
            continue;
        }
        let report = explore(&program, policy, profile.clone(), budget);
        totals.add(&report);
        tell(output, &program, &report, held_to_all);
        documents.push(document(&program, &report));
    }
    totals.tell(output, adversarial, held_to_all);
    output.json(&serde_json::json!({
        "programs": documents, "outside": totals.outside, "reached": totals.reached,
        "allowed": totals.demanded, "bad_lines": bad_lines,
    }));
    Ok(if totals.outside > 0 || held_to_all && totals.reached < totals.demanded && totals.unfinished == 0 {
        Exit::Violation
    } else if bad_lines > 0 {
        Exit::BadInput
    } else if totals.programs == 0 {
        Exit::NothingRan
    } else if held_to_all && totals.unfinished > 0 {
        Exit::Inconclusive
    } else {
        Exit::AsExpected
    })
}

fn read(args: &Args) -> Result<String, Failure> {
    let stream = input::open(&args.file)?;
    std::io::read_to_string(stream)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", input::name(&args.file))))
}

impl Totals {
    fn add(&mut self, report: &Report) {
        let (reached, demanded) = report.reached();
        self.programs += 1;
        self.runs += report.runs;
        self.outside += report.outside();
        self.reached += reached;
        self.demanded += demanded;
        self.unfinished += usize::from(!report.complete);
    }

    fn tell(&self, output: &mut Output, adversarial: bool, held_to_all: bool) {
        output.text(&format!("{} programs, {} runs", self.programs, thousands(self.runs)));
        let style = if self.outside == 0 { GOOD } else { BAD };
        output.text(&format!("  outcomes outside what is allowed: {}", styled(style, &self.outside.to_string())));
        let style = if self.reached == self.demanded {
            GOOD
        } else if held_to_all {
            BAD
        } else {
            DOUBT
        };
        let reached = format!("{} of {}", self.reached, self.demanded);
        output.text(&format!("  allowed outcomes reached: {}", styled(style, &reached)));
        if held_to_all && self.unfinished > 0 {
            output.text(&format!("  programs with more runs than were made: {}", self.unfinished));
        } else if adversarial && !held_to_all && self.reached < self.demanded {
            output.text("  a sample: --exhaustive tries every choice");
        }
    }
}

/// Prints a line about a program, and one more line for each thing that is not as it should be.
fn tell(output: &mut Output, program: &Program, report: &Report, held_to_all: bool) {
    let (reached, demanded) = report.reached();
    let wrong = report.outside() > 0 || held_to_all && reached < demanded;
    let mark = if wrong { styled(BAD, "FAIL") } else { styled(GOOD, "ok  ") };
    let doubt = if program.doubtful.is_some() { styled(DOUBT, "  (doubtful)") } else { String::new() };
    output.text(&format!(
        "{mark} {:52} {reached:>3}/{demanded:<3} {:>9} run{}{doubt}",
        program.name,
        thousands(report.runs),
        if report.runs == 1 { "" } else { "s" }
    ));
    if wrong {
        output.text(&format!("     {} (SDM {})", styled(HEAD, &program.about), program.sdm));
    }
    let name = |step: &StepReport| program.steps[step.step].name.as_deref().unwrap_or("?").to_owned();
    for (what, steps) in [("", &report.accesses), (" leaves A/D", &report.flags)] {
        for step in steps {
            let head = format!("     step {} `{}`{what}", step.step, name(step));
            if !step.outside.is_empty() {
                output.text(&format!("{head}: not allowed: {}", list(&step.outside)));
            }
            if held_to_all && !step.missing.is_empty() {
                output.text(&format!("{head}: not reached: {}", list(&step.missing)));
            }
        }
    }
    for tuple in &report.not_joint {
        output.text(&format!("     not allowed together: {}", tuple.join(" ")));
    }
    for step in &report.refusals {
        let expected = if program.steps[*step].refused { "must raise #GP, and did not" } else { "raised #GP" };
        output.text(&format!("     step {step} {expected}"));
    }
}

fn list(outcomes: &std::collections::BTreeSet<String>) -> String {
    outcomes.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn document(program: &Program, report: &Report) -> serde_json::Value {
    let step = |step: &StepReport| {
        serde_json::json!({
            "step": step.step, "op": program.steps[step.step].name, "reached": step.reached,
            "outside": step.outside, "missing": step.missing,
        })
    };
    serde_json::json!({
        "test": program.name, "runs": report.runs, "complete": report.complete,
        "accesses": report.accesses.iter().map(step).collect::<Vec<_>>(),
        "ad": report.flags.iter().map(step).collect::<Vec<_>>(),
        "not_joint": report.not_joint, "wrong_gp": report.refusals,
    })
}
