//! `mmsim test`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
#[expect(clippy::disallowed_types, reason = "--time is about the time of whoever waits; no run sees it")]
use std::time::Instant;

use indicatif::ProgressBar;

use super::configure::Effort;
use super::interrupt::Interrupts;
use super::reports::{ReportWriter, Reports, exit, unwritable, write_record};
use super::{Exit, Failure, Format, Output};
use crate::json::shown;
use crate::library;
use crate::suite::{
    Evidence, Gathered, Item, Journal, Judge, Listener, Options, Part, Selector, Selectors, Shard, Stop, Workers,
    gather,
};
use crate::whole_file::WholeFile;

#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// A scenario file (with the records in `regressions/` beside it), a folder that is searched for
    /// scenarios and such records, a record, or a name that `mmsim list` shows.
    #[arg(value_name = "PATH", required_unless_present = "library")]
    paths: Vec<String>,
    /// Every scenario of the library.
    #[arg(long)]
    library: bool,
    /// Leaves out the cases that a pattern over SCENARIO/CASE names; records are regressions/FILE.
    #[arg(long, value_name = "PATTERN[: REASON]")]
    skip: Vec<Selector>,
    /// Marks cases that are known to fail. Such a case counts as failed if it passes.
    #[arg(long, value_name = "PATTERN[: REASON]")]
    xfail: Vec<Selector>,
    #[command(flatten)]
    effort: Effort,
    /// The time that the whole suite may take, for example `90s` or `2h`. Items that are not done by then are inconclusive.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Exploration")]
    time: Option<Duration>,
    /// Stops the suite after N failures.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..),
          help_heading = "Exploration")]
    max_failures: Option<u64>,
    /// Does part K of N parts. The results go to the folder of --out, and `mmsim merge` reads them.
    #[arg(long, value_name = "K/N", requires = "out", help_heading = "Exploration")]
    shard: Option<Shard>,
    /// Writes each item that is done into a journal, and leaves out the items that the journal has already.
    #[arg(long, value_name = "FILE", help_heading = "Exploration")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    reports: Reports,
    /// Adds the time of each case to JUnit's XML. Without this option the same suite gives the same bytes.
    #[arg(long, help_heading = "Output")]
    times: bool,
}

const NOTES: &str = "Exit codes: 1 if a case or record failed; else 3 if a file was bad; else 6 if anything is \
inconclusive or was not reached; else 4 if nothing ran; else 0. A shard leaves to the merge what it cannot decide alone.";

/// Runs the suite, or a shard of it.
pub(crate) fn run(
    args: &Args,
    format: Format,
    output: &mut Output,
    interrupts: &Interrupts,
) -> Result<Exit, Failure> {
    let Gathered { plan, works } = args.gather()?;
    if plan.is_empty() {
        let what = format!("nothing to run: no case and no record in {}", args.paths.join(", "));
        return Err(Failure { exit: Exit::NothingRan, message: what });
    }
    args.reports.make_folder()?;
    let part = match (args.shard, &args.reports.out) {
        (Some(shard), Some(folder)) => {
            let path = Part::path(folder, shard);
            Some((shard, WholeFile::begin(&path).map_err(|error| unwritable(&path, &error))?))
        }
        _ => None,
    };
    let writer = args.reports.writer(&plan, format, output.width())?;
    let (journal, done) = match &args.resume {
        Some(path) => {
            let (journal, done) = Journal::open(path, &plan, args.shard).map_err(Failure::bad_input)?;
            (Some(journal), done)
        }
        None => (None, BTreeMap::new()),
    };
    let workers = Workers {
        plan: &plan,
        works: &works,
        shard: args.shard.unwrap_or(Shard::WHOLE),
        jobs: usize::from(args.effort.jobs),
        done,
    };
    let interrupt = interrupts.watch();
    let out = args.reports.out.as_deref();
    let bar = output.cases(plan.len() as u64);
    let mut session = Session {
        writer,
        judge: Judge::new(plan.options.clone(), args.shard, out),
        journal,
        out,
        evidence: BTreeMap::new(),
        names: plan.items().map(|(group, item)| shown(&format!("{}/{}", group.name, item.name))).collect(),
        times: args.times.then(BTreeMap::new),
        deadline: args.deadline(),
        interrupt,
        bar,
        output,
    };
    workers.run(&Stop::default(), &mut session);
    session.bar.finish_and_clear();
    let Session { writer, judge, evidence, .. } = session;
    let totals = judge.totals();
    let code = exit(&totals);
    let written = writer.end(&totals, output).and_then(|()| match part {
        Some((shard, file)) => {
            let path = file.path().to_owned();
            let text = Part::new(plan, shard, evidence).text();
            file.finish(&text).map_err(|error| unwritable(&path, &error))
        }
        None => Ok(()),
    });
    match written {
        Err(failure) if code == Exit::Violation => output.error(&failure.message),
        written => written?,
    }
    if interrupt.load(Ordering::Relaxed) {
        output.note("interrupted; these are partial results");
    }
    if code == Exit::NothingRan {
        output.note("nothing ran: every case was left out");
    }
    Ok(code)
}

impl Args {
    fn gather(&self) -> Result<Gathered, Failure> {
        let mut paths = self.paths.clone();
        if self.library {
            paths.extend(library::entries().iter().map(|entry| entry.name.to_owned()));
        }
        let options = Options {
            seed: self.effort.seed,
            runs: self.effort.runs,
            strategy: self.effort.strategy.clone(),
            preemptions: self.effort.preemptions,
            max_failures: self.max_failures,
        };
        let selectors = Selectors { skip: self.skip.clone(), xfail: self.xfail.clone() };
        gather(&paths, options, self.effort.strategy(), &selectors).map_err(|pattern| Failure {
            exit: Exit::Usage,
            message: format!("`{pattern}` names no case; patterns are over SCENARIO/CASE, as in `spec-*/recheck`"),
        })
    }

    #[expect(clippy::disallowed_types, reason = "as with the import")]
    fn deadline(&self) -> Option<Instant> {
        self.time.and_then(|time| Instant::now().checked_add(time))
    }
}

/// A suite under way. It takes the results.
struct Session<'s, 'p> {
    writer: ReportWriter<'p>,
    judge: Judge,
    journal: Option<Journal>,
    out: Option<&'s Path>,
    evidence: BTreeMap<usize, Evidence>,
    /// The name of each item, for people.
    names: Vec<String>,
    /// How long each item took, if somebody asked.
    times: Option<BTreeMap<usize, Duration>>,
    #[expect(clippy::disallowed_types, reason = "as with the import")]
    deadline: Option<Instant>,
    interrupt: &'s AtomicBool,
    bar: ProgressBar,
    output: &'s mut Output,
}

impl Session<'_, '_> {
    fn complain(&mut self, message: &str) {
        self.bar.suspend(|| self.output.error(message));
    }
}

impl Listener for Session<'_, '_> {
    fn begun(&mut self, place: usize) {
        self.bar.set_message(self.names[place].clone());
    }

    fn arrived(&mut self, place: usize, evidence: &Evidence, took: Option<Duration>) {
        if let (Some(times), Some(took)) = (&mut self.times, took) {
            times.insert(place, took);
        }
        if let (Some(folder), Some(record)) = (self.out, evidence.record())
            && let Err(message) = write_record(record, folder)
        {
            self.complain(&message);
        }
        if let Some(journal) = self.journal.as_mut().filter(|_| evidence.is_final() && took.is_some())
            && let Err(error) = journal.keep(place, evidence)
        {
            // The results are still right. But a second call would have to do everything again.
            self.complain(&format!("{error}; the journal ends here"));
            self.journal = None;
        }
    }

    fn next(&mut self, place: usize, _: &Item, evidence: Option<&Evidence>, stop: &Stop) {
        let Session { writer, judge, output, bar, times, .. } = self;
        let time = times.as_ref().and_then(|times| times.get(&place).copied());
        bar.suspend(|| writer.item(place, judge, evidence, time, output));
        bar.inc(1);
        if let Some(evidence) = evidence {
            self.evidence.insert(place, evidence.clone());
        }
        if let Some(why) = self.judge.has_enough() {
            stop.request(&why);
        }
    }

    fn tick(&mut self, stop: &Stop) {
        #[expect(clippy::disallowed_types, reason = "as with the import")]
        let now = Instant::now();
        if self.interrupt.load(Ordering::Relaxed) {
            stop.request("interrupted");
        } else if self.deadline.is_some_and(|deadline| now >= deadline) {
            stop.request("the time is over");
        }
    }
}
