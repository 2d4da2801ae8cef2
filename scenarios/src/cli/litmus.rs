//! `mmsim litmus`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::interrupt::Interrupts;
use super::output::{BAD, DOUBT, GOOD, styled, thousands};
use super::{Exit, Failure, Output, input};
use crate::json::counted;
use crate::litmus::{Difference, Report, Test, Verdict, read_herd, read_rows, run_all, scenario_text};

/// Runs litmus tests of memory order and of translation through all their schedules, and compares what came of them with
/// what the model allows.
///
/// A test becomes a scenario, whose threads are user code on the simulated machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tests: files with a JSON object on each line, which may be compressed with gzip, or files `NAME.litmus` in herd's syntax for X86 or X86_64.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The memory model of the machine.
    #[arg(long, value_enum, default_value_t = Memory::Tso)]
    memory: Memory,
    /// The number of threads.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), default_value_t = 1)]
    jobs: u16,
    /// The largest number of runs of a test.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), default_value_t = 2_000_000)]
    runs: u64,
    /// Only tests whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Prints the scenario of the one test, and does not run it.
    #[arg(long)]
    scenario: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Memory {
    /// Store buffers (x86-TSO).
    Tso,
    /// Sequential consistency.
    Sc,
}

pub(crate) fn run(args: &Args, output: &mut Output, interrupts: &Interrupts) -> Result<Exit, Failure> {
    let mut tests = Vec::new();
    let mut bad = 0_u64;
    for file in &args.files {
        for (place, test) in read(file)? {
            match test {
                Ok(test) => tests.push(test),
                Err(error) => {
                    output.error(&format!("{place}: error: {error}"));
                    bad += 1;
                }
            }
        }
    }
    tests.retain(|test| args.only.as_ref().is_none_or(|only| test.name.contains(only)));
    let tso = args.memory == Memory::Tso;
    if args.scenario {
        return match tests.as_slice() {
            [test] => {
                output.bytes(format!("{}\n", scenario_text(test, tso)).as_bytes());
                Ok(Exit::AsExpected)
            }
            tests => Err(Failure {
                exit: Exit::Usage,
                message: format!(
                    "`--scenario` prints that of one test, and these are {}: choose one with `--only`",
                    tests.len()
                ),
            }),
        };
    }
    let stop = interrupts.watch();
    let bar = output.progress("litmus", tests.len() as u64);
    let reports = run_all(&tests, tso, args.runs, usize::from(args.jobs), stop, &|| bar.inc(1));
    bar.finish_and_clear();
    let mut totals = Totals { bad, ..Totals::default() };
    let mut documents = Vec::new();
    for (test, report) in tests.iter().zip(reports) {
        match report {
            None => totals.not_begun += 1,
            Some(Err(error)) => {
                output.error(&format!("{}: error: {error}", test.name));
                totals.bad += 1;
            }
            Some(Ok(report)) => {
                totals.add(test, &report);
                tell(output, test, &report, tso);
                documents.push(document(test, &report));
            }
        }
    }
    totals.tell(output, tso);
    output.json(&totals.document(documents));
    Ok(totals.exit(tso))
}

/// The place of a test in its file, and the test or its error.
type Read = (String, Result<Test, String>);

/// The tests of a file.
fn read(file: &Path) -> Result<Vec<Read>, Failure> {
    let name = input::name(file);
    let stream = input::open(file)?;
    let text = std::io::read_to_string(stream).map_err(|error| Failure::bad_input(format!("{name}: {error}")))?;
    if file.extension().is_some_and(|extension| extension == "litmus") {
        return Ok(vec![(name, read_herd(&text))]);
    }
    Ok(read_rows(&text).into_iter().map(|(line, test)| (format!("{name}:{line}"), test)).collect())
}

#[derive(Default)]
struct Totals {
    programs: u64,
    complete: u64,
    runs: u64,
    outside: u64,
    outcomes: u64,
    reached: u64,
    verdicts: u64,
    differ: u64,
    wrong: u64,
    not_seen: u64,
    found: u64,
    bad: u64,
    not_begun: u64,
}

impl Totals {
    fn add(&mut self, test: &Test, report: &Report) {
        self.programs += 1;
        self.complete += u64::from(report.is_complete());
        self.runs += report.runs;
        self.outside += report.outside.len() as u64;
        let all = test.all_outcomes.as_ref().map_or(0, |all| all.len() as u64);
        self.outcomes += all;
        self.reached += all - report.missing.len() as u64;
        self.verdicts += u64::from(report.verdict != Verdict::Silent);
        self.differ += u64::from(report.verdict == Verdict::Differs);
        self.wrong += u64::from(report.verdict == Verdict::Forbidden);
        self.not_seen += u64::from(report.verdict == Verdict::NotSeen);
        self.found += report.found.iter().filter(|title| *title != "check").count() as u64;
    }

    fn tell(&self, output: &mut Output, tso: bool) {
        let tests = counted(self.programs, "test");
        output.text(&format!(
            "{tests}, {} runs; all schedules of {}",
            thousands(self.runs),
            thousands(self.complete)
        ));
        let style = if self.outside == 0 { GOOD } else { BAD };
        output.text(&format!("  outcomes outside what is allowed: {}", styled(style, &thousands(self.outside))));
        if self.outcomes > 0 {
            let style = if self.reached == self.outcomes { GOOD } else { DOUBT };
            let reached = styled(style, &thousands(self.reached));
            output.text(&format!("  allowed outcomes that were had: {reached} of {}", thousands(self.outcomes)));
        }
        if self.verdicts > 0 {
            let right = self.verdicts - self.differ - self.wrong - if tso { self.not_seen } else { 0 };
            let style = if right + self.differ == self.verdicts { GOOD } else { BAD };
            let right = styled(style, &thousands(right));
            output.text(&format!("  verdicts as the tests say: {right} of {}", thousands(self.verdicts)));
            if self.differ > 0 {
                output.text(&format!("  verdicts that the SDM contradicts: {}", thousands(self.differ)));
            }
        }
        if self.found > 0 {
            output.text(&format!("  findings of oracles: {}", styled(BAD, &thousands(self.found))));
        }
        if self.bad > 0 {
            output.text(&format!("  could not be run: {}", styled(DOUBT, &thousands(self.bad))));
        }
        if self.not_begun > 0 {
            output.text(&format!("  not begun: {}", thousands(self.not_begun)));
        }
    }

    fn document(&self, tests: Vec<serde_json::Value>) -> serde_json::Value {
        serde_json::json!({
            "programs": self.programs, "complete": self.complete, "runs": self.runs, "outside": self.outside,
            "outcomes": self.outcomes, "reached": self.reached,
            "verdicts": self.verdicts, "verdicts_wrong": self.wrong + self.not_seen,
            "verdicts_differ": self.differ,
            "findings": self.found, "bad": self.bad, "not_begun": self.not_begun, "tests": tests,
        })
    }

    /// Under sequential consistency, outcomes that x86 allows may be missing.
    fn exit(&self, tso: bool) -> Exit {
        let missing = self.reached < self.outcomes || self.not_seen > 0;
        let is_through = self.complete == self.programs && self.not_begun == 0;
        if self.outside + self.wrong + self.found > 0 || tso && missing && is_through {
            Exit::Violation
        } else if self.bad > 0 {
            Exit::BadInput
        } else if self.programs == 0 {
            Exit::NothingRan
        } else if !is_through {
            Exit::Inconclusive
        } else {
            Exit::AsExpected
        }
    }
}

/// A line for a test whose result is not as it should be, or which does not say how it should be.
fn tell(output: &mut Output, test: &Test, report: &Report, tso: bool) {
    let values = |outcome: &Vec<u64>| {
        let values = test.observe.iter().zip(outcome).map(|(name, value)| format!("{name} = {value}"));
        values.collect::<Vec<_>>().join(", ")
    };
    for outcome in &report.outside {
        output.text(&format!("{}: {}: {}", test.name, styled(BAD, "outside"), values(outcome)));
    }
    for outcome in report.missing.iter().filter(|_| tso) {
        output.text(&format!("{}: {}: {}", test.name, styled(DOUBT, "missing"), values(outcome)));
    }
    for title in report.found.iter().filter(|title| *title != "check") {
        output.text(&format!("{}: {}: {title}", test.name, styled(BAD, "found")));
    }
    let asked = test.condition.as_ref().map_or_else(String::new, ToString::to_string);
    match report.verdict {
        Verdict::Forbidden => {
            output.text(&format!("{}: {}: {asked}", test.name, styled(BAD, "forbidden, and was had")));
        }
        Verdict::NotSeen if tso => {
            output.text(&format!("{}: {}: {asked}", test.name, styled(DOUBT, "allowed, and was not had")));
        }
        Verdict::Differs => {
            let rules: BTreeSet<_> = test.differs.iter().flat_map(|differs| &differs.rules).collect();
            for rule in rules {
                output.text(&format!(
                    "{}: {} (SDM {}): {}",
                    test.name,
                    styled(DOUBT, "otherwise"),
                    rule.sdm,
                    rule.about
                ));
            }
        }
        _ => {}
    }
    if !report.is_complete() {
        output.text(&format!("{}: {}: {}", test.name, styled(DOUBT, "not all schedules"), report.extent));
    }
    if test.all_outcomes.is_none() && test.is_allowed.is_none() {
        let had = if report.had { "had" } else { "never had" };
        output.text(&format!("{}: {}: {asked}", test.name, styled(GOOD, had)));
        report.outcomes.iter().for_each(|outcome| output.text(&format!("  {}", values(outcome))));
    }
}

fn document(test: &Test, report: &Report) -> serde_json::Value {
    let verdict = match report.verdict {
        Verdict::Silent | Verdict::Differs => None,
        Verdict::Agrees => Some(true),
        Verdict::Forbidden | Verdict::NotSeen => Some(false),
    };
    serde_json::json!({
        "name": test.name, "complete": report.is_complete(), "runs": report.runs, "observe": test.observe,
        "outcomes": report.outcomes, "outside": report.outside, "missing": report.missing,
        "had": test.condition.is_some().then_some(report.had), "as_the_test_says": verdict,
        "differs": test.differs.iter().map(difference).collect::<Vec<_>>(),
    })
}

/// An outcome that only one of source and SDM allows, with the rules in which they differ.
fn difference(differs: &Difference) -> serde_json::Value {
    let rules = differs.rules.iter().map(|rule| {
        serde_json::json!({ "rule": rule.name, "sdm": rule.sdm, "about": rule.about, "source": rule.source })
    });
    serde_json::json!({
        "outcome": differs.outcome, "allowed_by": if differs.source_allows { "source" } else { "sdm" },
        "rules": rules.collect::<Vec<_>>(),
    })
}
